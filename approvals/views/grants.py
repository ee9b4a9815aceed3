"""Standing permissions: given from a request, listed with their use, and ended."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from agentops.accounts import stepup
from agentops.accounts.access import Forbidden, NotFound
from agentops.accounts.actors import actor_of
from agentops.sdk.errors import AgentopsError
from approvals import grants
from approvals.grants import Wish
from approvals.showing import Shown
from approvals.views.pages import the_request
from runs.views.actions import telling_refusals
from runs.views.signing import refusal, signed_in

SHOWN = 200
_SCOPES = {"run": "This run only", "owner": "Runs for the same person", "agent": "All its runs"}


class WishForm(forms.Form):
    """How far a permission goes."""

    scope = forms.ChoiceField(label="For", choices=list(_SCOPES.items()), initial="run")
    hours = forms.FloatField(label="Hours", initial=1, min_value=0.01)
    max_uses = forms.IntegerField(label="At most so often", required=False, min_value=1)
    sum_of = forms.CharField(label="Add up", required=False, help_text="The name of an argument.")
    sum_limit = forms.CharField(label="To at most", required=False, help_text="A number.")

    def wish(self, offer: str) -> Wish:
        """What was typed. Raises InvalidOperation for a limit that is no number."""
        said = self.cleaned_data
        limit = Decimal(said["sum_limit"]) if said["sum_limit"] else None
        return Wish(offer=offer, scope=said["scope"], hours=said["hours"],
                    max_uses=said["max_uses"], sum_of=said["sum_of"], sum_limit=limit)  # fmt: skip


@require_safe
@signed_in
def listed(request: HttpRequest) -> HttpResponse:
    """The permissions somebody sees, newest first."""
    rows = grants.visible(actor_of(request))[:SHOWN]
    now = timezone.localtime()
    found = [(row, row.revoked_at is None and row.expires_at > now) for row in rows]
    return render(request, "inbox/grants.html", {
        "live": [row for row, is_live in found if is_live],
        "over": [row for row, is_live in found if not is_live], "now": now,
    })  # fmt: skip


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def offer(request: HttpRequest, public_id: str) -> HttpResponse:
    """GET: what could be allowed from here on, narrowest first. POST: allows it."""
    found, revision = the_request(actor_of(request), public_id)
    form = WishForm(request.POST or None)
    context = {
        "shown": Shown(found, revision), "item": found, "form": form,
        "offers": grants.offer(found), "why_none": grants.why_none(found),
        "longest": settings.AGENTOPS_GRANT_HOURS,
    }  # fmt: skip
    if request.method != "POST" or not form.is_valid():
        return render(request, "inbox/grant.html", context, status=422 if form.is_bound else 200)
    if not stepup.is_fresh(request):
        return stepup.ask_again(request)
    try:
        wish = form.wish(request.POST.get("offer", ""))
        made = grants.issue(request=found, actor=actor_of(request), wish=wish)
    except InvalidOperation:
        context["problem"] = "To at most: write a number, such as 250.00."
    except AgentopsError as refused:
        context["problem"] = str(refused)
    else:
        said = f"{made.tool} is allowed within these bounds. What waits still wants a word."
        messages.success(request, said, extra_tags="good")
        return redirect("inbox-item", public_id)
    return render(request, "inbox/grant.html", context, status=422)


@require_POST
@signed_in
def revoke(request: HttpRequest, public_id: str) -> HttpResponse:
    """End a permission now."""
    with telling_refusals(request):
        try:
            ended = grants.revoke(actor=actor_of(request), public_id=public_id.replace("\0", ""))
        except (NotFound, Forbidden) as refused:
            raise refusal(refused) from refused
        messages.success(request, f"{ended.tool} asks again from now on.", extra_tags="good")
    return redirect("grants")
