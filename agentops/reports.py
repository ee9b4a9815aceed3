"""Files that runs leave for people to read: one folder per run below ``AGENTOPS_DATA/reports``."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from django.conf import settings


def folder_of(run_id: str) -> Path:
    """Where the reports of a run lie, whether there are any or not."""
    return Path(settings.AGENTOPS_DATA) / "reports" / run_id


def files_of(run_id: str) -> list[Path]:
    """The reports of a run by name, without those still being written."""
    folder = folder_of(run_id)
    if not folder.is_dir():
        return []
    return sorted(f for f in folder.iterdir() if f.is_file() and not f.name.startswith("."))


def forget(run_ids: Iterable[str]) -> None:
    """Delete the reports of runs that are no more; on this machine, where they were written."""
    for run_id in run_ids:
        shutil.rmtree(folder_of(run_id), ignore_errors=True)
