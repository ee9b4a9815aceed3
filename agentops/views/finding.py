"""Finds a place, an agent, a run or a command by a few letters: the palette, and a page of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_safe

from agentops.accounts.access import Action, allows, visible_to
from agentops.accounts.actors import actor_of
from agentops.sdk.catalog import catalog
from agentops.views.shell import places
from runs import listing
from runs.models import Run
from runs.views.signing import signed_in

SHOWN = 6


@dataclass(frozen=True, slots=True)
class Found:
    """Something to go to."""

    label: str
    href: str
    icon: str
    hint: str = ""
    keys: str = ""

    def fits(self, words: Iterable[str]) -> bool:
        """Whether every word is in what people read of it."""
        said = f"{self.label} {self.hint}".lower()
        return all(word in said for word in words)


@require_safe
@signed_in
def find(request: HttpRequest) -> HttpResponse:
    """What fits the words, by kind. With ``go`` the first of it is opened."""
    typed = request.GET.get("q", "").strip()[:100]
    groups = [(title, found) for title, found in _groups(request, typed) if found]
    if "go" in request.GET and groups:
        return redirect(groups[0][1][0].href)
    part = request.headers.get("HX-Request")
    template = "_found.html" if part else "found.html"
    return render(request, template, {"groups": groups, "typed": typed})


def _groups(request: HttpRequest, typed: str) -> Iterator[tuple[str, list[Found]]]:
    words = typed.lower().split()
    runs = _runs(request, typed) if typed else []
    if typed.startswith("run_"):
        yield "Runs", runs
        return
    yield "Go to", _fitting(_places(request), words, SHOWN if words else 12)
    yield "Views of runs", _fitting(_views(), words) if words else []
    yield "Stop", _fitting(_stops(request), words) if words else []
    yield "Start a run", _fitting(_agents(), words)
    yield "Runs", runs
    yield "Search", [_search(typed)] if typed else []


def _fitting(candidates: Iterable[Found], words: list[str], most: int = SHOWN) -> list[Found]:
    return [found for found in candidates if found.fits(words)][:most]


def _places(request: HttpRequest) -> list[Found]:
    rail = [Found(i.label, i.href, i.icon, keys=f"g {i.key}") for i in places(request)]
    bulk = Found("Bulk actions", reverse("bulks"), "list-tree", "on all runs that match")
    trying = Found(
        "Playground", reverse("playground"), "play", "try an agent, begin a conversation"
    )
    return [*rail, bulk, trying, Found("Keys", reverse("keys"), "keyboard", "change or switch off")]


def _views() -> list[Found]:
    path = reverse("runs")
    return [
        Found(view.label, f"{path}?view={name}", "list-tree", "runs")
        for name, view in listing.VIEWS.items()
    ]


def _agents() -> list[Found]:
    return [
        Found(f"Start {agent.name}", reverse("agent", args=[agent.name]), "play", "agent")
        for agent in catalog().agents()
    ]


def _stops(request: HttpRequest) -> list[Found]:
    """The doors of the kill switch, for those who may."""
    if not allows(actor_of(request), Action.OPERATE):
        return []
    door, icon = reverse("stop-new"), "octagon-pause"
    agents = [agent.name for agent in catalog().agents()]
    named = [(name, urlencode({"scope": "agent", "target": name})) for name in agents]
    narrow = [Found(f"Stop agent {name}…", f"{door}?{about}", icon) for name, about in named]
    return [Found("Stop everything…", door, icon), *narrow, Found("Stops", reverse("stops"), icon)]


def _runs(request: HttpRequest, typed: str) -> list[Found]:
    mine = visible_to(actor_of(request), Run.objects.all())
    return [
        Found(run.title or run.agent, reverse("run", args=[run.public_id]), "circle-play",
              f"{run.agent} · {run.status} · {run.public_id[:12]}…")
        for run in listing.recent_with(mine, typed.split(), SHOWN)
    ]  # fmt: skip


def _search(typed: str) -> Found:
    return Found(f"All runs with “{typed}”", f"{reverse('runs')}?{urlencode({'q': typed})}",
                 "search")  # fmt: skip
