"""Somebody decides in the place of another for a while. Who may then, ``eligibility`` says."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from agentops.accounts.access import Action, Actor, Forbidden, NotFound, authorize_person
from agentops.accounts.models import User
from approvals.models import Deputy, Record
from runs import services
from runs.labels import InvalidRequest

LONGEST = timedelta(days=90)
MOST_TOOLS = 50


def appoint(
    *,
    actor: Actor,
    deputy: str,
    begins_at: datetime,
    ends_at: datetime,
    tools: Sequence[str] = (),
) -> Deputy:
    """Let ``deputy`` decide in one's own place, about these tools or all; not to be handed on.

    Both hold the role of an approver, when it begins and at every decision. Raises PersonRequired,
    Forbidden or InvalidRequest.
    """
    authorize_person(actor)
    if Action.DECIDE not in actor.allowed:
        raise Forbidden("Only an approver has somebody decide in their place.")
    other = _other(actor, deputy)
    _check(begins_at, ends_at, tools)
    with services.change():
        made = Deputy.objects.create(
            person=actor.user, deputy=other, tools=sorted(set(tools)),
            begins_at=begins_at, ends_at=ends_at,
        )  # fmt: skip
        _record("deputy.appointed", actor, made)
    return made


def end(*, actor: Actor, pk: int) -> Deputy:
    """Take it back now, or give it back: either of the two may, and who administers.

    Raises PersonRequired, or NotFound for somebody else's. Repeated it changes nothing.
    """
    authorize_person(actor)
    with services.change():
        held = visible(actor).select_for_update(of=("self",)).filter(pk=pk).first()
        if held is None:
            raise NotFound
        if held.ended_at is None:
            Deputy.objects.filter(pk=pk).update(ended_at=Now())
            _record("deputy.ended", actor, held)
            held.refresh_from_db()
    return held


def visible(viewer: Actor) -> QuerySet[Deputy]:
    """Those that concern ``viewer``; all for who administers, none for a token."""
    if viewer.scopes is not None or not viewer.is_active:
        return Deputy.objects.none()
    rows = Deputy.objects.select_related("person", "deputy").order_by("-created_at", "-pk")
    if Action.ADMINISTER in viewer.allowed:
        return rows
    return rows.filter(Q(person=viewer.user) | Q(deputy=viewer.user))


def _other(actor: Actor, name: str) -> User:
    other = User.objects.filter(username=name.replace("\0", ""), is_active=True).first()
    if other is None or other.is_service or Action.DECIDE not in Actor(other).allowed:
        raise InvalidRequest("deputy: name an approver of this installation.")
    if other.pk == actor.user.pk:
        raise InvalidRequest("deputy: name somebody else; nobody stands in for themselves.")
    return other


def _check(begins_at: datetime, ends_at: datetime, tools: Sequence[str]) -> None:
    if not timedelta(0) < ends_at - begins_at <= LONGEST:
        raise InvalidRequest(f"ends_at: after begins_at, and at most {LONGEST.days} days later.")
    if len(tools) > MOST_TOOLS or any(not 0 < len(tool) <= 200 or "\0" in tool for tool in tools):
        raise InvalidRequest(f"tools: at most {MOST_TOOLS} names of tools; none means all.")


def _record(event: str, actor: Actor, row: Deputy) -> None:
    detail = {
        "person": row.person.get_username(), "deputy": row.deputy.get_username(),
        "tools": row.tools, "ends_at": row.ends_at.isoformat(), "id": row.pk,
    }  # fmt: skip
    Record.objects.create(event=event, by=actor.name, person=actor.user, detail=detail)
