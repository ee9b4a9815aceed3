"""A maildir in which a message is there whole or not at all, and once.

The file's name is made from the Message-ID, so delivering a message again changes nothing and
anybody can ask whether it arrived. Any mail program reads the folder. Needs no Django.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

_FOLDERS = ("tmp", "new", "cur")


@dataclass(frozen=True)
class Mail:
    """One message in the folder."""

    name: str
    """Names it within the folder."""
    received_at: datetime
    message: EmailMessage

    @property
    def subject(self) -> str:
        return str(self.message.get("Subject", ""))

    @property
    def sender(self) -> str:
        return str(self.message.get("From", ""))

    @property
    def recipients(self) -> str:
        return str(self.message.get("To", ""))

    @property
    def message_id(self) -> str:
        return str(self.message.get("Message-ID", ""))

    @property
    def text(self) -> str:
        """The body in plain text; empty when there is none."""
        body = self.message.get_body(preferencelist=("plain",))
        return str(body.get_content()) if isinstance(body, EmailMessage) else ""

    @property
    def attachments(self) -> list[str]:
        """Names of what is attached."""
        return [part.get_filename() or "unnamed" for part in self.message.iter_attachments()]


def deliver(folder: Path, content: bytes, message_id: str) -> bool:
    """Put a message into the folder. False: one with this Message-ID was there already."""
    for name in _FOLDERS:
        (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    if find(folder, message_id) is not None:
        return False
    name = _name(message_id)
    beside = folder / "tmp" / f"{name}.{secrets.token_hex(8)}"
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        return _link(beside, folder / "new" / name)
    finally:
        beside.unlink(missing_ok=True)


def find(folder: Path, message_id: str) -> Path | None:
    """Where the message with this Message-ID lies, read or unread."""
    name = _name(message_id)
    unread = folder / "new" / name
    if unread.exists():
        return unread
    return next((folder / "cur").glob(f"{name}:*"), None)


def newest(folder: Path, limit: int = 200) -> list[Mail]:
    """The last messages, newest first."""
    dated = sorted(((_mtime(p), p) for p in _files(folder)), reverse=True)
    found = (_read(path) for _, path in dated[:limit])
    return [mail for mail in found if mail is not None]


def read(folder: Path, name: str) -> Mail | None:
    """The message called ``name``, or None when there is none."""
    path = next((p for p in _files(folder) if p.name.partition(":")[0] == name), None)
    return _read(path) if path else None


def _name(message_id: str) -> str:
    return f"{hashlib.sha256(message_id.encode()).hexdigest()[:32]}.agentops"


def _link(beside: Path, target: Path) -> bool:
    """Give the file its name unless somebody else was first."""
    try:
        os.link(beside, target)
    except FileExistsError:
        return False
    handle = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    return True


def _files(folder: Path) -> Iterator[Path]:
    for place in (folder / "new", folder / "cur"):
        with contextlib.suppress(FileNotFoundError):
            yield from (path for path in place.iterdir() if path.is_file())


def _mtime(path: Path) -> float:
    with contextlib.suppress(OSError):
        return path.stat().st_mtime
    return 0.0


def _read(path: Path) -> Mail | None:
    """The message at ``path``; None when a mail program took it away meanwhile."""
    try:
        content, at = path.read_bytes(), _mtime(path)
    except FileNotFoundError:
        return None
    message = message_from_bytes(content, policy=default)
    name = path.name.partition(":")[0]
    return Mail(name, datetime.fromtimestamp(at, UTC), message)
