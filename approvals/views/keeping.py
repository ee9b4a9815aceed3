"""What people do with a request without deciding it: put it off, take it up."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from agentops.accounts.actors import actor_of
from approvals import acknowledging
from approvals.models import Request, Snooze, State
from approvals.views.pages import the_request
from runs import figures
from runs.views.actions import telling_refusals
from runs.views.signing import person, signed_in

_HOURS = {"1h": 1, "4h": 4}
_MORNING = 9


@require_POST
@signed_in
def snooze(request: HttpRequest, public_id: str) -> HttpResponse:
    """Put it off for this person alone, never past its deadline; ``none`` takes that back."""
    found, _ = the_request(actor_of(request), public_id)
    wanted = request.POST.get("for") or request.GET.get("for", "")
    mine = Snooze.objects.filter(request=found, person=person(request))
    if wanted == "none":
        mine.delete()
        return redirect("inbox-item", public_id)
    now = timezone.localtime()
    until = _until(wanted, now, found)
    if until is None:
        messages.error(request, "It cannot be put off any more.", extra_tags="bad")
        return redirect("inbox-item", public_id)
    Snooze.objects.update_or_create(
        request=found, person=person(request), defaults={"until": until}
    )
    undo = f"{reverse('inbox-snooze', args=[public_id])}?for=none"
    said = f"Snoozed until {figures.clock(until, now, seconds=False)}: “{found.title}”."
    messages.success(request, said, extra_tags=f"good undo={undo}")
    return redirect("inbox")


def _until(wanted: str, now: datetime, found: Request) -> datetime | None:
    """When it comes back: as wanted, or at its deadline if that is sooner; None: it is too late."""
    if found.state != State.PENDING:
        return None
    until = now + timedelta(hours=_HOURS.get(wanted, 1))
    if wanted == "tomorrow":
        until = (now + timedelta(days=1)).replace(hour=_MORNING, minute=0, second=0, microsecond=0)
    until = min(until, found.decide_by or until)
    return until if until > now else None


@require_POST
@signed_in
def look(request: HttpRequest, public_id: str) -> HttpResponse:
    """Take it up, so that nobody else is told; or give it back, if it is theirs."""
    actor = actor_of(request)
    found, _ = the_request(actor, public_id)
    mine = found.acknowledged_by_id == actor.user.pk
    act = acknowledging.give_back if mine else acknowledging.acknowledge
    with telling_refusals(request):
        act(request=found, actor=actor, now=timezone.now())
        said = "Others are told again." if mine else "You are looking at it; nobody else is told."
        messages.success(request, said, extra_tags="good")
    return redirect("inbox-item", public_id)


@require_POST
@signed_in
def escalate(request: HttpRequest, public_id: str) -> HttpResponse:
    """Have the next people of its chain told now."""
    actor = actor_of(request)
    found, _ = the_request(actor, public_id)
    with telling_refusals(request):
        acknowledging.hurry(request=found, actor=actor, now=timezone.now())
        messages.success(request, "The next people are told now.", extra_tags="good")
    return redirect("inbox-item", public_id)
