"""What the journal already knows about a run, indexed for the steps its agent will ask for."""

from __future__ import annotations

from collections import deque
from datetime import datetime

from agentops.execution.port import Tried
from agentops.execution.records import Entry, History, Message, Phase

SETTLED = "settled:"
# What a person gives a step instead of its own result.
SUPPLIED = "supplied:"
REOPENED = "run.reopened"


class Replay:
    """The recorded past of a run.

    ``pending`` holds the outcomes not delivered yet, in the order in which they were recorded:
    that order is the order of delivery.
    """

    def __init__(self, history: History) -> None:
        self.outcomes: dict[str, Entry] = {}
        self.pending: deque[Entry] = deque()
        self.messages: deque[Message] = deque()
        self.retries = 0
        self.progress_notes = 0
        self._attempts: dict[str, int] = {}
        self._failures: dict[str, int] = {}
        self._tried: dict[str, list[Tried]] = {}
        self._intents: dict[str, dict[int, Entry]] = {}
        self._closed: set[tuple[str, int]] = set()
        self._unreached: set[str] = set()
        self._again: dict[str, str] = {}
        self._origin: dict[str, str] = {}
        self._loose: set[str] = set()
        self._aside: dict[str, Entry] = {}
        self._notes: set[tuple[str, int]] = set()
        consumed: set[int] = set()
        for entry in history.entries:
            self._index(entry, consumed)
        self.add_messages([m for m in history.inbox if m.n not in consumed])

    def _index(self, entry: Entry, consumed: set[int]) -> None:
        if entry.phase is Phase.OUTCOME:
            self.outcomes[entry.key] = entry
            self._unreached.discard(entry.key)
            if entry.kind != "patch.marked":
                self.pending.append(entry)
        elif entry.phase is Phase.INTENT:
            self._intents.setdefault(entry.key, {})[entry.n] = entry
            self._unreached.add(entry.key)
            self._count(entry)
        elif entry.phase is Phase.FAILED:
            self.retries += 1
            self._failures[entry.key] = self._failures.get(entry.key, 0) + 1
            self._closed.add((entry.key, entry.n))
            self._remember(entry)
            self._count(entry)
        elif entry.phase is Phase.STARTED:
            self._count(entry)
        elif entry.phase is Phase.VOID:
            self._closed.add((entry.key, entry.n))
        else:
            self._index_note(entry)
        arrival = (entry.meta or {}).get("inbox")
        if isinstance(arrival, int):
            consumed.add(arrival)

    def _index_note(self, entry: Entry) -> None:
        if entry.kind == "run.progress":
            self.progress_notes = max(self.progress_notes, entry.n)
        elif entry.kind == REOPENED:
            self._reopen((entry.meta or {}).get("again"))
        elif "/" in entry.key:
            self._notes.add((entry.key, entry.n))

    def _reopen(self, again: object) -> None:
        """The run failed here and went on: the steps named are asked for under new keys.

        What was recorded after the first of them may come from an agent that dealt with the
        failure; it is kept for an agent that asks for it all the same.
        """
        if not isinstance(again, dict) or not again:
            return
        for old, new in again.items():
            self._again[old], self._origin[new] = new, old
        first = min((e.seq for e in self.pending if e.key in again), default=0)
        self._loose |= {e.key for e in self.pending if e.seq > first}
        self.pending = deque(e for e in self.pending if e.key not in again)
        for old in again:
            self.outcomes.pop(old, None)

    def key_of(self, key: str) -> str:
        """The key under which this step is recorded by now; see Note [Failed steps that …]."""
        while key in self._again:
            key = self._again[key]
        return key

    def origin_of(self, key: str) -> str:
        """The key this step had at first, which is what the outside world knows it by."""
        while key in self._origin:
            key = self._origin[key]
        return key

    def is_loose(self, entry: Entry) -> bool:
        """Whether the agent may do without this outcome."""
        return entry.key in self._loose

    def set_aside(self) -> None:
        """The agent does not ask for the next outcome now; it may later."""
        entry = self.pending.popleft()
        self._aside[entry.key] = entry

    def fetch(self, key: str) -> None:
        """The agent asks for a step that may have been set aside: it is the next outcome."""
        entry = self._aside.pop(key, None)
        if entry is not None:
            self.pending.appendleft(entry)

    def _count(self, entry: Entry) -> None:
        self._attempts[entry.key] = max(self._attempts.get(entry.key, 0), entry.n)

    @property
    def replaying(self) -> bool:
        """Whether recorded outcomes are still to be delivered."""
        return bool(self.pending)

    @property
    def behind(self) -> bool:
        """Whether the agent has not yet come to where it was when it was last stopped."""
        return bool(self.pending or self._unreached)

    def reached(self, key: str) -> None:
        """The agent asked for this step."""
        self._unreached.discard(key)

    def attempts(self, key: str) -> int:
        """How many attempts of the step were begun and are known of."""
        return self._attempts.get(key, 0)

    def failures(self, key: str) -> int:
        """How many attempts of the step are known to have failed."""
        return self._failures.get(key, 0)

    def note(self, key: str, n: int) -> bool:
        """Whether this line about a step is new; from now on it is not."""
        known = (key, n) in self._notes
        self._notes.add((key, n))
        return not known

    def noted(self, kind: str, key: str) -> bool:
        """Whether there is a first line of this kind about a step."""
        return (f"@{kind}/{key}", 1) in self._notes

    def told(self, entry: Entry) -> str:
        """What a model hears besides this outcome, as it or the intent before it says."""
        rows = [entry, *self._intents.get(entry.key, {}).values()]
        said = ((row.meta or {}).get("told") for row in rows)
        return next((str(text) for text in said if text), "")

    def begin(self, entry: Entry) -> None:
        """A wait or an effect was begun here."""
        self._intents.setdefault(entry.key, {})[entry.n] = entry
        self._count(entry)

    def _remember(self, entry: Entry) -> None:
        facts = entry.meta or {}
        error, until = facts.get("error"), facts.get("until")
        if "target" in facts and isinstance(error, dict):
            rests = datetime.fromisoformat(until) if isinstance(until, str) else None
            hopeless = bool(facts.get("hopeless"))
            tried = Tried(str(facts["target"]), str(error.get("code")), rests, hopeless)
            self._tried.setdefault(entry.key, []).append(tried)

    def tried(self, key: str) -> list[Tried]:
        """The models that were asked for this step and failed, in order."""
        return self._tried.get(key, [])

    def note_failed(self, entry: Entry) -> None:
        """An attempt failed here and its row is recorded."""
        key, n = entry.key, entry.n
        self._remember(entry)
        self._attempts[key] = max(self._attempts.get(key, 0), n)
        self._failures[key] = self._failures.get(key, 0) + 1
        self.close(key, n)

    def close(self, key: str, n: int) -> None:
        """Intent ``n`` is settled: nothing came of it."""
        self._closed.add((key, n))

    def intent(self, key: str) -> Entry | None:
        """The intent of the step whose outcome nobody recorded, if there is one."""
        for n, entry in sorted(self._intents.get(key, {}).items(), reverse=True):
            if (key, n) not in self._closed:
                return entry
        return None

    def add_messages(self, messages: list[Message]) -> None:
        """Take in what arrived; the order of arrival is kept."""
        self.messages.extend(sorted(messages, key=lambda message: message.n))

    def message(self, name: str) -> Message | None:
        """The oldest message called ``name``; it stays for others who ask."""
        return next((message for message in self.messages if message.name == name), None)

    def take_message(self, name: str) -> Message | None:
        """The oldest message called ``name``, which nobody else gets."""
        message = self.message(name)
        if message is not None:
            self.messages.remove(message)
        return message

    def give_back(self, message: Message) -> None:
        """Nobody used it after all: it is the oldest again."""
        self.messages.appendleft(message)
