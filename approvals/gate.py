"""The gate of policies and approvals; see ``Gate`` for what a gate is.

A call that rules let pass, passes in memory. One they speak of otherwise is looked up: what was
asked and decided about this step before comes first, whatever the rules say now, except that they
may always be stricter.

# Note [Asked before]
Whether a step was ever asked about decides whether it has to be looked up, which costs a query. The
journal knows: the line ``approval.requested`` is in it before the request is made. So a worker that
takes the run over after a crash looks, and a call that nobody was asked about costs nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from agentops.execution.port import (
    PASSED,
    Action,
    Answered,
    Asks,
    Passed,
    Permit,
    Refused,
    Tells,
)
from agentops.execution.records import Claim
from agentops.sdk.mcp import RemoteTool
from agentops.sdk.steps import Ask
from approvals import asking, envelope, known, wondering
from approvals.asking import Case
from approvals.envelope import Unfit
from approvals.known import Known, Query
from approvals.previewing import preview
from approvals.rules import Ruling
from runs.engine.gates import Gate

UNFIT = "invalid_arguments"


class ApprovalGate(Gate):
    """Lets pass what the rules allow, asks people about the rest, and keeps to what they said."""

    def __init__(self, threaded: Callable[[Callable[[], Any]], Awaitable[Any]]) -> None:
        super().__init__(threaded)
        self._known = Known()

    def refresh(self, query: Query) -> None:
        """Read the rules in force."""
        self._known.refresh(query)

    def quick(self, action: Action) -> Permit | None:
        """Steps that are no calls, and calls about which nobody was or has to be asked."""
        if not action.tool or _only_lists(action):
            return PASSED
        if action.asked:
            return None
        try:
            ruling = self._known.ruling(action)
        except Unfit as error:
            return Refused(UNFIT, str(error))
        return None if ruling is None else _ruled(ruling, action)

    async def permit(self, action: Action) -> Permit:
        """What the rules and the people say about this very call."""
        try:
            ruling = await self._ruling(action)
            said = None if action.asked else _ruled(ruling, action)
            return said or await self._looked_up(action, ruling)
        except Unfit as error:
            return Refused(UNFIT, str(error))

    async def question(
        self, claim: Claim, key: str, asked: Ask, due: datetime | None
    ) -> Answered | Asks | Refused:
        """What people say; who asked once, waits for that answer."""
        said: Answered | Asks | Refused = await self.threaded(
            lambda: wondering.question(claim, key, asked, due)
        )
        return said

    async def _looked_up(self, action: Action, ruling: Ruling) -> Permit:
        found, principal = await self.threaded(lambda: _found(action))
        make = functools.partial(envelope.freeze, action.claim, action.key, action.work)
        frozen = make(version=known.version(action), principal=principal)
        case = Case(action, ruling, frozen)
        if found is not None and not asking.is_over(found):
            if asking.wants_preview(found):
                case = await self._previewed(case)
            said: Permit | None = await self.threaded(lambda: asking.judge(case, found))
            if said is not None:
                return said
        return await self._anew(case)

    async def _anew(self, case: Case) -> Permit:
        """What the rules say of a call about which nothing is decided."""
        said = _ruled(case.ruling, case.action)
        if said is not None:
            return said
        granted: Permit | None = await self.threaded(lambda: asking.granted(case))
        if granted is not None:
            return granted
        if not case.action.asked:
            # See Note [Asked before].
            return Tells((asking.requested(case),))
        case = await self._previewed(case)
        answer: Permit = await self.threaded(lambda: asking.ask(case))
        return answer

    async def _ruling(self, action: Action) -> Ruling:
        ruling = self._known.ruling(action)
        while ruling is None:
            await self.threaded(lambda: self._known.learn(action))
            ruling = self._known.ruling(action)
        return ruling

    async def _previewed(self, case: Case) -> Case:
        arguments = envelope.thaw(case.frozen, case.action.work)
        found = await preview(case.action, arguments, self.threaded)
        return Case(case.action, case.ruling, case.frozen, found)


def _only_lists(action: Action) -> bool:
    """Whether it is the list of a server's tools that is asked for, and no tool called."""
    return isinstance(action.work.tool, RemoteTool) and not action.work.tool.remote


def _found(action: Action) -> tuple[asking.Found | None, str]:
    """What was asked before, if the journal knows of it, and for whom the run is."""
    found = asking.find(action) if action.asked else None
    return found, known.principal(action.claim.owner_id)


def _ruled(ruling: Ruling, action: Action) -> Permit | None:
    """What the rules say where no person has to; None: somebody has to."""
    if ruling.effect == "deny":
        return asking.forbidden(ruling, action)
    return _allowed(ruling) if ruling.effect == "allow" else None


def _allowed(ruling: Ruling) -> Passed:
    """Allowed by a rule, which is noted, or because none had anything to say."""
    said: dict[str, object] = {}
    if ruling.rule is not None:
        said = {"rule": ruling.rule.id, "version": ruling.version}
    if ruling.watched:
        said["watched"] = [{"rule": one.rule, "effect": one.effect} for one in ruling.watched]
    return Passed({"policy": said}) if said else PASSED
