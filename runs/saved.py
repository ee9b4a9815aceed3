"""Views of lists that people keep, for themselves or for their teams."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Q

from agentops.accounts.access import Actor, Forbidden, NotFound
from agentops.accounts.models import Membership
from agentops.sdk.errors import AgentopsError
from runs.listing import Filter
from runs.models import SavedView

LONGEST_NAME = 40
LONGEST_QUERY = 500
MOST_OWN = 20


class ViewRefused(AgentopsError):
    """A view has a name of 1 to 40 characters and an address that can be kept."""

    code = "invalid_request"


@dataclass(frozen=True, slots=True)
class Kept:
    """A view as it was before it was removed, so that it can come back."""

    name: str
    query: str
    is_shared: bool


def views_of(actor: Actor) -> list[SavedView]:
    """Their own views, then those shared by people of their teams, by name."""
    near = Q(owner=actor.user)
    if actor.reach.everything:
        near |= Q(is_shared=True)
    elif actor.reach.teams:
        members = Membership.objects.filter(team_id__in=actor.reach.teams).values("user_id")
        near |= Q(is_shared=True, owner_id__in=members)
    views = list(SavedView.objects.filter(near).order_by("name", "pk"))
    return sorted(views, key=lambda view: view.owner_id != actor.user.pk)


def save_view(*, actor: Actor, name: str, query: str, is_shared: bool) -> SavedView:
    """Keep a view; under a name they have already, it takes the place of that one.

    The query is kept as the list would write it. Raises ViewRefused.
    """
    name = " ".join(name.split())
    if not 0 < len(name) <= LONGEST_NAME:
        raise ViewRefused(f"A view has a name of 1 to {LONGEST_NAME} characters.")
    written = Filter.read_query(query).query
    if len(written) > LONGEST_QUERY:
        raise ViewRefused(f"This filter is longer than {LONGEST_QUERY} characters. Shorten it.")
    others = SavedView.objects.filter(owner=actor.user).exclude(name=name)
    if others.count() >= MOST_OWN:
        raise ViewRefused(f"You keep {MOST_OWN} views already. Remove one first.")
    saved, _ = SavedView.objects.update_or_create(
        owner=actor.user, name=name, defaults={"query": written, "is_shared": is_shared}
    )
    return saved


def remove_view(*, actor: Actor, view_id: int) -> Kept:
    """Forget a view of theirs. Raises NotFound, or Forbidden for one that somebody shares."""
    view = next((view for view in views_of(actor) if view.pk == view_id), None)
    if view is None:
        raise NotFound("There is no such view, or it is not yours to see.")
    if view.owner_id != actor.user.pk:
        raise Forbidden("This view is somebody else's. Only they can remove it.")
    view.delete()
    return Kept(view.name, view.query, view.is_shared)
