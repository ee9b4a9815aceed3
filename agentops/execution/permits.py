"""Whether an attempt may begin: asked before each, and told in the journal."""

from __future__ import annotations

from dataclasses import dataclass, field

from agentops.execution.numbering import Numbering
from agentops.execution.outcomes import Call, Outcomes
from agentops.execution.port import (
    PASSED,
    REQUESTED,
    Action,
    Event,
    Held,
    Passed,
    Permit,
    Port,
    Refused,
    Tells,
)
from agentops.execution.records import Claim, Entry, Meta, Phase
from agentops.execution.replay import Replay
from agentops.execution.waits import Wait
from agentops.sdk import steps
from agentops.sdk.retry import Certainty, Failure


@dataclass(frozen=True, slots=True)
class Permitted:
    """The call as it may happen now; ``note`` is recorded with the attempt."""

    call: Call
    note: Meta = field(default_factory=dict)
    told: str = ""
    # Whether the arguments are others than those of the agent, if only by where they come from.
    given: bool = False


class Permits:
    """Asks for the attempts of one execution."""

    def __init__(
        self, claim: Claim, port: Port, replay: Replay, numbers: Numbering, outcomes: Outcomes
    ) -> None:
        self._claim, self._port = claim, port
        self._replay, self._numbers, self._outcomes = replay, numbers, outcomes

    async def ask(self, call: Call, n: int) -> Permitted | Wait | Failure:
        """Whether attempt ``n`` may begin now, or what it waits for, or why it never may.

        # Note [Nothing decided is missed]
        A decision is a row, and a message that says there is one. The message is taken first and
        the row read after it: whatever was decided before the message came is seen now, and
        whatever comes later brings a message of its own.
        """
        while True:
            asked = self._replay.noted(REQUESTED, call.key)
            permit = await self._port.permit(Action(self._claim, call.key, n, call.work, asked))
            if permit is PASSED:
                return Permitted(call)
            await self._tell(call, permit.events)
            answer = self._answer(call, permit)
            if answer is not None:
                return answer

    def _answer(self, call: Call, permit: Permit) -> Permitted | Wait | Failure | None:
        """What a permit means for the step; None: ask once more."""
        if isinstance(permit, Passed):
            return _permitted(call, permit)
        if isinstance(permit, Refused):
            return Failure(permit.code, permit.message, "", False, Certainty.NOT_DONE)
        if isinstance(permit, Held):
            return Wait(call.key, "operator", None, None, permit.detail)
        if isinstance(permit, Tells) or self._replay.take_message(permit.message) is not None:
            return None
        return Wait(call.key, permit.kind, permit.due, permit.message, permit.detail)

    def stopped(self, call: Call) -> bool:
        """Whether what was permitted must not act after all."""
        work = call.work
        return self._port.is_stopped(self._claim, work.name if work.type == "tool" else "")

    async def _tell(self, call: Call, events: tuple[Event, ...]) -> None:
        now, rows = self._port.now(), []
        for event in events:
            key = f"@{event.kind}/{call.key}"
            if self._replay.note(key, event.n):
                row = Entry(key, Phase.NOTE, event.kind, call.work.name, now, n=event.n)
                row.meta = event.meta
                row.input = self._outcomes.arguments(call.work) if event.shows else None
                rows.append(row)
        if rows:
            await self._numbers.append(rows)


def _permitted(call: Call, permit: Passed) -> Permitted:
    if permit.arguments is None:
        return Permitted(call, permit.note, permit.told)
    work = steps.called_with(call.work, permit.arguments)
    return Permitted(Call(call.key, work, call.fingerprint), permit.note, permit.told, True)
