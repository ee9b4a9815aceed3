"""Writing the report so that it is there whole or not at all, and can be proven to be there."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from agentops import Fatal, Retryable, ToolContext, Verified, tool
from agentops.reports import folder_of

MARKDOWN, JSON = "dependency-audit.md", "dependency-audit.json"
_PERMANENT = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENAMETOOLONG})


@dataclass(frozen=True, slots=True)
class Written:
    """Where the report lies."""

    markdown: str
    json: str
    sha256: str


def report_is_written(ctx: ToolContext, *_: object) -> Verified:
    """Read the files back: the JSON file comes last and carries key and digests."""
    folder = folder_of(ctx.run_id)
    try:
        found = json.loads((folder / JSON).read_bytes())
        beside = (folder / MARKDOWN).read_bytes()
    except (FileNotFoundError, ValueError):
        return Verified.not_done()
    if not isinstance(found, dict) or found.get("idempotency_key") != ctx.idempotency_key:
        return Verified.unknown()
    whole = found.pop("sha256", "") == _digest(found) and found["markdown_sha256"] == _sha256(
        beside
    )
    return Verified.done(_written(folder, _digest(found))) if whole else Verified.not_done()


@tool(effect="once", retries=3, timeout=30, verify=report_is_written)
def write_report(ctx: ToolContext, markdown: str, data: dict[str, object]) -> Written:
    """Write the report as Markdown and JSON into the data folder.

    Each file appears whole, and the JSON file last. Raises Retryable when the disk is full or
    fails, Fatal when the folder may not be written; nothing is left behind then.
    """
    folder = folder_of(ctx.run_id)
    text = markdown.encode()
    body = {
        "format": 1,
        "idempotency_key": ctx.idempotency_key,
        "markdown_sha256": _sha256(text),
        "report": data,
    }
    digest = _digest(body)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _put(folder / MARKDOWN, text)
        _put(folder / JSON, json.dumps({**body, "sha256": digest}, indent=1).encode())
    except OSError as error:
        raise _failure(folder, error) from error
    return _written(folder, digest)


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


def _written(folder: Path, digest: str) -> Written:
    return Written(str(folder / MARKDOWN), str(folder / JSON), digest)


def _digest(body: dict[str, object]) -> str:
    return _sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode())


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
