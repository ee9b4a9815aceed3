"""The peers' own environment, made on first use and again when its pins change."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / "benchmarks" / "peers"
HOME = ROOT / "benchmarks" / ".peers"
PYTHON = HOME / "venv" / "bin" / "python"


@dataclass(frozen=True)
class Peers:
    """What of the peers can be measured here, and why the rest cannot."""

    systems: tuple[str, ...]
    missing: dict[str, str]

    def environment(self) -> dict[str, str]:
        """For processes that measure a peer: none of our addresses and settings."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return kept | {"BENCH_NODE_MODULES": str(HOME / "node_modules")}


def prepared() -> Peers:
    """Installs the pinned peers where they are not yet; says so on standard error."""
    HOME.mkdir(exist_ok=True)
    if _changed("requirements.txt"):
        _install_python()
        _remember("requirements.txt")
    if shutil.which("npm") is None:
        return Peers(("dbos", "absurd"), {"restate": "needs Node (npm) for its server"})
    if _changed("package.json"):
        shutil.copy(PEERS / "package.json", HOME / "package.json")
        _run(
            ["npm", "install", "--prefix", str(HOME), "--no-audit", "--no-fund", "--ignore-scripts"]
        )
        _remember("package.json")
    return Peers(("dbos", "absurd", "restate"), {})


def _install_python() -> None:
    _run([sys.executable, "-m", "venv", "--clear", str(HOME / "venv")])
    requirements = str(PEERS / "requirements.txt")
    if uv := shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"):
        _run([uv, "pip", "install", "--python", str(PYTHON), "-r", requirements])
    else:
        _run([str(PYTHON), "-m", "pip", "install", "-r", requirements])


def _run(command: list[str]) -> None:
    print(f"peers: {' '.join(command[:4])} …", file=sys.stderr)
    subprocess.run(command, check=True, stdout=sys.stderr)


def _changed(name: str) -> bool:
    mark = HOME / f"{name}.sha256"
    return not mark.exists() or mark.read_text() != _digest(name)


def _remember(name: str) -> None:
    (HOME / f"{name}.sha256").write_text(_digest(name))


def _digest(name: str) -> str:
    return hashlib.sha256((PEERS / name).read_bytes()).hexdigest()
