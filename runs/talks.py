"""What the templates of a conversation are given."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.utils import timezone

from agentops.accounts.access import Actor
from agentops.sdk.agents import AgentDefinition
from agentops.sdk.catalog import catalog
from agentops.sdk.errors import AgentopsError
from runs import conversations, dialogue, reading, statuses, troubles
from runs.conversations import OnConflict
from runs.dialogue import Said
from runs.drawing import RunDrawing, StepRow
from runs.figures import plural
from runs.models import Conversation, Run, RunStatus
from runs.reading import Value
from runs.statuses import Look
from runs.telling import Why
from runs.timeline import Timeline
from runs.troubles import Trouble

TURNS_SHOWN = 30
# So many steps of a turn are lines of the conversation; its run has them all.
STEPS_SHOWN = 12
# The steps of a longer run are not read here.
MOST_STEPS_READ = 100
# A turn weighs more than all lines of a run can make up for.
_TURN = 2**32


@dataclass(frozen=True, slots=True)
class Asked:
    """Which conversations an address asks for."""

    words: str = ""
    agent: str = ""
    busy: bool = False

    @classmethod
    def read(cls, query: Mapping[str, str]) -> Asked:
        """What an address says; PostgreSQL knows no NUL."""
        words, agent = (query.get(name, "").replace("\0", "")[:200] for name in ("q", "agent"))
        return cls(words, agent, bool(query.get("busy")))

    def of(self, viewer: Actor) -> QuerySet[Any]:
        """Those of them that ``viewer`` may see."""
        busy = self.busy or None
        return dialogue.conversations(viewer=viewer, agent=self.agent, busy=busy, words=self.words)

    @property
    def query(self) -> str:
        """The same as an address says it."""
        said = {"q": self.words, "agent": self.agent, "busy": "1" if self.busy else ""}
        return urlencode({name: value for name, value in said.items() if value})


IDLE_LOOK = Look("idle", "messages-square", "grey", "dashed")


@dataclass(frozen=True, slots=True)
class TalkRow:
    """A conversation as a row of the list."""

    conversation: Conversation
    look: Look
    waiting: int
    matches: bool = True


def rows(
    found: Sequence[Any], now: datetime, *, fits: Collection[int] | None = None
) -> list[TalkRow]:
    """Conversations as :func:`dialogue.conversations` finds them, as rows.

    ``fits`` are the keys of those that still belong into the list; by default all do.
    """
    live = Run.objects.filter(conversation__in=[talk.pk for talk in found], finished_at=None)
    looks = {run.conversation_id: statuses.look(run, now) for run in live}
    return [
        TalkRow(
            talk,
            looks.get(talk.pk, IDLE_LOOK),
            talk.waiting,
            matches=fits is None or talk.pk in fits,
        )
        for talk in found
    ]


@dataclass(frozen=True, slots=True)
class Words:
    """Something said: a text as it is, or a value as JSON."""

    value: Value
    is_text: bool

    @classmethod
    def of(cls, value: object) -> Words:
        return cls(reading.readable(value), isinstance(value, str))


@dataclass(frozen=True, slots=True)
class Turn:
    """A message, what is done about it, and the answer as far as there is one."""

    number: int | None
    sender: str
    at: datetime
    message: Words
    run: Run
    look: Look
    answer: Words | None = None
    trouble: Trouble | None = None
    why: Why | None = None
    steps: Sequence[StepRow] = ()
    hidden_steps: int = 0

    @property
    def id(self) -> str:
        return f"turn-{self.number or 0}"


def turns(
    conversation: Conversation, *, before: int | None = None
) -> tuple[list[Turn], int | None]:
    """The last turns below number ``before``, and the number to go on below if there are more."""
    said = dialogue.turns(conversation=conversation, before=before, limit=TURNS_SHOWN)
    timelines = _timelines([one.run for one in said if one.run is not None])
    now = timezone.now()
    shown = [
        drawn(one, RunDrawing(one.run, timelines.get(one.run.pk, Timeline([])), now))
        for one in said
        if one.run is not None
    ]
    more = said[0].turn if said and said[0].turn is not None and said[0].turn > 1 else None
    return shown, more


def _timelines(of: list[Run]) -> dict[int, Timeline]:
    """The steps of several runs, but for very long ones, in one query."""
    short = {run.pk: 0 for run in of if run.steps <= MOST_STEPS_READ}
    return {pk: Timeline(lines) for pk, lines in reading.new_lines(short).items()}


def version(conversation: Conversation) -> int:
    """A number that rises whenever something happens that a page about it shows."""
    known = Conversation.objects.filter(pk=conversation.pk).values_list("said", "turns").first()
    said, turn = known or (0, 0)
    run = dialogue.run_of_turn(conversation.pk, turn)
    seq = reading.last_seq(run.pk) + bool(run.cancel_requested_at) if run else 0
    return turn * _TURN + said + seq


def turn_alone(drawing: RunDrawing) -> Turn:
    """A run as a turn, whether or not it is one of a conversation."""
    return drawn(dialogue.behind(drawing.run), drawing)


def drawn(said: Said, drawing: RunDrawing) -> Turn:
    """A message and the run that answers it, as a turn."""
    run = drawing.run
    steps = drawing.timeline.steps[-STEPS_SHOWN:]
    failed = run.status in {RunStatus.FAILED, RunStatus.EXPIRED}
    return Turn(
        number=said.turn,
        sender=said.sender,
        at=said.at,
        message=Words.of(said.content),
        run=run,
        look=drawing.look,
        answer=Words.of(said.output) if run.status == RunStatus.SUCCEEDED else None,
        trouble=troubles.explain(run.stop_reason, _fields(said.error)) if failed else None,
        why=None if run.is_final else drawing.why,
        steps=drawing.rows(steps),
        hidden_steps=drawing.steps - len(steps),
    )


def _fields(error: object) -> dict[str, str]:
    fields = error if isinstance(error, dict) else {}
    return {str(name): "" if text is None else str(text) for name, text in fields.items()}


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message in line."""

    number: int
    sender: str
    at: datetime
    urgent: bool
    message: Words


def line(conversation: Conversation) -> list[Waiting]:
    """The messages that wait for their turn, the next one first."""
    return [
        Waiting(
            one.number,
            one.sender,
            one.at,
            one.message is not None and one.message.urgent,
            Words.of(one.content),
        )
        for one in dialogue.waiting(conversation)
    ]


@dataclass(frozen=True, slots=True)
class Consequence:
    """A way to send a message, and what it will do if it is sent now."""

    value: OnConflict
    label: str
    sentence: str


IDLE = "Nothing is being answered: your message starts a run at once."
_LABELS = {
    OnConflict.ENQUEUE: "wait in line",
    OnConflict.INTERRUPT: "stop it and go first",
    OnConflict.REJECT: "do not send",
}


def consequences(live: Run | None, waiting: int) -> list[Consequence]:
    """What a message sent now will do, by what its sender chooses for the case of a live run."""
    sentences = dict.fromkeys(OnConflict, IDLE) if live is None else _meanwhile(live, waiting)
    return [Consequence(how, label, sentences[how]) for how, label in _LABELS.items()]


def _meanwhile(live: Run, waiting: int) -> dict[OnConflict, str]:
    """The same while a run is live."""
    stands = statuses.look(live, timezone.localtime()).word
    ahead = f" and the {plural(waiting, 'message')} in line have" if waiting else " has"
    return {
        OnConflict.ENQUEUE: f"A run answers ({stands}). Your message starts when it{ahead} ended.",
        OnConflict.INTERRUPT: (
            f"A run answers ({stands}). Your message stops it and starts next. What acts at this "
            "moment gets ten seconds to finish; what is then open is named as uncertain."
        ),
        OnConflict.REJECT: (
            f"A run answers ({stands}). While it does, nothing is sent and your text stays here."
        ),
    }


@dataclass(frozen=True, slots=True)
class Composer:
    """How one talks to an agent: with a text, or with a form of its own input."""

    agent: AgentDefinition | None
    takes_text: bool

    @classmethod
    def of(cls, name: str) -> Composer:
        try:
            agent = catalog().agent(name)
        except AgentopsError:
            return cls(None, takes_text=False)
        try:
            conversations.text_field(agent)
        except AgentopsError:
            return cls(agent, takes_text=False)
        return cls(agent, takes_text=True)
