"""A word between who decides and whom the run is for, before anything is decided."""

from __future__ import annotations

from django.utils import timezone

from agentops.accounts.access import Actor, authorize_person
from agentops.accounts.models import User
from approvals import matters, moves, notices
from approvals.models import Kind, Record, Request, State
from approvals.moves import By
from approvals.receivers import Receiver
from approvals.refusals import AlreadyDecided
from runs import services
from runs.labels import InvalidRequest

ASKED, REPLIED = "asked_back", "replied"
MOST = 50


def say(*, request: Request, actor: Actor, text: str) -> Record:
    """Ask whom the run is for, or reply to who asked; the other side is told.

    Nothing is decided by it and the deadline stays. Raises PersonRequired, NotFound,
    AlreadyDecided, or InvalidRequest for nothing said, or too much.
    """
    authorize_person(actor)
    matters.check_text(text, "text")
    if not text.strip():
        raise InvalidRequest("text: say what you want to know, or reply.")
    with services.change():
        held = matters.locked(request, actor, Kind(request.kind))
        if held.state != State.PENDING:
            raise AlreadyDecided(matters.how_it_ended(held))
        said = conversation(held)
        if len(said) >= MOST:
            raise InvalidRequest(f"text: {MOST} words to and fro are enough. Decide, or talk.")
        is_reply = held.owner_id == actor.user.pk
        event = REPLIED if is_reply else ASKED
        by = By.actor(actor)
        made = moves.record(held, f"{held.kind}.{event}", by, detail={"text": text.strip()})
        to = _who_asked(said) if is_reply else {held.owner_id}
        others = {pk for pk in to if pk is not None and pk != actor.user.pk}
        _notify(held, others, event, len(said) + 1)
    return made


def conversation(request: Request) -> list[Record]:
    """What was asked back and replied, oldest first."""
    kinds = [f"{request.kind}.{event}" for event in (ASKED, REPLIED)]
    return list(request.records.filter(event__in=kinds).select_related("person").order_by("id"))


def _who_asked(said: list[Record]) -> set[int | None]:
    return {record.person_id for record in said if record.event.endswith(ASKED)}


def _notify(request: Request, people: set[int], event: str, step: int) -> None:
    receivers = [Receiver(person) for person in User.objects.filter(pk__in=people, is_active=True)]
    notices.tell(request=request, event=event, receivers=receivers, now=timezone.now(), step=step)
