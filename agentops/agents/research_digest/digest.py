"""The digest: an answer, the points it rests on, and where each of them stands."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from agentops.agents.research_digest.folder import Listing, Text
from agentops.agents.research_digest.summary import Point

_LONGEST_QUOTE = 300


@dataclass(frozen=True, slots=True)
class Cited:
    """A point with the lines it rests on."""

    number: int
    text: str
    file: str
    first_line: int
    last_line: int
    quote: str

    @property
    def place(self) -> str:
        lines = dict.fromkeys([self.first_line, self.last_line])
        return f"{self.file}:{'-'.join(map(str, lines))}"


@dataclass(frozen=True, slots=True)
class Overview:
    """What the points come to; ``[1]`` names the point it rests on."""

    summary: str
    open_questions: list[str]


@dataclass(frozen=True, slots=True)
class Findings:
    """All that goes into a digest."""

    question: str
    made_at: datetime
    listing: Listing
    points: tuple[Cited, ...]
    overview: Overview
    left_out: tuple[str, ...]
    answered_by: tuple[str, ...]

    def data(self) -> dict[str, object]:
        """The digest for programs."""
        return {
            "question": self.question,
            "made_at": self.made_at.isoformat(),
            "folder": self.listing.folder,
            "files": list(self.listing.files),
            "summary": self.overview.summary,
            "points": [{"text": p.text, "place": p.place, "quote": p.quote} for p in self.points],
            "open_questions": self.overview.open_questions,
            "left_out": list(self.left_out),
            "answered_by": list(self.answered_by),
        }


def cite(number: int, point: Point, text: Text) -> Cited:
    """A point whose lines were looked up."""
    quote = text.quoted(point.first_line, point.last_line)
    if len(quote) > _LONGEST_QUOTE:
        quote = f"{quote[:_LONGEST_QUOTE].rsplit(' ', 1)[0]} …"
    return Cited(number, point.text, text.file, point.first_line, point.last_line, quote)


def checked(overview: Overview, points: Sequence[Cited]) -> Overview:
    """Without references to points there are not."""
    known = {point.number for point in points}

    def keep(mark: re.Match[str]) -> str:
        return mark[0] if int(mark[1]) in known else ""

    return Overview(re.sub(r" ?\[(\d{1,6})\]", keep, overview.summary), overview.open_questions)


def markdown(found: Findings) -> str:
    """The digest for people."""
    parts = [
        [f"# {_plain(found.question)}", "", _plain(found.overview.summary)],
        _points(found.points),
        _listed("Open questions", found.overview.open_questions),
        _listed("Not read, or not used", found.left_out),
        _method(found),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _points(points: Sequence[Cited]) -> list[str]:
    lines = ["## What the texts say"]
    for point in points:
        # The blank lines keep each quote a block of its own.
        lines += [
            "",
            f"{_plain(f'[{point.number}]')} {_plain(point.text)} (`{_code(point.place)}`)",
        ]
        lines += ["", f"> {_plain(point.quote)}"]
    return lines if points else [*lines, "", "Nothing about this."]


def _listed(title: str, sentences: Sequence[str]) -> list[str]:
    return [f"## {title}", "", *(f"- {_plain(s)}" for s in sentences)] if sentences else []


def _method(found: Findings) -> list[str]:
    scripted = found.answered_by == ("scripted",)
    by = ", ".join(found.answered_by) or "nobody"
    note = " No provider of models has a key here: this is what the part for that case makes."
    return [
        "## How it was made", "",
        f"- Texts: {len(found.listing.files)} in `{_code(found.listing.folder)}`",
        f"- Model: {_plain(by)}.{note if scripted else ''}",
        f"- Read: {found.made_at:%Y-%m-%d %H:%M} UTC",
    ]  # fmt: skip


def _plain(text: str) -> str:
    """Text that Markdown leaves as it is."""
    return re.sub(r"([\\`*_\[\]<>#|~])", r"\\\1", " ".join(text.split()))


def _code(text: str) -> str:
    return " ".join(text.replace("`", "'").split())
