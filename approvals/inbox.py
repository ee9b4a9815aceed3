"""What waits for people: who is shown which requests, filters as the address has them, pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.db.models import (
    Case,
    Count,
    DateTimeField,
    Exists,
    F,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
    When,
)
from django.db.models.functions import Coalesce, Now

from agentops.accounts.access import Action, Actor
from approvals import eligibility, queries
from approvals.models import Kind, Request, Revision, Risk, Snooze, State, Vote
from runs import halted
from runs.models import Run

PAGE_SIZE = 50
_NEVER = datetime(9999, 1, 1, tzinfo=UTC)
_ID_LENGTH = 12
TABS = {"": "Mine", "team": "Team", "snoozed": "Snoozed", "done": "Done"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a list of requests shows. Field names are the keys of the address, in this order."""

    tab: str = ""
    kind: str = ""
    agent: str = ""
    risk: str = ""
    run: str = ""
    q: str = ""

    @classmethod
    def read(cls, query: Mapping[str, str]) -> Wanted:
        """What an address asks for; ``field:value`` words in ``q`` become fields."""
        values = {name: query.get(name, "").replace("\0", "")[:200].strip() for name in cls.names()}
        words = []
        for word in values["q"].split():
            name, mark, value = word.partition(":")
            if mark and value and name in _COLUMNS:
                values[name] = value
            else:
                words.append(word)
        return cls(**{**values, "q": " ".join(words)})

    @classmethod
    def names(cls) -> list[str]:
        return [field.name for field in fields(cls)]

    @property
    def query(self) -> str:
        """The query string of this: defaults left out, keys in fixed order."""
        return urlencode({name: value for name in self.names() if (value := getattr(self, name))})

    def but(self, **changed: str) -> str:
        """The query string with something changed."""
        return replace(self, **changed).query

    @property
    def problem(self) -> str:
        """Why nothing can match, if a value is not one of those that exist."""
        for name, known in _KNOWN.items():
            value = getattr(self, name)
            if value and value not in known:
                return f"There is no {name} “{value}”. Known are: {', '.join(filter(None, known))}."
        return ""

    @property
    def chooses(self) -> bool:
        """Whether it leaves out something of its tab."""
        return any(getattr(self, name) for name in (*_COLUMNS, "q"))

    def chips(self) -> list[tuple[str, str, str]]:
        """Field, value and the query string without it, for each that is in force."""
        shown = [name for name in (*_COLUMNS, "q") if getattr(self, name)]
        return [(name, getattr(self, name), self.but(**{name: ""})) for name in shown]

    def of(self, viewer: Actor) -> QuerySet[Request]:
        """The requests that match, of those ``viewer`` may see."""
        if self.problem:
            return Request.objects.none()
        found = requests_of(viewer).filter(_tab(self.tab, viewer))
        for name, column in _COLUMNS.items():
            if value := getattr(self, name):
                found = found.filter(**{column: value})
        for word in self.q.split():
            found = found.filter(_matches(word))
        return found


_COLUMNS = {"kind": "kind", "agent": "agent", "risk": "risk", "run": "run_public_id"}
_KNOWN = {"tab": list(TABS), "kind": Kind.values, "risk": Risk.values}


def _matches(word: str) -> Q:
    found = Q(title__icontains=word) | Q(name__icontains=word) | Q(agent__icontains=word)
    if word.startswith("req_") and len(word) >= _ID_LENGTH:
        return Q(public_id__startswith=word.rstrip("…"))
    return found


# -- who is shown what ---------------------------------------------------------------------------


def requests_of(viewer: Actor) -> QuerySet[Request]:
    """The requests ``viewer`` may see: of runs they see, and those they are asked about."""
    return queries.visible(viewer)


def for_me(viewer: Actor) -> Q:
    """Which pending requests wait for ``viewer``, as far as a list can tell.

    What somebody may decide is decided when they do, by the services; this only sorts.
    """
    me = viewer.user.pk
    kinds = Q()
    if Action.DECIDE in viewer.allowed:
        own = Q(owner=me) & ~Q(rule__contains={"separation": {"owner": False}})
        kinds |= Q(kind=Kind.APPROVAL) & ~own & ~Q(_voted(me))
    answers = Q(kind=Kind.QUESTION)
    kinds |= answers if Action.RESPOND in viewer.allowed else answers & Q(owner=me)
    if Action.OPERATE in viewer.allowed:
        kinds |= Q(kind=Kind.ATTENTION)
    return Q(state=State.PENDING) & kinds


def _voted(person: int) -> Exists:
    """Whether they have given their word; an edit voids the words before it."""
    votes = Vote.objects.filter(request=OuterRef("pk"), voter=person)
    later = F("revision__number")
    return Exists(votes.exclude(revision__request__revisions__number__gt=later))


def _snoozed(viewer: Actor) -> Q:
    later = Snooze.objects.filter(request=OuterRef("pk"), person=viewer.user.pk, until__gt=Now())
    return Q(Exists(later))


def _tab(name: str, viewer: Actor) -> Q:
    pending = Q(state=State.PENDING)
    if name == "team":
        return pending
    if name == "snoozed":
        return pending & _snoozed(viewer)
    if name == "done":
        return ~pending
    return for_me(viewer) & ~_snoozed(viewer)


def tallies(viewer: Actor) -> dict[str, int]:
    """How many each tab of what is open holds, in one query."""
    open_now = requests_of(viewer).filter(state=State.PENDING)
    counted = open_now.aggregate(
        **{
            f"n_{name or 'mine'}": Count("pk", filter=_tab(name, viewer))
            for name in TABS
            if name != "done"
        }
    )
    return {name: int(counted[f"n_{name or 'mine'}"]) for name in TABS if name != "done"}


def rail(viewer: Actor, running: QuerySet[Run]) -> dict[str, int]:
    """How many requests wait for ``viewer``, how many runs are at work and how many stops hold.

    In one query.
    """
    mine = requests_of(viewer).filter(_tab("", viewer))
    others = _tally("running", running), _tally("stops", halted.holding())
    counts = {
        str(name): int(number) for name, number in _tally("inbox", mine).union(*others, all=True)
    }
    return {"inbox": 0, "running": 0, "stops": 0} | counts


def _tally(name: str, rows: QuerySet[Any]) -> QuerySet[Any, Any]:
    told: QuerySet[Any, Any] = rows.order_by().annotate(what=Value(name)).values("what")
    counted: QuerySet[Any, Any] = told.annotate(number=Count("pk"))
    return counted.values_list("what", "number")


def of_run(viewer: Actor, run_public_id: str) -> list[Request]:
    """The open requests of one run that ``viewer`` may see, most urgent first."""
    found = requests_of(viewer).filter(run_public_id=run_public_id, state=State.PENDING)
    return list(ordered(found)[:PAGE_SIZE])


# -- order and pages -----------------------------------------------------------------------------


def ordered(found: QuerySet[Request]) -> QuerySet[Request]:
    """Most urgent first: by deadline, then by risk, then the longest waiting."""
    ranks = [When(risk=risk, then=Value(place)) for place, risk in enumerate(_RISKS)]
    rows: QuerySet[Any] = found.annotate(
        due=Coalesce("decide_by", Value(_NEVER, DateTimeField())),
        rank=Case(*ranks, default=Value(9)),
    )
    return rows.order_by("due", "rank", "created_at", "pk")


_RISKS = [Risk.HIGH, Risk.MEDIUM, Risk.LOW]


@dataclass(frozen=True, slots=True)
class Page:
    """A page of requests and where the next begins; ``lost``: its own beginning is gone."""

    requests: list[Request]
    older: str = ""
    lost: bool = False


def page(wanted: Wanted, viewer: Actor, after: str = "") -> Page:
    """The first requests, or those after the one called ``after``."""
    matching = wanted.of(viewer).select_related("owner", "acknowledged_by", "decided_by")
    anchor = requests_of(viewer).filter(public_id=after).first() if after else None
    if after and anchor is None:
        return replace(page(wanted, viewer), lost=True)
    in_order = _done(matching, anchor) if wanted.tab == "done" else _open(matching, anchor)
    rows = list(in_order[: PAGE_SIZE + 1])
    older = rows[PAGE_SIZE - 1].public_id if len(rows) > PAGE_SIZE else ""
    return Page(rows[:PAGE_SIZE], older)


def _open(found: QuerySet[Request], anchor: Request | None) -> QuerySet[Request]:
    rows = ordered(found)
    if anchor is None:
        return rows
    rank = _RISKS.index(Risk(anchor.risk))
    place = {"due": anchor.decide_by or _NEVER, "rank": rank, "created_at": anchor.created_at}
    return rows.filter(_beyond({**place, "pk": anchor.pk}, "gt"))


def _done(found: QuerySet[Request], anchor: Request | None) -> QuerySet[Request]:
    rows = found.order_by(F("decided_at").desc(), "-pk")
    if anchor is None or anchor.decided_at is None:
        return rows
    return rows.filter(_beyond({"decided_at": anchor.decided_at, "pk": anchor.pk}, "lt"))


def _beyond(place: Mapping[str, object], sign: str) -> Q:
    """What comes after a place in an order of several columns."""
    found, same = Q(), Q()
    for name, value in place.items():
        found |= same & Q(**{f"{name}__{sign}": value})
        same &= Q(**{name: value})
    return found


def with_alike(found: QuerySet[Request], viewer: Actor) -> QuerySet[Request]:
    """Requests with what was decided about their like in 30 days, and the steps before them."""
    alike = requests_of(viewer).filter(
        kind=OuterRef("kind"), name=OuterRef("name"), agent=OuterRef("agent"),
        created_at__gte=Now() - timedelta(days=30), decided_by__isnull=False,
    ).exclude(pk=OuterRef("pk"))  # fmt: skip
    good = alike.filter(state__in=[State.APPROVED, State.CONSUMED, State.LAPSED])
    steps = Subquery(Run.objects.filter(pk=OuterRef("run_id")).values("steps")[:1])
    return found.annotate(
        alike=_number(alike), alike_good=_number(good), has_voted=_voted(viewer.user.pk),
        steps=steps,
    )  # fmt: skip


def _number(rows: QuerySet[Request]) -> Coalesce:
    counted = rows.order_by().values("kind").annotate(number=Count("pk")).values("number")
    return Coalesce(Subquery(counted), Value(0))


def why_not(viewer: Actor, request: Request, revision: Revision | None) -> str:
    """Why ``viewer`` may not decide this action, in a sentence for them; empty: they may."""
    if viewer.scopes is not None or viewer.service is not None:
        return eligibility.PERSONS_ONLY
    if getattr(request, "has_voted", False):
        return eligibility.SEATED
    about = eligibility.case(request, revision)
    return eligibility.standings([viewer.user.pk], about)[viewer.user.pk].why_not
