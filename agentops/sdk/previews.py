"""What a call would do, told to people who decide about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

LONGEST_TEXT = 2_000
MOST_CHANGES = 50
LONGEST_ETAG = 200


@dataclass(frozen=True, slots=True)
class Preview:
    """What a ``preview`` function found out, without changing anything.

    ``summary`` is one sentence. ``changes`` says of each thing what it is and what it would be.
    ``etag`` names the state of the world it looked at: approved calls whose preview has another
    one by the time they could run are asked about again.
    """

    summary: str = ""
    changes: Mapping[str, tuple[object, object]] = field(default_factory=dict)
    etag: str = ""

    def as_json(self) -> dict[str, object]:
        """Plain and cut, as it is stored and shown. Raises ValueError for what it cannot hold."""
        if len(self.etag) > LONGEST_ETAG:
            raise ValueError(f"The etag of a preview has at most {LONGEST_ETAG} characters.")
        lines = [
            {"what": _text(what), "before": _text(before), "after": _text(after)}
            for what, (before, after) in list(self.changes.items())[:MOST_CHANGES]
        ]
        return {"summary": _text(self.summary), "changes": lines}


def preview_of(found: object) -> Preview:
    """What a preview function returned: a Preview, or only the sentence."""
    if isinstance(found, Preview):
        return found
    if isinstance(found, str):
        return Preview(found)
    raise ValueError(f"A preview returns a Preview or a text, not {type(found).__name__}.")


def _text(value: object) -> str:
    text = "" if value is None else str(value).replace("\0", "\N{REPLACEMENT CHARACTER}")
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"
