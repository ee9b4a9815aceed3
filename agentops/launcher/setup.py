"""What is done once per data folder and release: tables, first operator, static files."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

from agentops.launcher.home import PROJECT, Home, write_private


def environment(home: Home, url: str, logs: str) -> dict[str, str]:
    """What every process of this runtime is told; the environment given to us wins."""
    told = {
        **home.defaults(),
        "AGENTOPS_DATA": str(home.folder),
        "AGENTOPS_PUBLIC_URL": url,
        "AGENTOPS_LOG_FORMAT": logs,
        "DJANGO_SETTINGS_MODULE": "agentops.settings",
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": os.pathsep.join(_python_path()),
    }
    ours = ("AGENTOPS_DATA", "PYTHONPATH")
    given = {name: os.environ[name] for name in told if name in os.environ and name not in ours}
    return {**told, **given}


def fingerprint() -> str:
    """Changes whenever the set-up has something to do. Costs milliseconds, the set-up seconds."""
    digest = hashlib.sha256()
    for path in _what_matters():
        digest.update(f"{path.relative_to(PROJECT)}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def is_done(home: Home, now: str) -> bool:
    """Whether the set-up is known to have run. Never known for somebody else's database."""
    if "DATABASE_URL" in os.environ:
        return False
    return home.set_up.exists() and home.set_up.read_text() == now


def remember(home: Home, now: str) -> None:
    write_private(home.set_up, now)


def forget(home: Home) -> None:
    home.set_up.unlink(missing_ok=True)


def first_sign_in(home: Home) -> dict[str, str] | None:
    """Name and one-time password of the first operator, until they were used."""
    if not home.first_sign_in.exists():
        return None
    said: dict[str, str] = json.loads(home.first_sign_in.read_text())
    return said


def _what_matters() -> Iterable[Path]:
    yield PROJECT / "uv.lock"
    for app in ("agentops", "runs", "approvals", "credentials"):
        yield from sorted((PROJECT / app).rglob("migrations/*.py"))
    yield PROJECT / "agentops/management/commands/bootstrap.py"
    yield PROJECT / "approvals/samples.py"
    yield from sorted(path for path in (PROJECT / "static").rglob("*") if path.is_file())


def _python_path() -> list[str]:
    given = os.environ.get("PYTHONPATH", "")
    return [str(PROJECT), *(part for part in given.split(os.pathsep) if part)]
