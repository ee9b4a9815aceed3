"""Asking models from a worker: its routes, its keys, the pace of its providers.

Routes and endpoints are read every second over the keeper's connection, so that a step asks no
database to learn them; what an operator saves holds for the next attempt.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import sys
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any

import structlog

from agentops.execution.port import Choice, Pause, Tried
from agentops.execution.records import Claim, Meta
from agentops.providers import builtin, routing, scripted
from agentops.providers.endpoints import Endpoint, Protocol
from agentops.providers.routing import Candidate, Decision, Facts, Route
from agentops.sdk import history
from agentops.sdk.calls import ToolContext
from agentops.sdk.catalog import catalog
from agentops.sdk.errors import Fatal, ModelError
from agentops.sdk.history import NothingToSummarise
from agentops.sdk.messages import Reply
from agentops.sdk.models import ModelRequest
from agentops.sdk.turns import Past
from runs.engine.limits import PACE, Limits
from runs.engine.recalling import Recalling, Unread

if TYPE_CHECKING:
    from runs.engine.host import Host

Query = Callable[..., list[tuple[Any, ...]]]
log = structlog.get_logger(__name__)

_ENDPOINTS = """
SELECT name, protocol, base_url, key_variable, requests_per_minute, tokens_per_minute
  FROM model_endpoint
"""
_ROUTES = """
SELECT DISTINCT ON (route) route, number, candidates::text FROM route_version
 ORDER BY route, number DESC
"""
_WHO = """
SELECT u.username, coalesce(t.name, '') FROM run r
  JOIN accounts_user u ON u.id = r.owner_id LEFT JOIN accounts_team t ON t.id = r.team_id
 WHERE r.id = $1
"""
_KEYS = "UPDATE worker SET key_variables = $2 WHERE id = $1"
KNOWN_RUNS = 10_000
_ADAPTER = "agentops.providers.adapter"
_REQUEST_MARGIN = 5.0
UNREAD_SECONDS = 1.0
# No model in use takes less; only beyond that is its window looked up.
SURELY_FITTING = 2_000


class Models:
    """The models as this process may ask them."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._recalling = Recalling(host)
        self.limits = Limits(host.keeper.rows, host.keeper.defer)
        self._endpoints = builtin.endpoints(os.environ)
        self._missing: dict[str, str] = {}
        self._routes: dict[str, Route] = {}
        self._broken: dict[str, str] = {}
        self._told: tuple[int, list[str]] | None = None
        self._people: OrderedDict[int, tuple[str, str]] = OrderedDict()

    # -- what is known ------------------------------------------------------------------------

    def share(self, query: Query) -> None:
        """Learn routes and endpoints as they stand. Called by the keeper."""
        endpoints, missing, limits = builtin.endpoints(os.environ), {}, {}
        variables = set(builtin.KEYS.values())
        for name, protocol, base_url, variable, requests, tokens in query(_ENDPOINTS):
            key = os.environ.get(variable, "") if variable else ""
            endpoints[name] = Endpoint(name, Protocol(protocol), base_url, key)
            if variable and not key:
                missing[name] = f"{variable} is not set for this worker"
            variables.add(variable)
            limits[name] = (requests, tokens)
        self._tell_keys(query, sorted(name for name in variables if os.environ.get(name)))
        self._endpoints, self._missing = endpoints, missing
        self.limits.known(limits)
        self._read_routes(query)

    def _tell_keys(self, query: Query, names: list[str]) -> None:
        """Let people see which keys this worker has; of them their names alone leave it."""
        told = (self._host.keeper.worker, names)
        if told != self._told:
            query(_KEYS, *told)
            self._told = told

    def _read_routes(self, query: Query) -> None:
        routes, broken = {}, {}
        for name, number, text in query(_ROUTES):
            try:
                routes[name] = Route(name, number, routing.candidates(json.loads(text)))
            except ValueError as error:
                broken[name] = str(error)
        for name, fault in broken.items() - self._broken.items():
            log.error("route.unreadable", route=name, fault=fault)
        self._routes, self._broken = routes, broken

    def embedding(self, name: str) -> tuple[Endpoint, str] | None:
        """Where and with which model the route ``name`` embeds texts, if it can at all."""
        route = self._routes.get(name)
        for candidate in route.candidates if route else ():
            endpoint = self._endpoints.get(candidate.endpoint)
            speaks = endpoint is not None and endpoint.protocol is Protocol.OPENAI
            if endpoint is not None and speaks and not self._missing.get(candidate.endpoint):
                return endpoint, candidate.model
        return None

    def _route(self, name: str) -> Route:
        route = self._routes.get(name) or builtin.route(name, self._endpoints)
        if route is None:
            names = ", ".join(sorted({*self._routes, *builtin.NAMES}))
            raise Fatal(f"There is no route “{name}”. There are: {names}.")
        return route

    async def close(self) -> None:
        """Let go of the connections of this loop."""
        adapter = sys.modules.get(_ADAPTER)
        if adapter is not None:
            await adapter.close()

    # -- choosing -----------------------------------------------------------------------------

    async def choose(
        self, claim: Claim, request: ModelRequest, tried: Sequence[Tried]
    ) -> Choice | Pause:
        """Whom to ask next, once the pace of its provider allows. Raises Fatal for nobody."""
        request = self._recalling.settled(claim, request)
        try:
            past = await self._recalling.past(claim) if request.history else None
        except Unread:
            return Pause(UNREAD_SECONDS, "the history of the conversation")
        route = self._route(request.route)
        if any(c.when.people or c.when.teams for c in route.candidates):
            await self._look_up(claim)
        if request.history is not None and request.history.summarise:
            return await self._choose_for_summary(claim, route, request, tried, past)
        whole = history.with_past(request, past)
        decision = await self._decide(route, claim, whole, tried)
        try:
            await self._check_size(route, request, past, decision)
        except Fatal:
            if decision.candidate is not None:
                self._host.breakers.withdraw(decision.candidate.target)
            raise
        return await self._chosen(claim, route, whole, decision, past)

    async def _choose_for_summary(
        self,
        claim: Claim,
        route: Route,
        request: ModelRequest,
        tried: Sequence[Tried],
        past: Past | None,
    ) -> Choice | Pause:
        """Whom to ask to sum up the oldest turns, which are as many as it takes in."""
        if past is None:
            raise NothingToSummarise
        first = routing.decide(route, request, tried, self._facts(claim))
        window = await self._window(first.candidate)
        made = history.compaction(request, past, routing.input_tokens, window)
        decision = await self._decide(route, claim, made.request, tried)
        picked = await self._chosen(claim, route, made.request, decision, None)
        if isinstance(picked, Pause):
            return picked
        told: Meta = {"conversation": past.conversation, "summarised": [made.first, made.through]}
        ask = self._recalling.keeping(claim, made.through, picked.ask)
        return Choice(picked.target, {**picked.note, "history": told}, ask)

    async def _chosen(
        self,
        claim: Claim,
        route: Route,
        request: ModelRequest,
        decision: Decision,
        past: Past | None,
    ) -> Choice | Pause:
        candidate = decision.candidate
        if candidate is None and decision.rests_seconds > 0:
            return Pause(decision.rests_seconds, f"route {route.name}: {decision.why_nobody}")
        if candidate is None:
            raise Fatal(f"Nobody can be asked for route “{route.name}”: {decision.why_nobody}.")
        seconds = await self.limits.take(candidate.endpoint, routing.input_tokens(request))
        if seconds > 0:
            self._host.breakers.withdraw(candidate.target)
            return Pause(seconds, f"{PACE}{candidate.endpoint}")
        note = _note(route, candidate, decision)
        if self._endpoints[candidate.endpoint].protocol is Protocol.SCRIPTED:
            note["scripted"] = True
        ask = self._asking(claim, candidate, request)
        if past is not None:
            note["history"] = history.reference(past)
            ask = history.refused_for_size(ask, request, past)
        return Choice(candidate.target, note, ask)

    async def _check_size(
        self,
        route: Route,
        request: ModelRequest,
        past: Past | None,
        decision: Decision,
    ) -> None:
        """Raises HistoryTooLong or ContextOverflow for what is not to be sent."""
        tokens = routing.input_tokens(history.with_past(request, past))
        if decision.candidate is not None:
            known = past is not None and tokens > SURELY_FITTING
            window = await self._window(decision.candidate) if known else None
            history.check_size(request, past, tokens, window)
        elif decision.rests_seconds <= 0:
            able = [c for c in route.candidates if not self._unfit(c)]
            windows = [c.context_tokens for c in able]
            if windows and all(w is not None and w < tokens for w in windows):
                history.check_size(request, past, tokens, max(w or 0 for w in windows))

    async def _window(self, candidate: Candidate | None) -> int | None:
        """Tokens a candidate takes in, as far as anybody knows."""
        if candidate is None or candidate.context_tokens is not None:
            return candidate.context_tokens if candidate else None
        endpoint = self._endpoints[candidate.endpoint]
        if endpoint.protocol is Protocol.SCRIPTED:
            return None
        adapter = await asyncio.to_thread(import_module, _ADAPTER)
        try:
            window: int | None = await adapter.context_window(endpoint, candidate.model)
        except ModelError:  # the request itself will say what is wrong with the endpoint
            return None
        return window

    async def _decide(
        self, route: Route, claim: Claim, request: ModelRequest, tried: Sequence[Tried]
    ) -> Decision:
        """Whose circuit is half open is tried by one; the others go on to the next candidate."""
        while True:
            decision = routing.decide(route, request, tried, self._facts(claim))
            candidate = decision.candidate
            if candidate is None or await self._host.breakers.admit(candidate.target) <= 0:
                return decision

    def exhausted(self, claim: Claim, request: ModelRequest, tried: Sequence[Tried]) -> bool:
        """Whether nobody is left to ask, now or later."""
        return routing.is_exhausted(self._route(request.route), request, tried, self._facts(claim))

    def _facts(self, claim: Claim) -> Facts:
        person, team = self._people.get(claim.id, ("", ""))
        now: datetime = self._host.keeper.now()
        return Facts(claim.agent, person, team, now, self._host.breakers.blocked, self._unfit)

    def _unfit(self, candidate: Candidate) -> str:
        if candidate.endpoint not in self._endpoints:
            return "there is no such endpoint"
        return self._missing.get(candidate.endpoint, "")

    async def _look_up(self, claim: Claim) -> None:
        if claim.id in self._people:
            return
        rows = await self._host.keeper.rows(lambda query: query(_WHO, claim.id))
        self._people[claim.id] = rows[0] if rows else ("", "")
        if len(self._people) > KNOWN_RUNS:
            self._people.popitem(last=False)

    # -- asking -------------------------------------------------------------------------------

    def _asking(
        self, claim: Claim, candidate: Candidate, request: ModelRequest
    ) -> Callable[[ToolContext], Awaitable[Reply]]:
        endpoint = self._endpoints[candidate.endpoint]
        if endpoint.protocol is Protocol.SCRIPTED:
            return functools.partial(self._play, claim.agent, request)
        return functools.partial(self._ask, endpoint, candidate.model, request)

    async def _ask(
        self, endpoint: Endpoint, model: str, request: ModelRequest, context: ToolContext
    ) -> Reply:
        # Pydantic AI takes seconds to import, which must not hold up the loop.
        adapter = await asyncio.to_thread(import_module, _ADAPTER)
        seconds = max(1.0, context.seconds_left - _REQUEST_MARGIN)
        reply: Reply = await adapter.ask(
            endpoint, model, request, timeout=seconds, sink=context.stream
        )
        self.limits.settle(endpoint.name, routing.input_tokens(request), reply.usage)
        return reply

    async def _play(self, agent: str, request: ModelRequest, context: ToolContext) -> Reply:
        return await scripted.play(catalog().agent(agent).script, request, context.stream)


def _note(route: Route, candidate: Candidate, decision: Decision) -> Meta:
    note: Meta = {
        "target": candidate.target,
        "route": route.name,
        "route_version": route.version,
        "endpoint": candidate.endpoint,
        "requested": candidate.model,
    }
    if decision.rejected:
        note["rejected"] = dict(decision.rejected)
    return note
