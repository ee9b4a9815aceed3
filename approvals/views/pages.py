"""The inbox: its list, and one request beside it or alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from agentops.accounts.access import Actor
from agentops.accounts.actors import actor_of
from approvals import attention, escalation, inbox, questions
from approvals.forms import question_form
from approvals.inbox import TABS, Wanted
from approvals.models import Kind, Request, Revision, Risk
from approvals.showing import Row, Shown
from runs.views.signing import signed_in, the_run

_KNOWN = {*Wanted.names(), "after"}


@dataclass(frozen=True, slots=True)
class Tab:
    """A part of the inbox, with how many wait in it."""

    label: str
    href: str
    current: bool
    tally: int | None
    name: str


@require_safe
@signed_in
def requests(request: HttpRequest) -> HttpResponse:
    """What waits for people. The address is the state."""
    if request.GET.get("panel") == "none":
        return HttpResponse()
    template = "inbox/_list.html" if request.headers.get("HX-Request") else "inbox/list.html"
    return render(request, template, listed(request))


def listed(request: HttpRequest) -> dict[str, Any]:
    """What the list of requests is drawn from."""
    actor, wanted = actor_of(request), Wanted.read(request.GET.dict())
    now, after = timezone.localtime(), request.GET.get("after", "")
    page = inbox.page(wanted, actor, after.replace("\0", ""))
    tallies = inbox.tallies(actor)
    return {
        "now": now, "page": page, "wanted": wanted, "path": reverse("inbox"),
        "rows": [Row(each, now) for each in page.requests],
        "tabs": [Tab(label, _at(wanted, name), wanted.tab == name, tallies.get(name),
                     name or "mine")
                 for name, label in TABS.items()],
        "kinds": Kind.values, "risks": Risk.values,
        "unknown": [name for name in request.GET if name not in _KNOWN],
        "elsewhere": tallies["team"] if not wanted.tab else 0,
        "painted": int(now.timestamp() * 1000),
        "waiting_for_me": tallies[""],
    }  # fmt: skip


def _at(wanted: Wanted, tab: str) -> str:
    return f"{reverse('inbox')}?{wanted.but(tab=tab)}".rstrip("?")


@require_safe
@signed_in
def item(request: HttpRequest, public_id: str) -> HttpResponse:
    """One request: what will happen, why, and what can be answered."""
    shown = Shown(*the_request(actor_of(request), public_id), request.GET.getlist("open"))
    template = "inbox/_item.html" if request.headers.get("HX-Request") else "inbox/item.html"
    return render(request, template, drawn(request, shown))


def drawn(request: HttpRequest, shown: Shown) -> dict[str, Any]:
    """What one request is drawn from."""
    found, actor = shown.request, actor_of(request)
    context = {"shown": shown, "item": found, "now": shown.now, "beside": Wanted().query}
    if not shown.is_pending:
        return context
    context["following"] = escalation.upcoming(found)
    if found.kind == Kind.APPROVAL:
        return {**context, "why_not": inbox.why_not(actor, found, shown.revision)}
    if found.kind == Kind.QUESTION:
        form = question_form(found.schema or {})
        return {**context, "form": form, "why_not": questions.may_answer(actor, found)}
    matter = attention.matter(found, actor, shown.now)
    return {**context, "matter": matter, "why_not": matter.why_not if matter else ""}


def the_request(actor: Actor, public_id: str) -> tuple[Request, Revision | None]:
    """The request of an address and its newest revision, if any; 404 for what is not theirs."""
    mine = inbox.requests_of(actor).filter(public_id=public_id.replace("\0", ""))
    named = mine.select_related("owner", "team", "decided_by", "acknowledged_by", "policy")
    found = inbox.with_alike(named, actor).first()
    if found is None:
        raise Http404("There is no such request, or it is not yours to see.")
    return found, found.revisions.select_related("made_by").order_by("-number").first()


@require_safe
@signed_in
def of_run(request: HttpRequest, public_id: str) -> HttpResponse:
    """Go to the one open request of a run, or to the list of them."""
    run = the_run(request, public_id)
    found = inbox.of_run(actor_of(request), run.public_id)
    if len(found) == 1:
        return redirect("inbox-item", found[0].public_id)
    return redirect(f"{reverse('inbox')}?{Wanted(tab='team', run=public_id).query}")
