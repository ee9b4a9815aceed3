"""Events in a sentence, and the sentence that says why a run is not moving."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from runs import figures, statuses
from runs.engine.limits import PACE
from runs.models import Run, RunStatus, StopReason, WaitingFor
from runs.timeline import Line, Step, Timeline, moment


@dataclass(frozen=True, slots=True)
class _Case:
    """What a sentence is made from."""

    run: Run
    timeline: Timeline
    now: datetime


Teller = Callable[[_Case], str]


@dataclass(frozen=True, slots=True)
class Why:
    """Why a run is not moving. ``action`` names what unblocks it, if a person can."""

    sentence: str
    family: str
    icon: str
    action: str = ""
    does: str = ""
    label: str = "Not moving because:"


def why(run: Run, timeline: Timeline, now: datetime) -> Why:
    """The sentence about a run: why it is not moving, what it is at, or how it ended."""
    look = statuses.look(run, now)
    if run.is_final:
        return Why(_ended(run), look.family, look.icon, label="")
    if run.cancel_requested_at:
        return Why(_stopping(run), look.family, look.icon)
    if run.status == RunStatus.QUEUED:
        return Why(_queued(run, now), look.family, look.icon)
    if run.status != RunStatus.WAITING:
        return Why(_at_work(timeline), look.family, look.icon, label="Now:")
    sentence = _SENTENCES[WaitingFor(run.waiting_for)](_Case(run, timeline, now))
    action, does = _unblocks(run)
    return Why(sentence, look.family, look.icon, action, does)


def _ended(run: Run) -> str:
    return str(StopReason(run.stop_reason).label) if run.stop_reason else "It ended."


def _at_work(timeline: Timeline) -> str:
    under_way = [step for step in timeline.steps if step.status == "running"]
    if not under_way:
        return "The agent works between two steps."
    newest = under_way[-1]
    again = f", attempt {newest.tries}" if newest.tries > 1 else ""
    others = f" and {len(under_way) - 1} more" if len(under_way) > 1 else ""
    return f"{_named(newest).capitalize()}{again}{others} under way."


def _unblocks(run: Run) -> tuple[str, str]:
    if run.waiting_for != WaitingFor.OPERATOR:
        return "", ""
    if run.waiting_detail.startswith(statuses.UNCERTAIN):
        return "settle", "Settle…"
    return "resume", "Resume run"


def _stopping(run: Run) -> str:
    if run.status == RunStatus.RUNNING:
        return "It was asked to stop; the worker lets go of the step in flight."
    return "It was asked to stop; the next worker that takes it up ends it."


def _queued(run: Run, now: datetime) -> str:
    if run.is_held:
        return f"It {run.waiting_detail}; so many may run at once."
    if run.ready_at and run.ready_at > now:
        return f"It starts at {figures.clock(run.ready_at, now)}."
    return f"It waits for a free worker of queue “{run.queue}”."


def _timer(case: _Case) -> str:
    at = figures.clock(case.run.ready_at, case.now) if case.run.ready_at else "a later time"
    return f"{_subject(case.timeline, 'timer')} sleeps until {at}."


def _retry(case: _Case) -> str:
    if case.run.waiting_detail.startswith(PACE):
        named = case.run.waiting_detail.removeprefix(PACE)
        at = figures.clock(case.run.ready_at, case.now) if case.run.ready_at else "soon"
        return f"It keeps to the limits of endpoint “{named}” and asks again at {at}."
    step = _next([step for step in case.timeline.steps if step.status == "retrying"])
    at = figures.clock(case.run.ready_at, case.now) if case.run.ready_at else "soon"
    if step is None:
        return f"A failed attempt is tried again at {at}."
    reason = f": {step.error[1]}" if step.error and step.error[1] else ""
    end = "" if reason.endswith((".", "!", "?")) else "."
    return f"Attempt {step.tries} of {_named(step)} failed and is repeated at {at}{reason}{end}"


def _event(case: _Case) -> str:
    name = case.run.waiting_detail.rpartition(":")[2] or "an event"
    until = f" until {figures.clock(case.run.ready_at, case.now)}" if case.run.ready_at else ""
    return f"{_subject(case.timeline, 'event')} waits for “{name}” from outside{until}."


def _child(case: _Case) -> str:
    waiting = [step for step in case.timeline.steps if step.is_open and step.type == "child"]
    if len(waiting) == 1:
        return f"{_named(waiting[0]).capitalize()} waits for the run it started."
    return f"It waits for {figures.plural(len(waiting), 'run')} it started."


def _person(what: str) -> Teller:
    return lambda _: f"It waits for a person: {what}."


def _operator(case: _Case) -> str:
    kind, _, key = case.run.waiting_detail.partition(":")
    if kind == "paused":
        return f"It was paused by {key} and goes on when somebody resumes it."
    if kind == "tool_changed":
        return (
            f"The server says something else of the tool {key} than what was agreed to. Nothing "
            "was called; it goes on when an operator has accepted or refused the new description."
        )
    if kind == "stop":
        return f"Stop {key} holds it. Nothing of it begins until that is lifted; it then goes on."
    if kind != "uncertain":
        return _PARKED.get(kind, f"It waits for an operator: {kind.replace('_', ' ')}.")
    step = case.timeline.by_key.get(key)
    named = _named(step) if step else f"step {key}"
    return (
        f"Nobody can tell whether {named} happened: its worker was lost, or its answer, after it "
        "began. It may have an effect, so it is not repeated until a person says what is true."
    )


_PARKED = {
    "code_changed": "The agent's code no longer fits what this run recorded. Deploy the version it "
    "began with, or fork it, then resume.",
    "crash_loop": "It took its worker down again and again. "
    "Look at the last step before you resume.",
    "payload": "A value could not be stored. Free space or shorten the value, then resume.",
}

_SENTENCES: dict[WaitingFor, Teller] = {
    WaitingFor.TIMER: _timer,
    WaitingFor.RETRY: _retry,
    WaitingFor.EVENT: _event,
    WaitingFor.CHILD: _child,
    WaitingFor.OPERATOR: _operator,
    WaitingFor.APPROVAL: _person("an approval"),
    WaitingFor.ANSWER: _person("an answer"),
    WaitingFor.CREDENTIAL: _person("a credential to connect"),
    WaitingFor.BUDGET: _person("a budget to raise"),
}


def _next(found: list[Step]) -> Step | None:
    return min(found, key=lambda step: step.next_at or step.started_at) if found else None


def _named(step: Step) -> str:
    return f"step {step.number} {step.name}"


def _subject(timeline: Timeline, type: str) -> str:
    step = _next([step for step in timeline.steps if step.is_open and step.type == type])
    return _named(step).capitalize() if step else "It"


def tell(line: Line) -> str:
    """A journal row in a sentence."""
    words = _TELL.get(line.kind)
    return words(line) if words else line.text("message") or line.kind.replace(".", " ")


def _took(line: Line) -> str:
    if line.started_at:
        return f" after {figures.span(line.at - line.started_at)}"
    return ""


def _because(line: Line) -> str:
    return f": {line.error[1]}" if line.error and line.error[1] else ""


def _try(line: Line) -> str:
    return f", attempt {line.n}" if line.n > 1 else ""


def _who(line: Line) -> str:
    actor = line.text("actor") or line.text("by") or line.text("sender")
    return f" by {actor}" if actor else ""


def _worker(line: Line) -> str:
    worker = line.meta.get("worker")
    return f"Worker {worker}" if worker is not None else "A worker"


def _again(line: Line) -> str:
    due = moment(line.text("next_at"))
    when = (
        f"; again at {figures.clock(due, timezone.localtime())}" if due else "; it is tried again"
    )
    return f"{line.name}: attempt {line.n} failed{_because(line)}{when}"


def _settled(line: Line) -> str:
    verdict = line.text("verdict").replace("_", " ")
    return f"{line.name} was settled{_who(line)}" + (f": {verdict}" if verdict else "")


_TELL: dict[str, Callable[[Line], str]] = {
    "run.created": lambda line: f"Run created{_who(line)}",
    "run.started": lambda line: f"{_worker(line)} took the run",
    "run.recovered": lambda line: f"The worker was lost; {_worker(line).lower()} took the run over",
    "run.waiting": lambda line: (
        "The run waits"
        + (f" for {line.text('waiting_for')}" if line.text("waiting_for") else "")
        + " and holds no worker"
    ),
    "run.paused": lambda line: f"The run was paused{_who(line)}",
    "run.reopened": lambda line: f"The run goes on from its failure{_who(line)}",
    "run.resumed": lambda line: f"The run goes on{_who(line)}",
    "run.progress": lambda line: line.text("text") or line.text("message") or "Progress",
    "run.cancel_requested": lambda line: f"Asked to stop{_who(line)}",
    "run.succeeded": lambda _: "The agent returned its result",
    "run.failed": lambda line: f"The run failed{_because(line)}",
    "run.cancelled": lambda line: f"The run was cancelled{_who(line)}",
    "run.expired": lambda _: "The run expired",
    "run.forked": lambda line: f"Forked{_who(line)}",
    "run.diverged": lambda line: (
        f"The agent's code no longer asks for what is recorded: {line.text('expected')}"
    ),
    "step.started": lambda line: f"{line.name} began{_try(line)}",
    "step.intended": lambda line: (
        f"{line.name} is about to act{_try(line)}; recorded before it may"
    ),
    "step.retrying": _again,
    "step.completed": lambda line: f"{line.name} returned{_took(line)}",
    "step.failed": lambda line: f"{line.name} failed{_took(line)}{_because(line)}",
    "step.settled": _settled,
    "step.supplied": lambda line: f"{line.name} was done by hand{_who(line)}",
    "stop.held": lambda line: f"{line.name} is held by stop {line.text('stop')}",
    "step.uncertain": lambda line: f"{line.name}: nobody can tell whether it happened",
    "timer.started": lambda line: f"{line.name}: sleeping",
    "timer.fired": lambda line: f"{line.name}: woke up{_took(line)}",
    "event.awaited": lambda line: f"Waiting for event “{line.name}”",
    "event.received": lambda line: f"Event “{line.name}” arrived{_who(line)}",
    "event.expired": lambda line: f"Event “{line.name}” did not arrive in time{_took(line)}",
    "child.started": lambda line: f"Subrun {line.name} started",
    "child.finished": lambda line: f"Subrun {line.name} finished{_took(line)}",
    "child.failed": lambda line: f"Subrun {line.name} failed{_took(line)}{_because(line)}",
    "approval.requested": lambda line: f"{line.name}: people are asked whether it may happen",
    "approval.decided": lambda line: (
        f"{line.name} was {line.text('state') or 'decided'}{_who(line)}"
    ),
    "approval.executed": lambda line: f"{line.name} was let through as it was approved",
    "policy.denied": lambda line: f"{line.name}: the rules do not allow it",
    "grant.used": lambda line: f"{line.name} passed by standing grant {line.text('grant')}",
    "question.asked": lambda _: "The agent asks people",
    "question.answered": lambda line: f"The question was answered{_who(line)}",
    "question.declined": lambda _: "Somebody declined to answer",
    "question.unanswered": lambda _: "Nobody answered in time",
    "patch.marked": lambda line: f"Code change {line.name} marked",
}

KINDS = frozenset(_TELL)
