"""What can be read about requests, and by whom. Nothing here writes."""

from __future__ import annotations

import re

from django.db.models import BooleanField, Func, Q, QuerySet, Value

from agentops.accounts.access import Action, Actor, NotFound, visible_to
from agentops.accounts.actors import roles_of
from approvals.models import Kind, Request, Revision
from runs.models import Run

_PUBLIC_ID = re.compile(r"req_[0-9a-z]{20}")


def visible(viewer: Actor) -> QuerySet[Request]:
    """The requests ``viewer`` may see: of runs they see, and those they are asked about."""
    mine = visible_to(viewer, Request.objects.all())
    if viewer.scopes is not None or viewer.service is not None or not viewer.is_active:
        return _through_a_token(viewer, mine)
    if viewer.reach.everything or Action.DECIDE not in viewer.allowed:
        return mine
    return mine | Request.objects.filter(_asked(viewer))


def get(*, public_id: str, viewer: Actor) -> Request:
    """The request called so. Raises NotFound unless ``viewer`` may see it."""
    return _called(public_id, visible(viewer))


def named(public_id: str) -> Request:
    """The request called so, for a service that asks under its lock who may see it.

    Until that has answered nothing about it may be told. Little of it is read: the service reads
    it again. Raises NotFound.
    """
    return _called(public_id, Request.objects.only("public_id", "risk"))


def absent(public_id: str) -> NotFound:
    """What somebody hears of what is not there, or not theirs to see."""
    return NotFound(f"There is no request {public_id[:40]}, or it is not yours to see.")


def _called(public_id: str, among: QuerySet[Request]) -> Request:
    wanted = among.filter(public_id=public_id) if _PUBLIC_ID.fullmatch(public_id) else None
    found = None if wanted is None else wanted.first()
    if found is None:
        raise absent(public_id)
    return found


def newest(request: Request) -> Revision | None:
    """The exact action asked about now; None for what is no action."""
    return request.revisions.order_by("-number").first()


def _through_a_token(viewer: Actor, mine: QuerySet[Request]) -> QuerySet[Request]:
    """A token for the browser opens the requests of the runs it opens."""
    if viewer.only is None:
        return mine
    return Request.objects.filter(run__in=visible_to(viewer, Run.objects.all()))


def _asked(viewer: Actor) -> Q:
    """Of actions: those that ask for a team of theirs, or for a role where the run is no team's.

    With that, what those see for whom they stand in. All in the one query of the list.
    """
    asked = Q(team__isnull=True, factors=[])
    for role in roles_of(viewer.user):
        asked |= Q(team__isnull=True, factors__contains=[{"role": role}])
    asked |= Q(_AsksTheirTeam("team_id", "factors", "name", Value(viewer.user.pk)))
    return Q(kind=Kind.APPROVAL) & asked


class _AsksTheirTeam(Func):
    """Whether a request asks for a team of somebody, or of whom they stand in for.

    In words of SQL: every list and every decision asks it, and as subqueries of Django's it would
    be put together anew each time, which costs the web process more than the answer.
    """

    output_field = BooleanField()
    template = """EXISTS (
    SELECT FROM (SELECT %(expressions)s) AS asked(team_id, factors, name, person) WHERE EXISTS (
        SELECT FROM accounts_membership m JOIN accounts_team t ON t.id = m.team_id
         WHERE m.user_id = asked.person
           AND asked.factors @> jsonb_build_array(jsonb_build_object('team', t.name))
    ) OR EXISTS (
        SELECT FROM approval_deputy d JOIN accounts_membership m ON m.user_id = d.person_id
          JOIN accounts_team t ON t.id = m.team_id
         WHERE d.deputy_id = asked.person AND d.ended_at IS NULL
           AND statement_timestamp() >= d.begins_at AND statement_timestamp() < d.ends_at
           AND (d.tools = ARRAY[]::text[] OR asked.name = ANY(d.tools))
           AND (m.team_id = asked.team_id
                OR asked.factors @> jsonb_build_array(jsonb_build_object('team', t.name)))
    ))"""
