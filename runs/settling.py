"""What cancelling or settling a run would mean, said before a person does it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from runs import figures
from runs.drawing import RunDrawing
from runs.engine.store import GRACE_SECONDS, Verdict
from runs.models import Worker
from runs.timeline import Attempt, Step


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer to an uncertain outcome. ``locked`` says why it cannot be given yet."""

    verdict: str
    label: str
    consequence: str
    locked: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """An uncertain outcome, and what a person can say about it."""

    step: Step
    sentence: str
    choices: list[Choice]


def question(drawn: RunDrawing) -> Question | None:
    """What to ask about the step a run is parked for, if it is parked for one."""
    step = drawn.uncertain
    if step is None or drawn.run.is_final or not step.attempts:
        return None
    attempt = step.attempts[-1]
    name = step.name
    sentence = (
        f"Attempt {attempt.n} of {name} began at {figures.clock(attempt.started_at, drawn.now)} "
        "and nobody saw it end."
    )
    return Question(step, sentence, [
        Choice(Verdict.HAPPENED, "It happened", f"{name} is not called again. The agent goes on "
               "with the result below."),
        Choice(Verdict.DID_NOT_HAPPEN, "It did not happen: run it again",
               f"{name} is called once more, with the same arguments.",
               locked=_quarantine(step, attempt, drawn.now)),
        Choice(Verdict.UNKNOWN, "Tell the agent it is unknown", f"{name} is not called again. The "
               "agent gets an error that says so and decides itself how to go on."),
        Choice(Verdict.STOP, "Stop the run", "The run ends as failed, with the reason uncertain. "
               f"{name} is not called again."),
    ])  # fmt: skip


def _quarantine(step: Step, attempt: Attempt, now: datetime) -> str:
    """Why the attempt may still act, or nothing once it cannot. The service decides; this tells."""
    over_at = step.deadline_at + timedelta(seconds=GRACE_SECONDS) if step.deadline_at else None
    if over_at and over_at < now:
        return ""
    worker = (
        Worker.objects.filter(pk=attempt.worker).first()
        if isinstance(attempt.worker, int)
        else None
    )
    if worker is not None and worker.exited_at:
        return ""
    if over_at is None:
        return "Not yet: its worker is not known to have exited, so it may still act."
    return f"Not before {figures.clock(over_at, now)}: until then the lost attempt may still act."


def consequences(drawn: RunDrawing) -> list[str]:
    """What cancelling a run would do, in sentences."""
    under_way = [step for step in drawn.timeline.steps if step.is_open]
    effects = [step.name for step in under_way if step.effect == "once"]
    children = sum(1 for step in under_way if step.type == "child")
    done = sum(1 for step in drawn.timeline.steps if not step.is_open)
    said = [f"Recorded steps stay as they are ({figures.count(done)} so far); nothing is undone."]
    if under_way:
        named = ", ".join(step.name for step in under_way[:3])
        more = f" and {len(under_way) - 3} more" if len(under_way) > 3 else ""
        said.append(f"{figures.plural(len(under_way), 'step')} under way: {named}{more}.")
    if effects:
        said.append(
            f"{', '.join(effects)} may have had an effect already; if nobody can tell, the record "
            "says so."
        )
    if children:
        said.append(f"{figures.plural(children, 'run')} it started are cancelled too.")
    return said
