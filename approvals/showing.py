"""A request as people see it, drawn from the bytes that will run."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse
from django.utils import timezone

from approvals import grants, quorum, revealing
from approvals.models import Kind, Request, Revision, Risk, State
from approvals.recounting import Told, sentence
from runs import figures
from runs.statuses import Look

# What is longer has to be opened before it can be approved.
LONGEST, MOST_LINES = 600, 12
SOON = timedelta(minutes=60)
MOST_RECORDS = 100
_SHORT, _LINE = 40, 80

_LOOKS = {
    State.PENDING: Look("waits for a person", "hand", "purple", "hatch"),
    State.APPROVED: Look("approved", "circle-check", "green", "solid"),
    State.CONSUMED: Look("approved, let through", "circle-check", "green", "solid"),
    State.REJECTED: Look("denied", "circle-x", "crimson", "solid"),
    State.LAPSED: Look("approved, not begun in time", "clock", "stone", "empty"),
    State.REVOKED: Look("approval taken back", "circle-slash", "stone", "empty"),
    State.SUPERSEDED: Look("changed, asked anew", "rotate-cw", "stone", "empty"),
    State.ANSWERED: Look("answered", "circle-check", "green", "solid"),
    State.DECLINED: Look("declined", "circle-slash", "stone", "empty"),
    State.RESOLVED: Look("resolved", "circle-check", "green", "solid"),
    State.EXPIRED: Look("expired", "clock", "stone", "empty"),
    State.CANCELLED: Look("cancelled with its run", "circle-slash", "stone", "empty"),
}
_ICONS = {Kind.APPROVAL: "hand", Kind.QUESTION: "message-circle-question"}
_REASONS = {
    "uncertain": "circle-help", "credential": "plug", "budget": "wallet",
    "crash_loop": "triangle-alert", "loop": "rotate-cw",
}  # fmt: skip
_RISK_FAMILIES = {Risk.HIGH: "crimson", Risk.MEDIUM: "amber", Risk.LOW: "grey"}
_VERBS = {Kind.APPROVAL: "Approve: ", Kind.QUESTION: "Answer: ", Kind.ATTENTION: ""}


def look(request: Request) -> Look:
    """How to show where a request stands."""
    return _LOOKS[State(request.state)]


class _Drawn:
    """A request as it is drawn, in a row or on its page."""

    __slots__ = ()
    request: Request

    @property
    def look(self) -> Look:
        return look(self.request)

    @property
    def is_pending(self) -> bool:
        return self.request.state == State.PENDING

    @property
    def icon(self) -> str:
        return icon(self.request)

    @property
    def family(self) -> str:
        """The colour of its risk, or of its kind where risk is no word for it."""
        return family(self.request)

    @property
    def word(self) -> str:
        """What stands at its edge: how much there is to lose, or what kind of thing it is."""
        return word(self.request)


@dataclass(frozen=True, slots=True)
class Row(_Drawn):
    """A request as a row of the list."""

    request: Request
    now: datetime
    matches: bool = True

    @property
    def left(self) -> str:
        """How long there is to decide, once it is less than an hour."""
        due = self.request.decide_by
        if due is None or not self.is_pending or due - self.now >= SOON:
            return ""
        minutes = max(0, round((due - self.now).total_seconds() / 60))
        return f"{minutes} min left" if minutes else "due now"


def icon(request: Request) -> str:
    """The icon of what is wanted."""
    return _ICONS.get(Kind(request.kind)) or _REASONS.get(request.name, "octagon-pause")


def family(request: Request) -> str:
    """The family of colours of a request."""
    if request.kind == Kind.APPROVAL:
        return _RISK_FAMILIES[Risk(request.risk)]
    return "purple" if request.kind == Kind.QUESTION else "olive"


def word(request: Request) -> str:
    """Its risk in a word; of what is no risk, its kind."""
    if request.kind == Kind.APPROVAL:
        return request.risk
    return "asks" if request.kind == Kind.QUESTION else "stuck"


# -- what will happen ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Part:
    """One argument of an action, as it will be handed over.

    ``cut``: what is shown is only its beginning; whoever decides opens it first.
    """

    name: str
    kind: str
    text: str
    size: int
    cut: bool = False
    was: str | None = None
    # The address on which it is whole.
    opens: str = ""

    @property
    def hidden(self) -> int:
        """How many characters are not shown."""
        return self.size - len(self.text)

    @property
    def is_long(self) -> bool:
        return "\n" in self.text or len(self.text) > _LINE


def parts(
    arguments: Mapping[str, Any],
    opened: Collection[str] = (),
    before: Mapping[str, Any] | None = None,
) -> list[Part]:
    """Arguments one by one; those in ``opened`` whole, whatever their length."""
    return [_part(name, value, opened, before) for name, value in arguments.items()]


def _part(name: str, value: Any, opened: Collection[str], before: Mapping[str, Any] | None) -> Part:
    text, was = _text(value), None
    if before is not None and (name not in before or before[name] != value):
        was = _text(before[name]) if name in before else ""
    shown = text if name in opened else _beginning(text)
    opens = urlencode({"open": sorted({*opened, name})}, doseq=True)
    return Part(name, _kind(value), shown, len(text), len(shown) < len(text), was, opens)


@dataclass(frozen=True, slots=True)
class Fact:
    """Something to know of an action, in a few words."""

    text: str
    warns: bool = False


def _beginning(text: str) -> str:
    """As much of a text as is shown unasked, by characters and by lines."""
    return "\n".join(text[:LONGEST].split("\n")[:MOST_LINES])


def _text(value: Any) -> str:
    """A value as it is read; a text as it is, everything else as JSON."""
    if isinstance(value, str):
        return value
    short = json.dumps(value, ensure_ascii=False)
    return short if len(short) <= _LINE else json.dumps(value, ensure_ascii=False, indent=2)


def _kind(value: Any) -> str:
    """The type of a value in words, with its size where that tells something."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "yes or no"
        case int() | float():
            return "number"
        case str():
            return f"text, {figures.plural(len(value), 'character')}"
        case list():
            return f"list of {len(value)}"
    return f"record of {len(value)}" if isinstance(value, dict) else type(value).__name__


class Shown(_Drawn):
    """One request on its page."""

    def __init__(
        self, request: Request, revision: Revision | None, opened: Iterable[str] = ()
    ) -> None:
        self.request, self.revision = request, revision
        self.opened = frozenset(opened)
        self.now = timezone.localtime()

    @cached_property
    def envelope(self) -> dict[str, Any]:
        """What was frozen, read from its bytes; nothing else is shown of the action."""
        if self.revision is None:
            return {}
        read = json.loads(bytes(self.revision.envelope))
        return read if isinstance(read, dict) else {}

    @property
    def arguments(self) -> dict[str, Any]:
        said = self.envelope.get("arguments")
        return said if isinstance(said, dict) else {}

    @cached_property
    def parts(self) -> list[Part]:
        return parts(self.arguments, self.opened, self.before)

    @property
    def before(self) -> dict[str, Any] | None:
        """The arguments of the revision before, if somebody changed them."""
        if self.previous is None:
            return None
        said = json.loads(bytes(self.previous.envelope)).get("arguments")
        return said if isinstance(said, dict) else {}

    @cached_property
    def previous(self) -> Revision | None:
        if self.revision is None or self.revision.number < 2:
            return None
        number = self.revision.number - 1
        return self.request.revisions.filter(number=number).first()

    @property
    def unopened(self) -> list[str]:
        """The parts somebody has to open before they can approve."""
        return [part.name for part in self.parts if part.cut]

    @property
    def digest(self) -> str:
        return bytes(self.revision.digest).hex() if self.revision else ""

    @property
    def version(self) -> int:
        """A number that rises whenever something happens to it."""
        return self.records[-1].pk if self.records else 0

    @property
    def address(self) -> str:
        """Where this is drawn again as it is now."""
        said = urlencode({"open": self.opened_names}, doseq=True)
        return f"{reverse('inbox-item', args=[self.request.public_id])}?{said}".rstrip("?")

    @property
    def opened_names(self) -> list[str]:
        return sorted(self.opened)

    @property
    def short(self) -> str:
        """Its title for a button."""
        title = revealing.plain(self.request.title)
        return title if len(title) <= _SHORT else title[: _SHORT - 1] + "…"

    @property
    def asks_for(self) -> str:
        """Who has to agree, where that is more than one."""
        factors = self.request.factors
        return quorum.words(factors) if quorum.total(factors) > 1 else ""

    @property
    def may_grant(self) -> bool:
        """Whether its like could be allowed for a while."""
        return not grants.why_none(self.request)

    @property
    def undo_until(self) -> datetime | None:
        """Until when an approval can be taken back as if it had not been given."""
        ready = self.request.ready_at
        waits = self.request.state == State.APPROVED and ready is not None and ready > self.now
        return ready if waits else None

    @property
    def agent_version(self) -> str:
        return str(self.envelope.get("agent_version", ""))

    @property
    def rule_title(self) -> str:
        """The rule that asks, as it was then."""
        return str(self.request.rule.get("title") or self.request.rule.get("id") or "")

    @cached_property
    def facts(self) -> list[Fact]:
        return list(_facts(self.envelope))

    @property
    def heading(self) -> str:
        return _VERBS[Kind(self.request.kind)] + self.request.title

    @cached_property
    def records(self) -> list[Told]:
        """What happened to it so far, first things first."""
        rows = self.request.records.order_by("-id")[:MOST_RECORDS]
        return [Told(row.pk, row.at, sentence(row)) for row in reversed(rows)]


def _facts(envelope: Mapping[str, Any]) -> Iterator[Fact]:
    """What there is to know of an action besides its arguments."""
    if envelope.get("principal"):
        yield Fact(f"as {envelope['principal']}")
    effect = envelope.get("effect")
    if effect == "read":
        yield Fact("changes nothing")
    elif effect:
        yield Fact("may be repeated" if effect == "idempotent" else "not reversible", warns=True)
