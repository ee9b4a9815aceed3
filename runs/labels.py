"""What callers write on their runs, to find them by."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agentops.sdk.errors import AgentopsError

LONGEST_KEY = 255
MOST_LABELS = 16
LONGEST_LABEL = 64
LONGEST_LABEL_VALUE = 512
_LABEL = re.compile(rf"[\w.:/@+-]{{1,{LONGEST_LABEL}}}")


class InvalidRequest(AgentopsError):
    """A value is not allowed; the message names it and says what is."""

    code = "invalid_request"


@dataclass(frozen=True)
class Labels:
    """What a caller writes on a run, to find it by. Raises InvalidRequest for what is too much."""

    tags: Sequence[str] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    external_id: str | None = None

    def __post_init__(self) -> None:
        if len(self.tags) > MOST_LABELS or len(self.metadata) > MOST_LABELS:
            raise InvalidRequest(
                f"A run has at most {MOST_LABELS} tags and {MOST_LABELS} metadata."
            )
        for name in (*self.tags, *self.metadata):
            if not _LABEL.fullmatch(name):
                raise InvalidRequest(
                    f"“{name[:80]}” is no tag or metadata name: use 1 to {LONGEST_LABEL} letters, "
                    "digits and _ . : / @ + -"
                )
        long = next((n for n, v in self.metadata.items() if len(v) > LONGEST_LABEL_VALUE), None)
        if long is not None:
            raise InvalidRequest(
                f"The metadata “{long}” is longer than {LONGEST_LABEL_VALUE} characters."
            )
        if self.external_id is not None and not 1 <= len(self.external_id) <= LONGEST_KEY:
            raise InvalidRequest(f"An external_id has 1 to {LONGEST_KEY} characters.")
        if any("\0" in text for text in (*self.metadata.values(), self.external_id or "")):
            raise InvalidRequest("Tags, metadata and external_id hold no NUL character.")


NO_LABELS = Labels()
