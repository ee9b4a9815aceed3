"""One act on several runs at once, with what became of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agentops.accounts.access import Action, Actor, Forbidden, NotFound, allows, visible_to
from agentops.sdk.errors import AgentopsError
from runs import queries, services
from runs.models import Run, RunStatus

MOST = 100
# Above this many, a person types the number they mean.
TYPED_ABOVE = 20
EXAMPLES = 3

Does = Callable[[Run, Actor, str], Run]


@dataclass(frozen=True, slots=True)
class Act:
    """Something that can be done to a run. ``means`` says what follows from it."""

    name: str
    label: str
    done: str
    means: str
    does: Does
    is_danger: bool = False
    # Whether it has a meaning for runs that have ended.
    on_ended: bool = False


def _cancel(run: Run, actor: Actor, note: str) -> Run:
    by_operator = run.owner_id != actor.user.pk
    return services.cancel_run(run=run, actor=actor.name, by_operator=by_operator, note=note)


def _pause(run: Run, actor: Actor, note: str) -> Run:  # noqa: ARG001 - one signature for all
    return services.pause_run(run=run, actor=actor.name)


def _resume(run: Run, actor: Actor, note: str) -> Run:  # noqa: ARG001
    paused_only = not allows(actor, Action.OPERATE, run)
    return services.resume_run(run=run, actor=actor.name, paused_only=paused_only)


def _retry(run: Run, actor: Actor, note: str) -> Run:  # noqa: ARG001
    again = services.retry_failure if run.is_final else services.retry_now
    return again(run=run, actor=actor.name)


ACTS = {
    act.name: act
    for act in (
        Act("pause", "Pause", "paused",
            "Each waits before its next step, until somebody resumes it.", _pause),
        Act("resume", "Resume", "resumed",
            "Each goes on where it stopped, once a worker is free.", _resume),
        Act("retry", "Retry", "tried again",
            "What failed goes on, as the same run, from the step it failed at; what waits for its "
            "next attempt tries at once. What is recorded is not done again.", _retry,
            on_ended=True),
        Act("cancel", "Cancel", "cancelled",
            "Each stops, and what it started with it. What is recorded stays; nothing is undone.",
            _cancel, is_danger=True),
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plan:
    """An act before it is done: how many runs it is about, and some of them."""

    act: Act
    ids: tuple[str, ...]
    runs: tuple[Run, ...]

    @property
    def count(self) -> int:
        return len(self.ids)

    @property
    def examples(self) -> tuple[Run, ...]:
        return self.runs[:EXAMPLES]

    @property
    def over(self) -> int:
        """How many of them have ended already and stay as they are."""
        return 0 if self.act.on_ended else sum(1 for run in self.runs if run.is_final)

    @property
    def must_type(self) -> bool:
        """Whether the number has to be typed: so many are not meant by accident."""
        return self.count > TYPED_ABOVE


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one run."""

    public_id: str
    title: str
    is_done: bool
    said: str


def plan(*, actor: Actor, act: Act, ids: Sequence[str]) -> Plan:
    """What ``act`` on these runs would be about; of those somebody sees, no more than MOST."""
    wanted = tuple(dict.fromkeys(ids))[:MOST]
    seen = visible_to(actor, Run.objects.select_related("owner").filter(public_id__in=wanted))
    runs = {run.public_id: run for run in seen}
    known = tuple(public_id for public_id in wanted if public_id in runs)
    return Plan(act, known, tuple(runs[public_id] for public_id in known))


def act_on(*, actor: Actor, act: Act, ids: Sequence[str], note: str = "") -> list[Outcome]:
    """Do ``act`` to each of these runs, and tell what became of it. One refusal stops no other."""
    return [_one(actor, act, public_id, note) for public_id in dict.fromkeys(ids)]


_OVER = {
    RunStatus.SUCCEEDED: "It had succeeded already.",
    RunStatus.FAILED: "It had failed already.",
    RunStatus.CANCELLED: "It was cancelled already.",
    RunStatus.EXPIRED: "It had expired already.",
}


def _one(actor: Actor, act: Act, public_id: str, note: str) -> Outcome:
    try:
        run = queries.get_run(public_id=public_id, viewer=actor, action=Action.CONTROL)
    except (NotFound, Forbidden) as refused:
        return Outcome(public_id, "", is_done=False, said=str(refused))
    title = run.title or run.agent
    if run.is_final and not act.on_ended:
        return Outcome(public_id, title, is_done=False, said=_OVER[RunStatus(run.status)])
    try:
        after = act.does(run, actor, note)
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
