"""The first gate: nothing begins that somebody stopped; see Note [Stops]."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from agentops.execution.port import PASSED, Action, Event, Held, Permit
from agentops.execution.records import Claim, Meta
from agentops.sdk.catalog import catalog
from agentops.sdk.errors import UnknownAgent
from runs.engine.gates import Gate, Query
from runs.engine.stopped import STOPS
from runs.engine.store import STOPPED

_HOLDING = f"""
WITH RECURSIVE {STOPS}
SELECT public_id, scope, target, person FROM stops WHERE scope <> 'run'
UNION ALL
SELECT stop, 'run', '', id FROM stopped_runs
"""
# What says most about why comes first.
_NARROW_FIRST = ("run", "tool", "agent_version", "agent", "person", "everything")


@dataclass(frozen=True, slots=True)
class Known:
    """The stops that held when they were last read: which stop, by scope and what it is about."""

    stops: dict[tuple[str, object], str] = field(default_factory=dict)

    def on(self, claim: Claim, tool: str) -> tuple[str, str] | None:
        """The stop that is about this, and its scope."""
        if not self.stops:
            return None
        about: dict[str, list[object]] = {
            "run": [claim.id],
            "tool": [tool] if tool else [],
            "agent_version": [*_versions(claim)],
            "agent": [claim.agent],
            "person": [claim.owner_id] if claim.owner_id else [],
            "everything": [""],
        }
        wanted = ((scope, named) for scope in _NARROW_FIRST for named in about[scope])
        found = next((pair for pair in wanted if pair in self.stops), None)
        return None if found is None else (self.stops[found], found[0])


class StopGate(Gate):
    """Holds what a stop is about until that is lifted."""

    def __init__(self, threaded: Callable[[Callable[[], Any]], Awaitable[Any]]) -> None:
        super().__init__(threaded)
        self._known = Known()

    def refresh(self, query: Query) -> None:
        """Read the stops that hold. One statement, of an empty index while there is none."""
        rows = query(_HOLDING)
        self._known = Known({(scope, _named(scope, target, number)): stop
                             for stop, scope, target, number in rows})  # fmt: skip

    def quick(self, action: Action) -> Permit | None:
        """What was read within the last second or so is enough; see Note [Gates know, or ask]."""
        found = self._known.on(action.claim, action.tool)
        if found is None:
            return PASSED
        stop, scope = found
        told: Meta = {"stop": stop, "scope": scope, "type": action.work.type}
        return Held(f"{STOPPED}{stop}", (Event("stop.held", action.claim.epoch, told, True),))

    async def permit(self, action: Action) -> Permit:
        """Never needed: what :meth:`quick` knows is all there is to know."""
        return self.quick(action) or PASSED

    def is_stopped(self, claim: Claim, tool: str) -> bool:
        """Whether somebody stopped it since it was permitted."""
        return self._known.on(claim, tool) is not None


def _named(scope: str, target: str, number: int | None) -> object:
    """What a stop is looked up by: runs and people by their number, of which None is nobody."""
    return number if scope in {"run", "person"} else target


def _versions(claim: Claim) -> set[str]:
    """The version a run began with, and the one that would execute it here."""
    try:
        here = catalog().agent(claim.agent).version
    except UnknownAgent:
        here = claim.agent_version
    return {f"{claim.agent}@{version}" for version in (claim.agent_version, here)}
