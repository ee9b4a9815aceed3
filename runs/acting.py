"""One act on several runs at once, with what became of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agentops.accounts.access import Action, Actor, Forbidden, NotFound, visible_to
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
    action: Action
    does: Does
    is_danger: bool = False


def _cancel(run: Run, actor: Actor, note: str) -> Run:
    by_operator = run.owner_id != actor.user.pk
    return services.cancel_run(run=run, actor=actor.name, by_operator=by_operator, note=note)


def _resume(run: Run, actor: Actor, note: str) -> Run:  # noqa: ARG001 - one signature for all
    return services.resume_run(run=run, actor=actor.name)


ACTS = {
    act.name: act
    for act in (
        Act("resume", "Resume", "resumed",
            "Each goes on where it stopped, once a worker is free.", Action.OPERATE, _resume),
        Act("cancel", "Cancel", "cancelled",
            "Each stops, and what it started with it. What is recorded stays; nothing is undone.",
            Action.CONTROL, _cancel, is_danger=True),
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
        return sum(1 for run in self.runs if run.is_final)

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
        run = queries.get_run(public_id=public_id, viewer=actor, action=act.action)
    except (NotFound, Forbidden) as refused:
        return Outcome(public_id, "", is_done=False, said=str(refused))
    title = run.title or run.agent
    if run.is_final:
        return Outcome(public_id, title, is_done=False, said=_OVER[RunStatus(run.status)])
    try:
        after = act.does(run, actor, note)
    except AgentopsError as refused:
        return Outcome(public_id, title, is_done=False, said=str(refused))
    stops = after.cancel_requested_at is not None and not after.is_final
    return Outcome(public_id, title, is_done=True, said="asked to stop" if stops else act.done)
