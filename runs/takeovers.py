"""A person takes a run over, supplies what a tool would return, and hands it back.

See Note [Taking over].
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection
from django.db.models import Q
from django.utils import timezone

from agentops.accounts.access import Action, Actor, authorize, authorize_person
from runs import services
from runs.engine import store
from runs.labels import InvalidRequest
from runs.models import Inbox, Journal, Phase, Run, TakeOver
from runs.services.changes import announce, change, reread
from runs.values import load_all

USUAL_MINUTES = 60
MOST_MINUTES = 24 * 60


def take(*, run: Run, actor: Actor, minutes: int = USUAL_MINUTES) -> TakeOver:
    """Let nobody but ``actor`` move the run for a while; it pauses. Taken again, it is prolonged.

    Raises PersonRequired, Forbidden, NotFound, InvalidRequest, RunIsFinal or TakenOver.
    """
    _authorize(actor, run)
    if not 1 <= minutes <= MOST_MINUTES:
        raise InvalidRequest(f"minutes: 1 to {MOST_MINUTES}, not {minutes}.")
    with change() as cursor:
        moved = store.take(cursor, run.pk, person=actor.user.pk, by=actor.name, minutes=minutes)
    announce(moved)
    return TakeOver.objects.select_related("person").get(run=run)


def supply(*, run: Run, actor: Actor, key: str, result: object) -> Run:
    """Give a step the result that a person got by hand; the step is not done any more.

    The run goes on with it once it is handed back, and a model is told that a person did it.
    Raises PersonRequired, Forbidden, NotFound, NotTaken, TakenOver, NotOpen, RunIsFinal,
    RunIsBusy or PayloadError.
    """
    _authorize(actor, run)
    with change() as cursor:
        store.require_open(cursor, run.pk, key)
        if not store.refuse_others(cursor, run.pk, actor.name):
            raise store.NotTaken
        told = services.tell(
            cursor, run_id=run.pk, name=f"{store.SUPPLIED}{key}", sender=actor.name,
            payload={"value": result, "by": actor.name}, dedup_key=f"{store.SUPPLIED}{key}",
        )  # fmt: skip
    if not told:
        raise store.NotOpen("A result of this step was supplied before. Hand the run back.")
    return reread(run)


def hand_back(*, run: Run, actor: Actor) -> Run:
    """Let the run go on from where it is. Raises what :func:`take` raises, or NotTaken."""
    _authorize(actor, run)
    with change() as cursor:
        if not store.refuse_others(cursor, run.pk, actor.name):
            raise store.NotTaken
        moved = store.hand_back(cursor, run.pk, by=actor.name)
    announce(moved)
    return reread(run)


def refuse_others(*, run_id: int, actor: Actor) -> None:
    """Return unless somebody else has the run in hand. Raises TakenOver."""
    with connection.cursor() as cursor:
        store.refuse_others(cursor, run_id, actor.name)


def of(run: Run) -> TakeOver | None:
    """Who has the run in hand now, and until when."""
    if run.is_final:
        return None
    found = TakeOver.objects.select_related("person").filter(run=run, until__gt=timezone.now())
    return found.first()


@dataclass(frozen=True, slots=True)
class OpenStep:
    """A step without a result. ``supplied``: a person gave it one, which waits for the run.

    ``arguments`` are what it was called with, as far as the journal knows.
    """

    key: str
    name: str
    supplied: bool
    arguments: object = None


_NOTES = ("@stop.held/", "@approval.requested/")
_TYPES = ("tool", "step")


def open_steps(run: Run) -> list[OpenStep]:
    """The steps whose result a person may supply, in the order in which they were asked for."""
    lines = Journal.objects.filter(run=run).order_by("seq")
    over = set(lines.filter(phase=Phase.OUTCOME).values_list("key", flat=True))
    begun = Q(phase__in=[Phase.INTENT, Phase.STARTED, Phase.FAILED], meta__type__in=_TYPES)
    noted = Q(key__startswith=_NOTES[0]) | Q(key__startswith=_NOTES[1])
    known = supplied(run)
    found: dict[str, OpenStep] = {}
    wanted = list(lines.filter(begun | noted).only("key", "name", "input_codec", "input"))
    given = load_all((line.input_codec, line.input) for line in wanted)
    for line, arguments in zip(wanted, given, strict=True):
        key = next((line.key.removeprefix(n) for n in _NOTES if line.key.startswith(n)), line.key)
        step = found.get(key)
        if key not in over and (step is None or step.arguments is None):
            found[key] = OpenStep(key, line.name, key in known, arguments)
    return list(found.values())


def supplied(run: Run) -> set[str]:
    """The steps for which a person supplied a result that the run has not taken up yet."""
    found = Inbox.objects.filter(run=run, name__startswith=store.SUPPLIED)
    names = found.values_list("name", flat=True)
    return {name.removeprefix(store.SUPPLIED) for name in names}


def _authorize(actor: Actor, run: Run) -> None:
    authorize(actor, Action.OPERATE, run)
    authorize_person(actor)
