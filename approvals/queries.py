"""What can be read about requests, and by whom. Nothing here writes."""

from __future__ import annotations

import re

from django.db.models import Q, QuerySet

from agentops.accounts.access import Action, Actor, NotFound, visible_to
from agentops.accounts.models import Team
from approvals.models import Deputy, Kind, Request, Revision

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
    found = None
    if _PUBLIC_ID.fullmatch(public_id):
        found = visible(viewer).filter(public_id=public_id).first()
    if found is None:
        raise NotFound(f"There is no request {public_id[:40]}, or it is not yours to see.")
    return found


def newest(request: Request) -> Revision | None:
    """The exact action asked about now; None for what is no action."""
    return request.revisions.order_by("-number").first()


def _through_a_token(viewer: Actor, mine: QuerySet[Request]) -> QuerySet[Request]:
    """A token for the browser opens the requests of the runs it names."""
    only = viewer.only
    if only is None or not viewer.is_active or not viewer.token_allows(Action.VIEW):
        return mine
    return Request.objects.filter(run_public_id__in=only, owner_id=viewer.user.pk)


def _asked(viewer: Actor) -> Q:
    """Of actions: those that ask for a team of theirs, or for a role where the run is no team's.

    With that, what those see for whom they stand in.
    """
    me = viewer.user
    asked = Q(team__isnull=True, factors=[])
    for role in me.roles:
        asked |= Q(team__isnull=True, factors__contains=[{"role": role}])
    for name in me.teams.values_list("name", flat=True):
        asked |= Q(factors__contains=[{"team": name}])
    for row in Deputy.objects.in_force().filter(deputy=me).select_related("person"):
        asked |= _in_place_of(row)
    return Q(kind=Kind.APPROVAL) & asked


def _in_place_of(row: Deputy) -> Q:
    theirs = Team.objects.filter(members=row.person)
    seen = Q(team__in=theirs)
    for name in theirs.values_list("name", flat=True):
        seen |= Q(factors__contains=[{"team": name}])
    return seen & Q(name__in=row.tools) if row.tools else seen
