"""What people answer: questions of agents, runs that cannot go on, and words to and fro."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from agentops.accounts.actors import actor_of
from agentops.sdk.forms import InvalidAnswer
from approvals import asking_back, attention, questions
from approvals.attention import Chosen
from approvals.forms import question_form
from approvals.models import State
from approvals.showing import Shown
from approvals.views.pages import drawn, the_request
from runs.views.actions import telling_refusals, typed
from runs.views.signing import signed_in


@require_POST
@signed_in
def answer(request: HttpRequest, public_id: str) -> HttpResponse:
    """Give an agent what it asked for; what does not fit is said at its field."""
    actor = actor_of(request)
    found, revision = the_request(actor, public_id)
    value, form = question_form(found.schema or {}).read(request.POST)
    if value is None and found.state == State.PENDING:
        return _again(request, Shown(found, revision), form)
    with telling_refusals(request):
        try:
            questions.answer(request=found, actor=actor, answer=value or {})
        except InvalidAnswer as wrong:
            return _again(request, Shown(found, revision), form.refused(wrong.path, wrong.reason))
        messages.success(request, f"Answered: “{found.title}”.", extra_tags="good")
    return redirect("inbox-item", public_id)


def _again(request: HttpRequest, shown: Shown, form: object) -> HttpResponse:
    context = {**drawn(request, shown), "form": form}
    return render(request, "inbox/item.html", context, status=422)


@require_POST
@signed_in
def decline(request: HttpRequest, public_id: str) -> HttpResponse:
    """Tell an agent that nobody will answer this."""
    actor = actor_of(request)
    found, _ = the_request(actor, public_id)
    with telling_refusals(request):
        comment = request.POST.get("comment", "").strip()
        questions.decline(request=found, actor=actor, comment=comment)
        messages.success(request, f"Declined: “{found.title}”.", extra_tags="good")
    return redirect("inbox-item", public_id)


@require_POST
@signed_in
def attend(request: HttpRequest, public_id: str) -> HttpResponse:
    """Do what was chosen about a run that cannot go on."""
    actor, posted = actor_of(request), request.POST
    found, _ = the_request(actor, public_id)
    if not posted.get("choice"):
        messages.error(request, "Choose what is true, then go on.", extra_tags="bad")
        return redirect("inbox-item", public_id)
    attempt = posted.get("attempt", "")
    chosen = Chosen(
        value=posted["choice"],
        result=typed(posted.get("result", "")) if posted["choice"] == "happened" else None,
        reference=posted.get("reference", "")[:200],
        attempt=int(attempt) if attempt.isdecimal() and len(attempt) < 9 else None,
    )
    with telling_refusals(request):
        attention.choose(request=found, actor=actor, chosen=chosen)
        messages.success(request, f"Done: “{found.title}”.", extra_tags="good")
    return redirect("inbox-item", public_id)


@require_POST
@signed_in
def ask_back(request: HttpRequest, public_id: str) -> HttpResponse:
    """Ask whom the run is for, or reply to who asked."""
    actor = actor_of(request)
    found, _ = the_request(actor, public_id)
    with telling_refusals(request):
        asking_back.say(request=found, actor=actor, text=request.POST.get("text", ""))
        messages.success(request, "Said. It waits for a person as before.", extra_tags="good")
    return redirect("inbox-item", public_id)
