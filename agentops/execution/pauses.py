"""Steps that wait or hand over: sleeping, events, runs started and awaited."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from agentops.execution.outcomes import Outcome
from agentops.execution.port import Answered, Refused
from agentops.execution.records import Entry, Message, Phase, error_record
from agentops.execution.waits import Wait
from agentops.sdk import codec
from agentops.sdk.errors import AgentopsError
from agentops.sdk.ids import new_run_id
from agentops.sdk.steps import Ask, AwaitChild, AwaitEvent, Sleep, Spawn, Step

if TYPE_CHECKING:
    from agentops.execution.execution import Execution


class Pauses:
    """Says of such a step what came of it, or what it still waits for.

    ``fired`` holds the keys of the timers that have gone off in this execution.
    """

    def __init__(self, execution: Execution) -> None:
        self._x = execution
        self.fired: set[str] = set()

    async def perform(self, key: str, step: Step, fingerprint: str) -> Outcome | Wait:
        """The step's outcome, or its wait."""
        asked = _Asked(key, step, fingerprint)
        if isinstance(step, Sleep):
            return await self._sleep(asked, step)
        if isinstance(step, AwaitEvent):
            return await self._await_event(asked, step)
        if isinstance(step, Spawn):
            return await self._spawn(asked, step)
        if isinstance(step, Ask):
            return await self._ask(asked, step)
        assert isinstance(step, AwaitChild)  # noqa: S101 - the last kind there is
        return self._await_child(asked, step)

    async def _sleep(self, asked: _Asked, step: Sleep) -> Outcome | Wait:
        due = self._due(asked, step.seconds, "timer.started")
        if self._is_over(asked, due):
            return self._outcome(asked, "timer.fired", None)
        return Wait(asked.key, "timer", due)

    async def _await_event(self, asked: _Asked, step: AwaitEvent) -> Outcome | Wait:
        message = self._x.replay.take_message(step.name)
        if message is not None:
            return self._received(asked, message)
        due = self._due(asked, step.timeout, "event.awaited")
        if step.timeout is not None and self._is_over(asked, due):
            text = f"No event “{step.name}” came within {step.timeout:g} s."
            return self._outcome(asked, "event.expired", error_record("event_timeout", text))
        return Wait(
            asked.key, "event", due if step.timeout is not None else None, step.name, step.name
        )

    async def _ask(self, asked: _Asked, step: Ask) -> Outcome | Wait:
        due = self._due(asked, step.timeout, "question.asked")
        deadline = due if step.timeout is not None else None
        while True:
            said = await self._x.port.question(self._x.claim, asked.key, step, deadline)
            if isinstance(said, Answered):
                outcome = self._outcome(asked, "question.answered", dict(said.value))
                outcome.entry.meta = {"type": step.type, **said.note}
                return outcome
            if isinstance(said, Refused):
                record = error_record(said.code, said.message)
                return self._outcome(asked, f"question.{said.code}", record)
            # See Note [Nothing decided is missed].
            if self._x.replay.take_message(said.message) is None:
                return Wait(asked.key, said.kind, said.due, said.message, said.detail)

    def _is_over(self, asked: _Asked, due: datetime) -> bool:
        return asked.key in self.fired or due <= self._x.port.now()

    def _due(self, asked: _Asked, seconds: float | None, kind: str) -> datetime:
        """When the wait ends; recorded, so that a restart does not begin it anew."""
        begun = self._x.replay.intent(asked.key)
        if begun is not None:
            return datetime.fromisoformat(str((begun.meta or {})["due"]))
        now = self._x.port.now()
        due = now + timedelta(seconds=seconds or 0.0)
        if seconds is None or seconds > self._x.linger_seconds:
            meta: dict[str, object] = {"type": asked.step.type, "due": due.isoformat()}
            entry = Entry(asked.key, Phase.INTENT, kind, asked.step.name, now, n=1, meta=meta)
            self._x.watch(self._x.numbers.append([entry]))
            self._x.replay.begin(entry)
        return due

    async def _spawn(self, asked: _Asked, step: Spawn) -> Outcome:
        try:
            prepared = self._x.port.prepare(step)
        except AgentopsError as error:
            return self._outcome(asked, "child.failed", error_record(error.code, str(error)))
        public_id = new_run_id()
        outcome = self._outcome(asked, "child.started", public_id)
        outcome.entry.meta = {"type": "child", "child": public_id}
        await self._x.numbers.spawn(outcome.entry, prepared, public_id)
        outcome.recorded = True
        return outcome

    def _await_child(self, asked: _Asked, step: AwaitChild) -> Outcome | Wait:
        name = f"child:{step.spawn_key}"
        message = self._x.replay.message(name)
        if message is None:
            return Wait(asked.key, "child", None, name, step.name)
        told = codec.revive(*message.value)
        kind, value = _child_outcome(told if isinstance(told, dict) else {})
        return self._outcome(asked, kind, value)

    def _received(self, asked: _Asked, message: Message) -> Outcome:
        outcome = self._outcome(asked, "event.received", codec.revive(*message.value))
        outcome.entry.meta = {"type": asked.step.type, "inbox": message.n}
        return outcome

    def _outcome(self, asked: _Asked, kind: str, value: object) -> Outcome:
        encoded = codec.encode(value)
        entry = Entry(
            asked.key,
            Phase.OUTCOME,
            kind,
            asked.step.name,
            self._x.port.now(),
            fingerprint=asked.fingerprint,
            value=encoded,
            meta={"type": asked.step.type},
        )
        return Outcome(entry, codec.as_recorded(value, encoded))


class _Asked:
    """Which step it is."""

    def __init__(self, key: str, step: Step, fingerprint: str) -> None:
        self.key, self.step, self.fingerprint = key, step, fingerprint


def _child_outcome(told: dict[str, object]) -> tuple[str, object]:
    if told.get("status") == "succeeded":
        return "child.finished", told.get("output")
    error = told.get("error")
    message = error.get("message") if isinstance(error, dict) else told.get("stop_reason")
    text = f"Run {told.get('run')} ended as {told.get('status')}: {message}"
    return "child.failed", error_record("child_failed", text)
