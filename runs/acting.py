"""One act on several runs at once, with what became of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.db.models import QuerySet

from agentops.accounts.access import (
    Action,
    Actor,
    Forbidden,
    NotFound,
    allows,
    authorize_new,
    visible_to,
)
from agentops.sdk.errors import AgentopsError
from runs import bulk, figures, queries, services
from runs.listing import Filter
from runs.models import BulkAction, BulkVerb, Run, RunStatus

MOST = 100
# Above this many, a person types the number they mean.
TYPED_ABOVE = 20
# While somebody types it, the number of runs that match may go on to grow by so much.
GROWN = 1.1
EXAMPLES = 3
LONGEST_NOTE = 200


@dataclass(frozen=True, slots=True)
class Order:
    """One run that an act is done to: who wants it, why, and the key that makes it count once."""

    run: Run
    actor: Actor
    note: str = ""
    key: str | None = None


Does = Callable[[Order], Run]


@dataclass(frozen=True, slots=True)
class Act:
    """Something that can be done to a run. ``means`` says what follows from it."""

    verb: BulkVerb
    label: str
    # With the runs it is about put in: "Run 3 runs again".
    asks: str
    done: str
    means: str
    does: Does
    is_danger: bool = False
    # Whether it has a meaning for runs that have ended.
    on_ended: bool = False

    @property
    def name(self) -> str:
        return str(self.verb)

    def on(self, count: int) -> str:
        """The act and how many it is about, as a button says it."""
        return self.asks.format(figures.plural(count, "run"))


def _cancel(order: Order) -> Run:
    run, actor = order.run, order.actor
    by_operator = run.owner_id != actor.user.pk
    return services.cancel_run(
        run=run, actor=actor.name, by_operator=by_operator, note=order.note[:LONGEST_NOTE]
    )


def _pause(order: Order) -> Run:
    return services.pause_run(run=order.run, actor=order.actor.name)


def _resume(order: Order) -> Run:
    paused_only = not allows(order.actor, Action.OPERATE, order.run)
    return services.resume_run(run=order.run, actor=order.actor.name, paused_only=paused_only)


def _retry_now(order: Order) -> Run:
    return services.retry_now(run=order.run, actor=order.actor.name)


def _retry_failure(order: Order) -> Run:
    return services.retry_failure(run=order.run, actor=order.actor.name)


def _replay(order: Order) -> Run:
    authorize_new(order.actor)
    key = f"{order.key}/{order.run.public_id}" if order.key else None
    again = services.replay_run(
        run=order.run, actor=order.actor.name, owner=order.actor.user, idempotency_key=key
    )
    return again.run


ACTS = {
    act.name: act
    for act in (
        Act(BulkVerb.PAUSE, "Pause", "Pause {}", "paused",
            "Each waits before its next step, until somebody resumes it.", _pause),
        Act(BulkVerb.RESUME, "Resume", "Resume {}", "resumed",
            "Each goes on where it stopped, once a worker is free.", _resume),
        Act(BulkVerb.RETRY_NOW, "Try now", "Try {} now", "tried at once",
            "Each tries its next attempt at once instead of waiting for it.", _retry_now),
        Act(BulkVerb.RETRY_FAILURE, "Retry", "Retry {}", "tried again",
            "Each goes on, as the same run, from the step it failed at. What is recorded is not "
            "done again.", _retry_failure, on_ended=True),
        Act(BulkVerb.REPLAY, "Run again", "Run {} again", "run again",
            "Each is run again from the start with the same input, as a new run; its effects "
            "happen again.", _replay, on_ended=True),
        Act(BulkVerb.CANCEL, "Cancel", "Cancel {}", "cancelled",
            "Each stops, and what it started with it. What is recorded stays; nothing is undone.",
            _cancel, is_danger=True),
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plan:
    """An act before it is done: how many runs it is about, and some of them.

    ``query`` is the list's filter if it is about all that match; then there are no ``ids``.
    """

    act: Act
    count: int
    examples: tuple[Run, ...]
    over: int
    ids: tuple[str, ...] = ()
    query: str | None = None

    @property
    def title(self) -> str:
        """What is asked, without its mark: ``Cancel 12 runs``."""
        return self.act.on(self.count)

    @property
    def is_for_all(self) -> bool:
        """Whether it is for all that match, and so for workers to do."""
        return self.query is not None

    @property
    def more(self) -> int:
        """How many there are beside the examples."""
        return max(self.count - len(self.examples), 0)

    @property
    def must_type(self) -> bool:
        """Whether the number has to be typed: so many are not meant by accident."""
        return self.count > TYPED_ABOVE

    @property
    def takes_reason(self) -> bool:
        """Whether a reason is kept: with each cancelled run, with each bulk action."""
        return self.act.is_danger or self.is_for_all

    @property
    def must_say_why(self) -> bool:
        """Whether the reason has to be given: others will ask what became of so many."""
        return self.takes_reason and self.must_type

    def missing(self, *, typed: str, shown: str, note: str) -> str:
        """What has still to be said before it is done; nothing if it can be.

        ``shown`` is the number they were asked for. It may have grown a little since.
        """
        number = int(shown) if shown.isdecimal() and len(shown) < 7 else self.count
        grown = self.count > number * GROWN
        if self.must_type and (grown or typed.strip() != str(number)):
            return f"Type {self.count} to go on. Nothing was changed."
        if self.must_say_why and not note.strip():
            return "Say why, for those who find these runs so. Nothing was changed."
        return ""


def plan(*, actor: Actor, act: Act, ids: Sequence[str]) -> Plan:
    """What ``act`` on these runs would be about; of those somebody sees, no more than MOST."""
    wanted = tuple(dict.fromkeys(ids))[:MOST]
    seen = visible_to(actor, Run.objects.select_related("owner").filter(public_id__in=wanted))
    known = {run.public_id: run for run in seen}
    runs = tuple(known[public_id] for public_id in wanted if public_id in known)
    over = 0 if act.on_ended else sum(1 for run in runs if run.is_final)
    kept = tuple(run.public_id for run in runs)
    return Plan(act, len(runs), runs[:EXAMPLES], over, ids=kept)


def plan_for_all(*, actor: Actor, act: Act, query: str) -> Plan:
    """What ``act`` on all runs that match a list's filter would be about, as they are now."""
    runs = matching(actor, query)
    ended = runs.filter(finished_at__isnull=False)
    over = 0 if act.on_ended else ended.order_by().values("pk")[: bulk.MOST_RUNS].count()
    count = runs.order_by().values("pk")[: bulk.MOST_RUNS + 1].count()
    newest = runs.select_related("owner").order_by("-created_at", "-id")[:EXAMPLES]
    return Plan(act, count, tuple(newest), over, query=Filter.read_query(query).query)


def matching(actor: Actor, query: str) -> QuerySet[Run]:
    """The runs of a list's filter that ``actor`` sees."""
    return Filter.read_query(query).apply(visible_to(actor, Run.objects.all()))


def start_for_all(*, actor: Actor, act: Act, query: str, note: str, key: str | None) -> BulkAction:
    """Let workers do ``act`` to all runs that match. Raises what :func:`bulk.start` raises."""
    wanted = Filter.read_query(query)
    said = {"query": wanted.bare}
    begun = bulk.start(
        actor=actor, verb=act.verb, runs=wanted.apply(Run.objects.all()), said=said, note=note,
        idempotency_key=key,
    )  # fmt: skip
    return begun.action


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one run."""

    public_id: str
    title: str
    is_done: bool
    said: str


def act_on(
    *, actor: Actor, act: Act, ids: Sequence[str], note: str = "", key: str | None = None
) -> list[Outcome]:
    """Do ``act`` to each of these runs, and tell what became of it. One refusal stops no other.

    ``key`` makes what starts new runs harmless to repeat.
    """
    return [_one(actor, act, public_id, note, key) for public_id in dict.fromkeys(ids)]


_OVER = {
    RunStatus.SUCCEEDED: "It had succeeded already.",
    RunStatus.FAILED: "It had failed already.",
    RunStatus.CANCELLED: "It was cancelled already.",
    RunStatus.EXPIRED: "It had expired already.",
}


def _one(actor: Actor, act: Act, public_id: str, note: str, key: str | None) -> Outcome:
    try:
        run = queries.get_run(public_id=public_id, viewer=actor, action=Action.CONTROL)
    except (NotFound, Forbidden) as refused:
        return Outcome(public_id, "", is_done=False, said=str(refused))
    title = run.title or run.agent
    if run.is_final and not act.on_ended:
        return Outcome(public_id, title, is_done=False, said=_OVER[RunStatus(run.status)])
    try:
        after = act.does(Order(run, actor, note, key))
    except AgentopsError as refused:
        return Outcome(public_id, title, is_done=False, said=str(refused))
    return Outcome(public_id, title, is_done=True, said=_ASKED.get(_pending(after), act.done))


# What is done once the worker that holds the run hears of it.
_ASKED = {"stop": "asked to stop", "pause": "asked to pause"}


def _pending(run: Run) -> str:
    if run.is_final:
        return ""
    if run.cancel_requested_at:
        return "stop"
    return "pause" if run.pause_by and run.status == RunStatus.RUNNING else ""
