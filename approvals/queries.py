"""What can be read about requests, and by whom. Nothing here writes."""

from __future__ import annotations

import re

from django.db.models import (
    BooleanField,
    Exists,
    F,
    Func,
    JSONField,
    OuterRef,
    Q,
    QuerySet,
    Value,
)

from agentops.accounts.access import Action, Actor, NotFound, visible_to
from agentops.accounts.actors import roles_of
from agentops.accounts.models import Membership
from approvals.models import Deputy, Kind, Request, Revision
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
    """A token for the browser opens the requests of the runs it opens."""
    if viewer.only is None:
        return mine
    return Request.objects.filter(run__in=visible_to(viewer, Run.objects.all()))


def _asked(viewer: Actor) -> Q:
    """Of actions: those that ask for a team of theirs, or for a role where the run is no team's.

    With that, what those see for whom they stand in. All in the one query of the list.
    """
    me = viewer.user
    asked = Q(team__isnull=True, factors=[])
    for role in roles_of(me):
        asked |= Q(team__isnull=True, factors__contains=[{"role": role}])
    asked |= Q(Exists(Membership.objects.filter(_asks_for(F("team__name")), user=me)))
    return Q(kind=Kind.APPROVAL) & (asked | Q(Exists(_in_place_of_others(viewer))))


def _in_place_of_others(viewer: Actor) -> QuerySet[Deputy]:
    """Those for whom they stand in who see the request, or are asked as a team."""
    theirs = "person__memberships__team"
    seen = Q(**{theirs: OuterRef("team")}) | Q(_asks_for(F(f"{theirs}__name")))
    named = Func(OuterRef("name"), F("tools"), template="(%(expressions)s))",
                 arg_joiner=" = ANY(", output_field=BooleanField())  # fmt: skip
    mine = Deputy.objects.in_force().filter(deputy=viewer.user)
    return mine.filter(Q(tools=[]) | Q(named), seen)


def _asks_for(team: F) -> Func:
    """Whether the request wants somebody of the team called so."""
    named = Func(Value("team"), team, function="jsonb_build_object", output_field=JSONField())
    factor = Func(named, function="jsonb_build_array", output_field=JSONField())
    return Func(OuterRef("factors"), factor, template="(%(expressions)s)", arg_joiner=" @> ",
                output_field=BooleanField())  # fmt: skip
