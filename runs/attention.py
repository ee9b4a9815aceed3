"""What the Overview tells: what needs a person, what is under way, what is wrong, who works."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count, Min, Q, QuerySet
from django.db.models.functions import Now
from django.urls import reverse
from django.utils import timezone

from agentops.sdk.catalog import catalog
from runs import figures, fleet, listing, pins
from runs.drawing import RunRow, run_rows
from runs.models import Breaker, Run, RunStatus, StopReason, WaitingFor, Worker, WorkerState

DAY = timedelta(hours=24)
USUAL_DAYS = 7
LONGEST = 5
MOST_TROUBLES = 8
SYSTEM = "/system/"
_LAG_SECONDS = 60

_KINDS = {
    WaitingFor.APPROVAL: ("approval", "approvals"),
    WaitingFor.ANSWER: ("question", "questions"),
    WaitingFor.CREDENTIAL: ("credential", "credentials"),
    WaitingFor.BUDGET: ("budget", "budgets"),
    WaitingFor.OPERATOR: ("for an operator", "for an operator"),
}


@dataclass(frozen=True, slots=True)
class Part:
    """A number of a card, with the address of the rows it counts."""

    count: int
    words: str
    query: str
    family: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """A headline number and what it is made of. ``note`` is the one thing to know beside it."""

    title: str
    count: int
    query: str
    parts: list[Part]
    note: str = ""
    family: str = ""


@dataclass(frozen=True, slots=True)
class Sentence:
    """Something that is wrong, in a sentence; ``label`` is the link to what it is about."""

    icon: str
    family: str
    text: str
    label: str = ""
    href: str = ""
    query: str = ""
    command: str = ""


# -- the cards -----------------------------------------------------------------------------------


def live_cards(runs: QuerySet[Run], now: datetime) -> tuple[Card, Card]:
    """Needs a person, and running now, from one look at the runs that are not over."""
    live = runs.filter(status__in=[RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.WAITING])
    held = listing.STOPPED
    asked = {
        "person": Count("id", filter=listing.VIEWS["person"].condition),
        "oldest": Min("status_at", filter=listing.VIEWS["person"].condition),
        "queued": Count("id", filter=Q(status=RunStatus.QUEUED)),
        "running": Count("id", filter=Q(status=RunStatus.RUNNING)),
        "retrying": Count("id", filter=Q(waiting_for=WaitingFor.RETRY)),
        "sleeping": Count("id", filter=Q(waiting_for__in=_ASLEEP)),
        "lag": Min("ready_at", filter=Q(status=RunStatus.QUEUED, ready_at__lte=Now())),
        "stuck": Count("id", filter=listing.VIEWS["stuck"].condition),
        **{kind: Count("id", filter=Q(waiting_for=kind) & ~held) for kind in map(str, _KINDS)},
    }
    found = live.aggregate(**{f"n_{name}": value for name, value in asked.items()})
    counted = {name.removeprefix("n_"): value for name, value in found.items()}
    return _person(counted, now), _running(counted, now)


_ASLEEP = [WaitingFor.TIMER, WaitingFor.EVENT, WaitingFor.CHILD]


def _person(counted: Mapping[str, Any], now: datetime) -> Card:
    parts = [
        Part(counted[kind], words[0] if counted[kind] == 1 else words[1],
             f"status=waiting&waiting_for={kind}", "purple")
        for kind, words in _KINDS.items() if counted[kind]
    ]  # fmt: skip
    oldest = counted["oldest"]
    note = f"oldest {figures.span(now - oldest)}" if oldest else ""
    return Card("Needs a person", counted["person"], "view=person", parts, note, "purple")


def _running(counted: Mapping[str, Any], now: datetime) -> Card:
    lag = counted["lag"]
    waits = now - lag if lag else timedelta()
    parts = [
        Part(counted["queued"], "queued", "status=queued"),
        Part(counted["retrying"], "retrying", "status=waiting&waiting_for=retry", "amber"),
        Part(counted["sleeping"], "asleep", "view=asleep"),
        Part(counted["stuck"], "stuck", "view=stuck", "crimson"),
    ]
    note = f"queue lag {figures.span(waits)}" if waits.total_seconds() >= 1 else ""
    shown = [part for part in parts if part.count]
    return Card("Running now", counted["running"], "status=running", shown, note, "blue")


def day_card(ended: list[fleet.Endings]) -> Card:
    """How the runs that ended within a day ended."""
    counted: Counter[str] = Counter()
    for part in ended:
        counted[part.status] += part.count
    whole = sum(counted.values())
    families = {"succeeded": "green", "failed": "crimson", "cancelled": "stone", "expired": "stone"}
    parts = [
        Part(counted[status], status, f"status={status}&ended=24h", family)
        for status, family in families.items() if counted.get(status)
    ]  # fmt: skip
    worked = counted.get("succeeded", 0)
    note = f"{figures.share(worked, whole)} succeeded" if whole else ""
    return Card("Ended in 24 h", whole, "ended=24h", parts, note, "green")


def waiting_longest(runs: QuerySet[Run], now: datetime) -> list[RunRow]:
    """Those a person has kept waiting longest."""
    waiting = runs.filter(listing.VIEWS["person"].condition).select_related("owner")
    return run_rows(list(waiting.order_by("status_at")[:LONGEST]), now)


# -- trouble -------------------------------------------------------------------------------------


def troubles(runs: QuerySet[Run], running: Card, *, opens_system: bool) -> list[Sentence]:
    """What is wrong, worst first, each with what is usual and a link to what they may open."""
    told = _tools() if opens_system else ()
    found = [*_workers(), *_stuck(running), *told, *_failures(runs), *_breakers(), *_modules()]
    shown = found[:MOST_TROUBLES]
    if opens_system:
        return shown
    return [replace(it, label="", href="") if it.href == SYSTEM else it for it in shown]


def _workers() -> Iterator[Sentence]:
    lease = timedelta(seconds=settings.AGENTOPS_LEASE_SECONDS)
    if not Worker.objects.filter(state=WorkerState.ALIVE, heartbeat_at__gt=Now() - lease).exists():
        yield Sentence("server", "crimson", "No worker is alive: runs are accepted and wait.",
                       "System", SYSTEM, command="bin/up")  # fmt: skip


def _stuck(running: Card) -> Iterator[Sentence]:
    for part in running.parts:
        if part.words == "stuck":
            text = f"{figures.plural(part.count, 'run')} made no progress for five minutes."
            yield Sentence("hourglass", "crimson", text, "Show", query=part.query)


def _failures(runs: QuerySet[Run]) -> Iterator[Sentence]:
    """Failures of a day by agent and reason, beside the usual of the week before."""
    week = Now() - DAY * (USUAL_DAYS + 1)
    failed = runs.filter(status=RunStatus.FAILED, finished_at__gte=week).order_by()
    today = Q(finished_at__gte=Now() - DAY)
    groups = failed.values("agent", "stop_reason").annotate(
        now=Count("id", filter=today), before=Count("id", filter=~today)
    )
    loud = [group for group in groups if group["now"]]
    loud.sort(key=lambda group: (group["now"] / (1 + group["before"]), group["now"]), reverse=True)
    for group in loud:
        reason = group["stop_reason"].replace("_", " ")
        usual = _usual(group["before"])
        text = f"{group['agent']} failed {_times(group['now'])} in 24 h: {reason}. {usual}"
        query = f"status=failed&stop_reason={group['stop_reason']}&agent={group['agent']}&ended=24h"
        yield Sentence("circle-x", "crimson", text, "Show", query=query)


def _times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number) or f"{figures.count(number)} times"


def _usual(before: int) -> str:
    """What the week before says of a day."""
    if not before:
        return "It did not in the week before."
    if before < USUAL_DAYS:
        return f"It did {_times(before)} in the week before."
    return f"Usual is {round(before / USUAL_DAYS)} a day."


def _breakers() -> Iterator[Sentence]:
    for breaker in Breaker.objects.filter(open_until__gt=Now()).order_by("target")[:LONGEST]:
        text = (
            f"{breaker.target} failed {_times(breaker.failures)} in a row; calls to it wait until "
            f"{figures.clock(breaker.open_until, timezone.localtime())}."
        )
        yield Sentence("plug", "amber", text, "System", SYSTEM)


def _tools() -> Iterator[Sentence]:
    """Told to those who may answer; the others see that their runs wait."""
    count = pins.undecided()
    if count:
        verb = "waits" if count == 1 else "wait"
        text = f"{figures.plural(count, 'description')} of tools changed and {verb} for an answer."
        yield Sentence("triangle-alert", "purple", text, "Tools", reverse("tool-pins"))


def _modules() -> Iterator[Sentence]:
    for problem in catalog().problems():
        yield Sentence("triangle-alert", "amber", problem.sentence, "Agents", "/agents/")


# -- first steps ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FirstStep:
    """Something to do once; ``done`` is what was found, not what was clicked."""

    title: str
    told: str
    done: bool
    href: str = ""
    label: str = ""
    command: str = ""


def is_new(runs: QuerySet[Run]) -> bool:
    """Whether no run ever succeeded here: then first steps are shown."""
    return not runs.filter(stop_reason=StopReason.COMPLETED).exists()
