"""How the models of this installation stand: keys, paces, breakers, and who would be asked now.

Web processes have no keys. What they know of those is what workers say: the names of the variables
they have.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from agentops.providers import builtin, routing
from agentops.providers.endpoints import Endpoint, Protocol
from agentops.providers.routing import Candidate, Facts, Route
from agentops.sdk.models import ModelRequest
from runs import routes
from runs.models import Breaker, LimitBucket, ModelEndpoint, RouteVersion, Worker, WorkerState


@dataclass(frozen=True, slots=True)
class Keys:
    """Which of the living workers have which variables. Those that did not say are left out."""

    workers: Mapping[int, frozenset[str]]

    @property
    def somewhere(self) -> dict[str, str]:
        """Every variable that some worker has."""
        return {name: "set" for names in self.workers.values() for name in names}

    def lacking(self, variable: str) -> list[int]:
        """The workers without it."""
        return sorted(pk for pk, names in self.workers.items() if variable not in names)

    def fault(self, variable: str) -> str:
        """Why an endpoint with this variable cannot be asked at all, or nothing."""
        nowhere = variable and self.workers and len(self.lacking(variable)) == len(self.workers)
        return f"{variable} is not set on any worker" if nowhere else ""

    def words(self, variable: str) -> str:
        """Where the key is, for people."""
        if not variable:
            return "needs no key"
        lacking = self.lacking(variable)
        if not self.workers:
            return f"{variable}: no worker says whether it has it"
        if not lacking:
            return f"{variable} is set on all workers"
        if len(lacking) == len(self.workers):
            return f"{variable} is not set on any worker"
        return f"{variable} is missing on worker {', '.join(map(str, lacking))}"


def keys(workers: Iterable[Worker]) -> Keys:
    """What the living among these workers say."""
    return Keys(
        {
            worker.pk: frozenset(worker.key_variables)
            for worker in workers
            if worker.state == WorkerState.ALIVE and worker.key_variables is not None
        }
    )


@dataclass(frozen=True, slots=True)
class Level:
    """What a minute's limit still has."""

    left: int
    per_minute: int
    what: str


@dataclass(frozen=True, slots=True)
class EndpointRow:
    """An endpoint as people see it."""

    name: str
    protocol: str
    base_url: str
    key: str
    fault: str
    scripted: bool
    levels: list[Level]
    stored: ModelEndpoint | None = None


@dataclass(frozen=True, slots=True)
class CandidateRow:
    """A candidate and whether it would be asked now, else why not."""

    endpoint: str
    model: str
    scripted: bool
    conditions: str
    asked_now: bool
    why_not: str


@dataclass(frozen=True, slots=True)
class RouteRow:
    """A route as it stands. Version 0 comes with every installation."""

    name: str
    version: int
    candidates: list[CandidateRow]
    fault: str = ""
    note: str = ""
    made_at: datetime | None = None
    made_by: str | None = None
    stored: RouteVersion | None = None

    @property
    def asked(self) -> CandidateRow | None:
        """Who would be asked now with a short plain question."""
        return next((row for row in self.candidates if row.asked_now), None)


@dataclass(frozen=True, slots=True)
class Standing:
    """Everything about models, read once."""

    endpoints: list[EndpointRow]
    routes: list[RouteRow]
    breakers: list[Breaker] = field(default_factory=list)

    def route(self, name: str) -> RouteRow | None:
        """The route of that name."""
        return next((route for route in self.routes if route.name == name), None)

    @property
    def is_scripted(self) -> bool:
        """Whether some route would be answered by a script now."""
        return any(route.asked and route.asked.scripted for route in self.routes)


def now(moment: datetime, workers: Iterable[Worker] | None = None) -> Standing:
    """How models stand at ``moment``. ``workers``: those that are known to the caller already."""
    if workers is None:
        workers = Worker.objects.filter(state=WorkerState.ALIVE)
    return _standing(keys(workers), moment)


def _standing(have: Keys, moment: datetime) -> Standing:
    stored = {row.name: row for row in ModelEndpoint.objects.order_by("name")}
    known = builtin.endpoints(have.somewhere) | {
        row.name: Endpoint(row.name, Protocol(row.protocol), row.base_url)
        for row in stored.values()
    }
    buckets = {bucket.key: bucket for bucket in LimitBucket.objects.all()}
    variables = {Protocol(p).value: variable for p, variable in builtin.KEYS.items()}
    variables |= {row.name: row.key_variable for row in stored.values()}
    rows = [
        EndpointRow(
            name=name, protocol=endpoint.protocol.value, base_url=endpoint.base_url,
            key=have.words(variables.get(name, "")), fault=have.fault(variables.get(name, "")),
            scripted=endpoint.protocol is Protocol.SCRIPTED,
            levels=_levels(stored.get(name), buckets, moment), stored=stored.get(name),
        )
        for name, endpoint in sorted(known.items())
    ]  # fmt: skip
    breakers = list(Breaker.objects.order_by("target"))
    deciding = _Deciding({row.name: row for row in rows}, breakers, moment)
    return Standing(rows, _routes(deciding, known), breakers)


def _levels(
    row: ModelEndpoint | None, buckets: Mapping[str, LimitBucket], moment: datetime
) -> list[Level]:
    if row is None:
        return []
    limits = (("r", row.requests_per_minute, "requests"), ("t", row.tokens_per_minute, "tokens"))
    return [
        Level(_left(buckets.get(f"{row.name}/{kind}"), limit, moment), limit, what)
        for kind, limit, what in limits
        if limit is not None
    ]


def _left(bucket: LimitBucket | None, per_minute: int, moment: datetime) -> int:
    """As workers reckon it: the bucket fills while nobody takes, up to a minute's worth."""
    if bucket is None:
        return per_minute
    grown = max(0.0, (moment - bucket.changed_at).total_seconds()) * per_minute / 60
    return int(min(per_minute, bucket.level + grown))


@dataclass(frozen=True, slots=True)
class _Deciding:
    """The facts for a decision about nobody's run in particular."""

    endpoints: Mapping[str, EndpointRow]
    breakers: list[Breaker]
    moment: datetime

    @property
    def facts(self) -> Facts:
        return Facts("", "", "", self.moment, self.resting, self.unfit)

    def resting(self, target: str) -> float:
        until = next((b.open_until for b in self.breakers if b.target == target), None)
        return max(0.0, (until - self.moment).total_seconds()) if until else 0.0

    def unfit(self, candidate: Candidate) -> str:
        row = self.endpoints.get(candidate.endpoint)
        return "there is no such endpoint" if row is None else row.fault

    def rows(self, route: Route) -> list[CandidateRow]:
        decision = routing.decide(route, ModelRequest(route.name, ()), (), self.facts)
        return [self._row(c, decision) for c in route.candidates]

    def _row(self, candidate: Candidate, decision: routing.Decision) -> CandidateRow:
        endpoint = self.endpoints.get(candidate.endpoint)
        asked = decision.candidate is not None and candidate.target == decision.candidate.target
        why = "" if asked else decision.rejected.get(candidate.target, "comes after the one asked")
        return CandidateRow(
            candidate.endpoint, candidate.model, endpoint is not None and endpoint.scripted,
            routes.conditions(candidate), asked, why,
        )  # fmt: skip


def _routes(deciding: _Deciding, known: Mapping[str, Endpoint]) -> list[RouteRow]:
    found = {version.route: _stored_row(deciding, version) for version in routes.current()}
    for name in builtin.NAMES:
        route = builtin.route(name, known)
        if name not in found and route is not None:
            found[name] = RouteRow(name, 0, deciding.rows(route), note="comes with the product")
    return [found[name] for name in sorted(found)]


def _stored_row(deciding: _Deciding, version: RouteVersion) -> RouteRow:
    rows, fault = [], ""
    try:
        read = routing.candidates(version.candidates)
        rows = deciding.rows(Route(version.route, version.number, read))
    except ValueError as error:
        fault = str(error)
    by = version.made_by.get_username() if version.made_by else None
    return RouteRow(
        version.route, version.number, rows, fault, version.note, version.made_at, by, version
    )


def doubts(candidates: Iterable[Candidate], moment: datetime) -> list[str]:
    """What an author should know of these candidates, though they may be saved."""
    standing = now(moment)
    deciding = _Deciding({r.name: r for r in standing.endpoints}, standing.breakers, moment)
    told = []
    for candidate in candidates:
        row, seconds = (
            deciding.endpoints.get(candidate.endpoint),
            deciding.resting(candidate.target),
        )
        named = f"{candidate.endpoint}/{candidate.model}"
        if row is None:
            told.append(f"{named}: there is no endpoint “{candidate.endpoint}” yet.")
        elif "not set" in row.key or "missing" in row.key:
            told.append(f"{named}: {row.key}.")
        if seconds > 0:
            told.append(f"{named} failed again and again; it is left alone for {seconds:.0f} s.")
    return told
