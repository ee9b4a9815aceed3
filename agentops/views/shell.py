"""What surrounds every page: the rail, the theme, the reader's time zone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from agentops.accounts import factors
from agentops.accounts.access import Action, allows, visible_to
from agentops.accounts.actors import actor_of
from agentops.accounts.models import User
from agentops.views import keymap
from agentops.views.people.places import settings_places
from approvals import inbox
from runs import halted
from runs.models import Run, RunStatus, Stop
from runs.release import build
from runs.zones import zone

YEAR_SECONDS = 365 * 24 * 3600
IN_BOTTOM = 3


@dataclass(frozen=True, slots=True)
class Place:
    """A place of the console. It appears in the rail once its address exists."""

    url_name: str
    label: str
    icon: str
    key: str
    action: Action = Action.VIEW
    # The smaller, the nearer to the thumb on a small screen.
    thumb: int = 9


PLACES = (
    Place("overview", "Overview", "house", "o", thumb=3),
    Place("inbox", "Inbox", "inbox", "i", thumb=0),
    Place("runs", "Runs", "list-tree", "r", thumb=1),
    Place("conversations", "Conversations", "messages-square", "v", thumb=5),
    Place("memory", "Memory", "box", "m"),
    Place("agents", "Agents", "bot", "a", thumb=4),
    Place("costs", "Costs", "wallet", "c", thumb=2),
    Place("credentials", "Credentials", "key-round", "d"),
    Place("audit", "Audit", "scroll-text", "u"),
    Place("settings", "Settings", "settings", "s"),
    Place("system", "System", "server", "y", Action.OPERATE),
)


@dataclass(frozen=True, slots=True)
class RailItem:
    """A place as a link, and whether the page shown is it or lies in it."""

    label: str
    icon: str
    key: str
    href: str
    current: bool
    exact: bool
    thumb: int
    name: str


@dataclass(frozen=True, slots=True)
class Theme:
    """A choice of colours, as the button that chooses it."""

    value: str
    label: str
    icon: str


_THEMES = {
    "": Theme("light", "Light theme", "sun"),
    "light": Theme("dark", "Dark theme", "moon"),
    "dark": Theme("system", "System theme", "monitor"),
}


def shell(request: HttpRequest) -> dict[str, Any]:
    """Context of every page."""
    theme = request.COOKIES.get("theme", "")
    theme = theme if theme in {"light", "dark"} else ""
    rail = places(request)
    near = sorted(rail, key=lambda item: item.thumb)[:IN_BOTTOM]
    return {
        "theme": theme,
        "next_theme": _THEMES[theme],
        "folded": request.COOKIES.get("folded") == "1",
        "keymap": keymap.Keymap.read(request.COOKIES.get(keymap.COOKIE, "")),
        "zone": timezone.get_current_timezone_name(),
        "instance": settings.AGENTOPS_INSTANCE,
        "production": settings.AGENTOPS_PRODUCTION,
        "build": build(),
        "rail": rail,
        "near": [item for item in rail if item in near],
        "far": [item for item in rail if item not in near],
        "waiting_for_me": cache(lambda: _tallies(request)["inbox"]),
        "running": cache(lambda: _tallies(request)["running"]),
        "stops_holding": cache(lambda: _holding(request)),
        "settings_places": cache(lambda: settings_places(request)),
        "factor_missing": cache(lambda: _lacks_a_factor(request)),
    }


def _lacks_a_factor(request: HttpRequest) -> bool:
    """Whether nothing opens before they set up a second factor."""
    return isinstance(request.user, User) and factors.is_missing(request.user)


def _tallies(request: HttpRequest) -> dict[str, int]:
    """How many requests wait for somebody and how many runs are at work, for the rail."""
    if not isinstance(request.user, User):
        return {"inbox": 0, "running": 0, "stops": 0}
    known: dict[str, int] | None = getattr(request, "tallies", None)
    if known is None:
        actor = actor_of(request)
        known = inbox.rail(actor, visible_to(actor, Run.objects.filter(status=RunStatus.RUNNING)))
        request.tallies = known  # type: ignore[attr-defined]
    return known


def _holding(request: HttpRequest) -> list[Stop]:
    """The stops that hold, told on every page. Where there is none, nothing more is asked."""
    if not isinstance(request.user, User) or not _tallies(request)["stops"]:
        return []
    return halted.shown_to(actor_of(request))


def places(request: HttpRequest) -> list[RailItem]:
    """The places somebody may open, as links."""
    return [
        RailItem(
            place.label, place.icon, place.key, href,
            current=request.path.startswith(href) if href != "/" else request.path == href,
            exact=request.path == href, thumb=place.thumb, name=place.url_name,
        )
        for place, href in _addresses()
        if _may_open(request, place)
    ]  # fmt: skip


def _may_open(request: HttpRequest, place: Place) -> bool:
    """Everybody has runs of their own to look at; other places need the right to them."""
    if place.action is Action.VIEW:
        return True
    return isinstance(getattr(request, "user", None), User) and allows(
        actor_of(request), place.action
    )


@cache
def _addresses() -> list[tuple[Place, str]]:
    found = []
    for place in PLACES:
        try:
            found.append((place, reverse(place.url_name)))
        except NoReverseMatch:
            continue
    return found


class ZoneMiddleware:
    """Times are shown in the reader's zone, which the browser tells in a cookie."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with timezone.override(zone(request.COOKIES.get("zone", ""))):
            return self.get_response(request)


@require_POST
def theme(request: HttpRequest) -> HttpResponse:
    """Choose light, dark or what the system says, and go back."""
    back = request.POST.get("next", "/")
    allowed = url_has_allowed_host_and_scheme(back, {request.get_host()}, request.is_secure())
    answer = redirect(back if allowed else "/")
    chosen = request.POST.get("theme", "")
    if chosen in {"light", "dark"}:
        answer.set_cookie("theme", chosen, max_age=YEAR_SECONDS, samesite="Lax")
    else:
        answer.delete_cookie("theme", samesite="Lax")
    return answer
