"""Reading texts of a folder, and of no other. Refusals are plain sentences."""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agentops import ToolError, tool

SHIPPED = Path(__file__).with_name("texts")
SUFFIXES = frozenset({".md", ".markdown", ".txt", ".text", ".rst"})
MOST_FILES = 40
MOST_ENTRIES = 5_000
LARGEST_BYTES = 100_000
_SKIMMED_LINES = 12
_BEGINNINGS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True, slots=True)
class Listing:
    """The texts of a folder, by the names under which they can be read."""

    folder: str
    files: tuple[str, ...]
    left_out: tuple[str, ...]
    """Sentences about what lies there and is not read."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text as it was read."""

    file: str
    lines: tuple[str, ...]
    note: str = ""
    """What a reader must know, such as a guessed encoding."""

    def quoted(self, first: int, last: int) -> str:
        """Lines ``first`` to ``last``, counted from 1, as one line."""
        return " ".join(" ".join(self.lines[first - 1 : last]).split())

    @property
    def numbered(self) -> str:
        return "\n".join(f"{number}: {line}" for number, line in enumerate(self.lines, 1))


@tool(effect="read", timeout=30)
def list_texts(folder: str | None) -> Listing:
    """The texts in ``folder`` and below it; without one, those that come with the agent.

    Raises ToolError for a folder that is not there, may not be read, or is not allowed.
    """
    root = _root(folder)
    files, left_out = list[str](), list[str]()
    for path in _walk(root):
        name = path.relative_to(root).as_posix()
        reason = _unfit(root, path)
        if reason is None and len(files) == MOST_FILES:
            left_out.append(f"Only the first {MOST_FILES} texts are read.")
            break
        if reason is None:
            files.append(name)
        elif reason:
            left_out.append(f"{name}: {reason}")
    if not files:
        raise ToolError(f"No text lies in {root}. Read are {', '.join(sorted(SUFFIXES))}.")
    return Listing(str(root), tuple(files), tuple(left_out))


@tool(effect="read", timeout=20)
def skim(folder: str, file: str) -> str:
    """The headings and the first lines of a text, to see what it is about."""
    text = _read(folder, file)
    lines = [line.strip() for line in text.lines if line.strip()]
    headings = [line for line in lines[_SKIMMED_LINES:] if line.startswith("#")]
    return "\n".join([*lines[:_SKIMMED_LINES], *headings, f"({len(text.lines)} lines)"])


@tool(effect="read", timeout=20, retries=1, optional=True)
def read_text(folder: str, file: str) -> Text:
    """A whole text."""
    return _read(folder, file)


def allowed_folders() -> list[Path]:
    """Where texts may be read: the agent's own, and those an administrator named."""
    named = os.environ.get("AGENTOPS_RESEARCH_FOLDERS", "").split(os.pathsep)
    return [SHIPPED.resolve(), *(Path(part).resolve() for part in named if part)]


def _root(folder: str | None) -> Path:
    if folder is None:
        return SHIPPED.resolve()
    path = Path(folder)
    if "\0" in folder or not path.is_absolute():
        raise ToolError(f"“{folder}” is not an absolute path. Give the folder from / on.")
    try:
        root = path.resolve()
    except (OSError, RuntimeError) as error:
        raise ToolError(f"{folder} cannot be opened: {error}.") from None
    # Asked before anything else: whether a forbidden folder exists is nobody's business.
    if not any(root == known or known in root.parents for known in allowed_folders()):
        raise ToolError(
            f"{folder} is outside the folders this agent may read. An administrator can add it to "
            "AGENTOPS_RESEARCH_FOLDERS."
        )
    if not root.is_dir():
        raise ToolError(f"{folder} is no folder on the machine of the worker.")
    return root


def _walk(root: Path) -> Iterator[Path]:
    """Files below ``root`` by name; hidden ones and those in hidden folders are left alone."""
    seen = 0
    for place, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            seen += 1
            if seen > MOST_ENTRIES:
                raise ToolError(
                    f"More than {MOST_ENTRIES:,} files lie in {root}. Give a smaller one."
                )
            if not name.startswith("."):
                yield Path(place, name)


def _unfit(root: Path, path: Path) -> str | None:
    """Why a file is not read; None when it is, nothing when that is nobody's news."""
    if path.suffix.lower() not in SUFFIXES:
        return ""
    try:
        target = path.resolve(strict=True)
        if root not in target.parents:
            return "it is a link out of the folder"
        if not target.is_file():
            return "it is no plain file"
        size = target.stat().st_size
    except (OSError, RuntimeError) as error:
        return f"it cannot be opened ({getattr(error, 'strerror', None) or error})"
    return f"it has {size:,} bytes, more than {LARGEST_BYTES:,}" if size > LARGEST_BYTES else None


def _read(folder: str, file: str) -> Text:
    """Raises ToolError for what may not or cannot be read."""
    root = _root(folder)
    path = root / file
    if "\0" in file or Path(file).is_absolute() or ".." in Path(file).parts:
        raise ToolError(f"“{file}” is not the name of a text in the folder.")
    reason = _unfit(root, path)
    if reason is not None:
        raise ToolError(f"{file} is not read: {reason or 'it is no text'}.")
    try:
        with path.open("rb") as opened:
            content = opened.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise ToolError(f"{file} cannot be read: {error.strerror}.") from None
    text, note = _decoded(file, content)
    return Text(file, tuple(re.split(r"\r\n|\r|\n", text)), note)


def _decoded(file: str, content: bytes) -> tuple[str, str]:
    """The text, and a note when its encoding had to be guessed."""
    for beginning, encoding in _BEGINNINGS:
        if content.startswith(beginning):
            return content.decode(encoding, errors="replace"), ""
    if b"\0" in content:
        raise ToolError(f"{file} is not a text: it holds zero bytes.")
    try:
        return content.decode(), ""
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace"), "read as Windows-1252, which is a guess"
