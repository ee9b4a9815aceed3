"""The page on which operators read what servers say of their tools, and answer."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from agentops.accounts.access import Action, allows
from agentops.accounts.actors import actor_of
from runs import pins
from runs.pins import Answer
from runs.views.actions import telling_refusals
from runs.views.signing import signed_in


@require_safe
@signed_in
def tools(request: HttpRequest) -> HttpResponse:
    """The tools of servers, with what changed about them."""
    _only_operators(request)
    found = pins.described()
    return render(request, "tools.html", {
        "open": [it for it in found if it.pin.offered_digest],
        "settled": [it for it in found if not it.pin.offered_digest],
    })  # fmt: skip


@require_POST
@signed_in
def decide(request: HttpRequest) -> HttpResponse:
    """Accept a description or refuse it."""
    _only_operators(request)
    said = request.POST
    if said.get("answer") not in set(Answer):
        messages.error(request, "Choose whether to accept it or to refuse it.", extra_tags="bad")
        return redirect("tool-pins")
    with telling_refusals(request):
        pins.decide(
            server=said.get("server", ""),
            tool=said.get("tool", ""),
            digest=said.get("digest", ""),
            answer=Answer(said["answer"]),
            actor=actor_of(request).name,
        )
    return redirect("tool-pins")


def _only_operators(request: HttpRequest) -> None:
    if not allows(actor_of(request), Action.OPERATE):
        raise Http404("The tools of servers are for operators and administrators.")
