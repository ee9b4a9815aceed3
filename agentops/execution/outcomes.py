"""What a step came to, as rows of the journal."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from agentops.execution.port import Ask, Choice
from agentops.execution.records import Entry, Meta, Phase, error_record
from agentops.sdk import codec
from agentops.sdk.errors import PayloadError
from agentops.sdk.retry import Certainty, Failure
from agentops.sdk.steps import Work

# After its timeout an attempt gets this long to let go before it counts as unable to act.
DEADLINE_GRACE_SECONDS = 5.0
LONGEST_MESSAGE = 500


@dataclass(frozen=True, slots=True)
class Call:
    """The work of one step: its key in the run, what to do, what the record must fit."""

    key: str
    work: Work
    fingerprint: str


@dataclass(slots=True)
class Flight:
    """An attempt under way.

    ``acting``: between its intent and its end, so it must not be cut. ``abandoned``: given up
    while its thread may still act.
    """

    work: Work
    n: int
    started_at: datetime
    deadline_at: datetime
    since: float
    announced: bool = False
    acting: bool = False
    abandoned: bool = False
    # The model this attempt asks.
    choice: Choice | None = None
    # Does the call on the server it was made for.
    ask: Ask | None = None
    # What only this attempt knows: the model it asks, what that cost, who permitted it.
    note: Meta = field(default_factory=dict)
    # What a model hears besides the result.
    told: str = ""
    # Whether it runs with arguments that were given to it: what lost it needs them to be settled.
    given: bool = False

    @property
    def approval(self) -> str:
        """The request by which a person let it pass, if one did."""
        said = self.note.get("approval")
        return str(said.get("request", "")) if isinstance(said, dict) else ""

    @classmethod
    def begin(cls, work: Work, n: int, now: datetime) -> Flight:
        """Attempt ``n`` begins now."""
        deadline = now + timedelta(seconds=work.timeout + DEADLINE_GRACE_SECONDS)
        return cls(work, n, now, deadline, time.monotonic())

    @property
    def ending(self) -> Meta:
        """What the row of its end says."""
        return _facts(self) | ({"told": self.told} if self.told else {})


@dataclass(slots=True)
class Outcome:
    """What a step came to. ``recorded``: its row is in the journal already."""

    entry: Entry
    value: object = None
    recorded: bool = False


class Outcomes:
    """Makes the rows that tell of attempts."""

    def __init__(self, now: Callable[[], datetime], payload_limit: int | None) -> None:
        self._now, self._limit = now, payload_limit

    def succeeded(self, call: Call, value: object, flight: Flight) -> Outcome:
        """The step returned ``value``; one that cannot be stored is a failure of the step."""
        try:
            encoded = codec.encode(value, limit=self._limit, noted=not call.work.plain)
        except PayloadError as error:
            kind = type(error).__name__
            unstored = Failure(error.code, str(error), kind, False, Certainty.NOT_DONE)
            return self.failed(call, unstored, flight)
        entry = self._outcome(call, "step.completed", encoded, flight.ending, flight)
        return Outcome(entry, codec.as_recorded(value, encoded))

    def failed(self, call: Call, failure: Failure, flight: Flight) -> Outcome:
        """The step failed for good."""
        record = error_record(failure.code, failure.message, failure.kind)
        told = flight.ending | {"error": brief(failure.code, failure.message)}
        return Outcome(
            self._outcome(call, "step.failed", codec.encode(record), told, flight), record
        )

    def told_late(self, call: Call, intent: Entry, arrival: int, told: object) -> Outcome:
        """The lost attempt itself reported what came of it."""
        fields = told if isinstance(told, dict) else {}
        failed = "error" in fields
        value = fields.get("error") if failed else fields.get("value")
        flight = Flight(call.work, intent.n, intent.at, intent.at, 0.0, announced=True)
        facts = meta(call.work, intent.n) | {"inbox": arrival, "settled": "late"}
        kind = "step.failed" if failed else "step.completed"
        encoded = codec.encode(value, limit=self._limit)
        return Outcome(self._outcome(call, kind, encoded, facts, flight), value)

    def supplied(self, call: Call, n: int, arrival: int, told: object) -> Outcome:
        """A person did it by hand, after ``n`` attempts, and this is the result."""
        fields = told if isinstance(told, dict) else {}
        value, by = fields.get("value"), str(fields.get("by", ""))
        flight = Flight.begin(call.work, n, self._now())
        facts = meta(call.work, n) | {
            "inbox": arrival, "supplied": True, "by": by,
            "told": f"A person ({by}) did this by hand; this result is theirs, not the tool's.",
        }  # fmt: skip
        encoded = codec.encode(value, limit=self._limit)
        return Outcome(self._outcome(call, "step.supplied", encoded, facts, flight), value)

    def _outcome(
        self, call: Call, kind: str, value: codec.Encoded, facts: Meta, flight: Flight
    ) -> Entry:
        return Entry(
            call.key,
            Phase.OUTCOME,
            kind,
            call.work.name,
            self._now(),
            fingerprint=call.fingerprint,
            value=value,
            meta=facts,
            input=None if flight.announced else self.arguments(call.work),
            started_at=flight.started_at,
        )

    def retrying(self, call: Call, failure: Failure, flight: Flight, due: datetime) -> Entry:
        """The attempt failed and the next one starts at ``due``."""
        facts = _facts(flight) | {
            "error": brief(failure.code, failure.message),
            "next_at": due.isoformat(),
        }
        return Entry(
            call.key,
            Phase.FAILED,
            "step.retrying",
            call.work.name,
            self._now(),
            n=flight.n,
            meta=facts,
            started_at=flight.started_at,
        )

    def started(self, key: str, flight: Flight) -> Entry:
        """The attempt has been under way for a while."""
        return Entry(
            key,
            Phase.STARTED,
            "step.started",
            flight.work.name,
            flight.started_at,
            n=flight.n,
            input=self.arguments(flight.work),
            meta=_facts(flight) | {"deadline_at": flight.deadline_at.isoformat()},
        )

    def intended(self, call: Call, flight: Flight, worker: int) -> Entry:
        """The attempt may act from now on."""
        facts = flight.ending | {
            "deadline_at": flight.deadline_at.isoformat(),
            "worker": worker,
        }
        if flight.given:
            facts["given"] = True
        return Entry(
            call.key,
            Phase.INTENT,
            "step.intended",
            call.work.name,
            flight.started_at,
            n=flight.n,
            fingerprint=call.fingerprint,
            input=self.arguments(call.work),
            meta=facts,
        )

    def withdrawn(self, call: Call, n: int) -> Entry:
        """Attempt ``n`` did not happen and never will."""
        facts: Meta = {"verdict": "not_done"}
        now = self._now()
        return Entry(call.key, Phase.VOID, "step.settled", call.work.name, now, n=n, meta=facts)

    def uncertain(self, call: Call, n: int, message: str, number: int) -> Entry:
        """Nobody can tell whether attempt ``n`` happened."""
        facts = meta(call.work, n) | {"error": brief("uncertain", message)}
        key = f"@step.uncertain/{call.key}"
        kind, name = "step.uncertain", call.work.name
        return Entry(key, Phase.NOTE, kind, name, self._now(), n=number, meta=facts)

    def arguments(self, work: Work) -> codec.Encoded | None:
        """What the step was called with, as far as it can be stored."""
        arguments = work.named_arguments()
        if not arguments:
            return None
        try:
            return codec.encode(arguments, limit=self._limit)
        except PayloadError as error:
            return codec.encode({"unserialisable": str(error)})


def meta(work: Work, n: int) -> Meta:
    """What every row of an attempt says."""
    return {"type": work.type, "effect": str(work.effect), "attempt": n}


def _facts(flight: Flight) -> Meta:
    return meta(flight.work, flight.n) | flight.note


def brief(code: str, message: str) -> Meta:
    """An error as it is shown beside a step."""
    return {"code": code, "message": message[:LONGEST_MESSAGE]}
