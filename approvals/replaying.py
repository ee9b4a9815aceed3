"""A draft of a policy tried on what agents did: which calls of the past it would have decided
otherwise.

Calls are read from the journal, newest first, with the arguments that were recorded; nothing is
stored and nothing runs. Some of the past cannot be known: the grants and stops of that time are
left out, and what never ran because a person said no is no call.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from django.db.models import F, Q

from agentops.accounts.access import Actor, visible_to
from agentops.accounts.models import Team
from agentops.sdk.catalog import catalog
from approvals import policies, rules
from approvals.rules import Facts, Policy, Ruling
from runs.models import Journal, Phase, Run
from runs.values import load_all

USUAL_DAYS = 30
MOST_CALLS = 5_000
MOST_SHOWN = 50
_PAGE = 500
_STRICTNESS = {"allow": 0, "ask": 1, "deny": 2}


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a tool, as it was."""

    run: str
    key: str
    at: datetime
    facts: Facts
    readable: bool = True


@dataclass(frozen=True, slots=True)
class Changed:
    """A call the draft decides otherwise. ``rule``: which rule of the draft, and why if unclear."""

    call: Call
    before: str
    after: str
    rule: str
    title: str
    fault: str

    @property
    def is_stricter(self) -> bool:
        """Whether the agent may do less."""
        return _STRICTNESS[self.after] > _STRICTNESS[self.before]


@dataclass(frozen=True, slots=True)
class Line:
    """So many calls are decided one way now and would have been decided the other way."""

    now: str
    then: str
    calls: int


@dataclass(slots=True)
class Replay:
    """What came of it. ``counts`` by what holds now and what the draft says, such as allow, ask."""

    since: datetime
    calls: int = 0
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    changed: list[Changed] = field(default_factory=list)
    by_rule: Counter[str] = field(default_factory=Counter)
    watched: Counter[str] = field(default_factory=Counter)
    unclear: int = 0
    unread: int = 0
    is_cut: bool = False

    @property
    def lines(self) -> list[Line]:
        """The counts, those that differ first."""
        counted = [Line(now, then, calls) for (now, then), calls in self.counts.items()]
        return sorted(counted, key=lambda line: (line.now == line.then, -line.calls))

    @property
    def differs(self) -> int:
        """How many calls the draft decides otherwise."""
        return sum(n for (now, then), n in self.counts.items() if now != then)


def replay(
    *, actor: Actor, draft: Policy, team: Team | None, now: datetime, days: int = USUAL_DAYS
) -> Replay:
    """Try ``draft`` as a layer's policy on the calls of the last days that ``actor`` may see."""
    result = Replay(since=now - timedelta(days=days))
    layers = _Layers(draft, team)
    found = _calls(actor, team, result.since)
    for call in islice(found, MOST_CALLS):
        result.calls += 1
        if not call.readable:
            result.unread += 1
            continue
        _try(result, call, *layers.of(call.facts.team))
    result.is_cut = next(found, None) is not None
    return result


class _Layers:
    """What holds now and what would, by team; read once each."""

    def __init__(self, draft: Policy, team: Team | None) -> None:
        self._draft, self._team = draft, team
        self._everybody = policies.holding(None)
        self._teams = {one.name: policies.holding(one) for one in policies.teams_with_rules()}

    def of(self, team: str) -> tuple[list[Policy], list[Policy]]:
        theirs = [self._teams[team]] if team in self._teams else []
        before = [self._everybody, *theirs]
        if self._team is None:
            return before, [self._draft, *theirs]
        is_theirs = team == self._team.name
        return before, [self._everybody, self._draft] if is_theirs else before


def _try(result: Replay, call: Call, before: list[Policy], after: list[Policy]) -> None:
    now, then = rules.decide(before, call.facts), rules.decide(after, call.facts)
    result.counts[now.effect, then.effect] += 1
    for watched in then.watched:
        result.watched[watched.title or watched.rule] += 1
    result.unclear += bool(then.fault)
    if then.rule is not None:
        result.by_rule[_named(then)] += 1
    if now.effect != then.effect and len(result.changed) < MOST_SHOWN:
        name = then.rule.id if then.rule else ""
        result.changed.append(
            Changed(call, now.effect, then.effect, name, _named(then), then.fault)
        )


def _named(ruling: Ruling) -> str:
    return (ruling.rule.title or ruling.rule.id) if ruling.rule else "No rule speaks of it"


def _calls(actor: Actor, team: Team | None, since: datetime) -> Iterator[Call]:
    """Calls of tools since then, those of the newest runs first."""
    seen = visible_to(actor, Run.objects.filter(created_at__gte=since))
    ours = seen.filter(team=team) if team is not None else seen
    declared = _declared()
    last: int | None = None
    while True:
        page = ours if last is None else ours.filter(pk__lt=last)
        numbers = list(page.order_by("-pk").values_list("pk", flat=True)[:_PAGE])
        if not numbers:
            return
        last = numbers[-1]
        yield from _of_runs(numbers, declared)


def _of_runs(numbers: list[int], declared: dict[str, str]) -> Iterator[Call]:
    """Each call once: by its intent where there is one, else by its outcome."""
    rows = (
        Journal.objects.filter(run__in=numbers, meta__type="tool", input_codec__isnull=False)
        .filter(Q(phase__in=[Phase.INTENT, Phase.OUTCOME, Phase.STARTED]))
        .order_by("-run", "-seq")
        .annotate(
            run_name=F("run__public_id"),
            agent=F("run__agent"),
            version=F("run__agent_version"),
            person=F("run__owner__username"),
            team=F("run__team__name"),
        )
        .values_list(
            "run_name", "key", "at", "agent", "version", "name", "meta", "person", "team",
            "input_codec", "input",
        )
    )  # fmt: skip
    seen: set[tuple[str, str]] = set()
    for page in _pages(rows.iterator(chunk_size=_PAGE)):
        inputs = load_all([row[-2:] for row in page])
        for row, given in zip(page, inputs, strict=True):
            if row[:2] not in seen:
                seen.add(row[:2])
                yield _call(row, given, declared)


def _call(row: Any, given: object, declared: dict[str, str]) -> Call:
    run, key, at, agent, version, name, meta, person, team = row[:9]
    facts = Facts(
        agent=agent,
        agent_version=version,
        tool=name,
        effect=str(meta.get("effect", "once")),
        declared=declared.get(name, "policy"),
        person=person or "",
        team=team or "",
        arguments=given if isinstance(given, dict) else {},
    )
    return Call(run, key, at, facts, readable=isinstance(given, dict))


def _pages(rows: Iterator[Any]) -> Iterator[list[Any]]:
    while page := list(islice(rows, _PAGE)):
        yield page


def _declared() -> dict[str, str]:
    """What tools of today say about themselves; of those that are gone nothing is known."""
    return {
        tool.name: str(getattr(tool, "approval", "policy"))
        for agent in catalog().agents()
        for tool in agent.tools
    }
