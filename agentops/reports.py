"""Files that runs leave for people to read: one folder per run below ``AGENTOPS_DATA/reports``.

A report is there whole or not at all, and can be proven to be there.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from agentops.sdk.calls import ToolContext
from agentops.sdk.errors import Fatal, Retryable
from agentops.sdk.tools import Verified

_PERMANENT = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENAMETOOLONG})


@dataclass(frozen=True, slots=True)
class Written:
    """Where a report lies."""

    markdown: str
    json: str
    sha256: str


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


def write(ctx: ToolContext, name: str, markdown: str, data: Mapping[str, object]) -> Written:
    """Write ``name.md`` and ``name.json`` for the run of this call.

    Each file appears whole, and the JSON file last. Raises Retryable when the disk is full or
    fails, Fatal when the folder may not be written; nothing is left behind then.
    """
    folder, text = folder_of(ctx.run_id), markdown.encode()
    body = {
        "format": 1,
        "idempotency_key": ctx.idempotency_key,
        "markdown_sha256": _sha256(text),
        "report": data,
    }
    digest = _digest(body)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _put(folder / f"{name}.md", text)
        _put(folder / f"{name}.json", json.dumps({**body, "sha256": digest}, indent=1).encode())
    except OSError as error:
        raise _failure(folder, error) from error
    return _written(folder, name, digest)


def was_written(ctx: ToolContext, name: str) -> Verified:
    """Read the files back: the JSON file comes last and carries key and digests."""
    folder = folder_of(ctx.run_id)
    try:
        found = json.loads((folder / f"{name}.json").read_bytes())
        beside = (folder / f"{name}.md").read_bytes()
    except (FileNotFoundError, ValueError):
        return Verified.not_done()
    if not isinstance(found, dict) or found.get("idempotency_key") != ctx.idempotency_key:
        return Verified.unknown()
    whole = found.pop("sha256", "") == _digest(found) and found["markdown_sha256"] == _sha256(
        beside
    )
    return Verified.done(_written(folder, name, _digest(found))) if whole else Verified.not_done()


def _put(path: Path, content: bytes) -> None:
    """Write beside, flush to disk, rename: nobody ever sees half a file."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise
    _flush_folder(path.parent)


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _failure(folder: Path, error: OSError) -> Retryable | Fatal:
    if error.errno in _PERMANENT:
        return Fatal(f"The worker may not write to {folder}: {error.strerror}. Change its rights.")
    return Retryable(f"The report cannot be written to {folder}: {error.strerror or error}.")


def _written(folder: Path, name: str, digest: str) -> Written:
    return Written(str(folder / f"{name}.md"), str(folder / f"{name}.json"), digest)


def _digest(body: Mapping[str, object]) -> str:
    return _sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode())


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
