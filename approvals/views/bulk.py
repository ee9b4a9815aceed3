"""The same word on several actions of one tool: asked first, then told one by one."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from agentops.accounts.actors import actor_of
from agentops.sdk.errors import AgentopsError
from approvals import bulk, inbox
from approvals.bulk import Item
from approvals.models import Kind, Request, Risk, State, Verdict
from approvals.showing import Shown
from runs.views.signing import signed_in


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def decide(request: HttpRequest) -> HttpResponse:
    """GET: what was selected, each as it will run. POST: decides them and tells what became."""
    if request.method == "POST":
        return _done(request)
    verdict = request.GET.get("do", "")
    names = [name.replace("\0", "") for name in request.GET.getlist("id")[: bulk.MOST + 1]]
    rows = inbox.requests_of(actor_of(request)).filter(public_id__in=names)
    chosen = [Shown(row, row.revisions.order_by("-number").first()) for row in
              inbox.ordered(rows.filter(kind=Kind.APPROVAL, state=State.PENDING))]  # fmt: skip
    context = {"verdict": verdict, "chosen": chosen, "problem": _problem(chosen, verdict)}
    return render(request, "inbox/bulk.html", context)


def _problem(chosen: list[Shown], verdict: str) -> str:
    """Why these cannot be decided together, with what to do instead."""
    rows = [shown.request for shown in chosen]
    if verdict not in set(Verdict):
        return "Choose Approve or Deny."
    if not rows:
        return "Nothing that waits is selected. Select requests in the list: the boxes, or x."
    if len(rows) > bulk.MOST:
        return f"At most {bulk.MOST} are decided together. Select fewer."
    if len({row.name for row in rows}) > 1:
        return "Actions of one tool are decided together, no mixture. Filter by a word first."
    return _too_much(rows, chosen) if verdict == Verdict.APPROVE else _risky(rows)


def _risky(rows: list[Request]) -> str:
    risky = next((row for row in rows if row.risk == Risk.HIGH), None)
    return f"“{risky.title}” is of high risk; decide it by itself." if risky else ""


def _too_much(rows: list[Request], chosen: list[Shown]) -> str:
    cut = next((shown for shown in chosen if shown.unopened), None)
    said = f"“{cut.request.title}” has parts that are not shown here; open it." if cut else ""
    return _risky(rows) or said


def _done(request: HttpRequest) -> HttpResponse:
    posted = request.POST
    items = [item for text in posted.getlist("item") if (item := _item(text))]
    comment = posted.get("comment", "").strip()
    if posted.get("verdict") not in set(Verdict) or not (comment or posted["verdict"] == "approve"):
        messages.error(request, "Nothing was decided. Say why not.", extra_tags="bad")
        return redirect("inbox")
    actor = actor_of(request)
    verdict = Verdict(posted["verdict"])
    try:
        outcomes = bulk.decide(actor=actor, items=items, verdict=verdict, comment=comment)
    except AgentopsError as refused:
        messages.error(request, str(refused), extra_tags="bad")
        return redirect("inbox")
    names = [outcome.public_id for outcome in outcomes]
    rows = inbox.requests_of(actor).filter(public_id__in=names)
    titles = dict(rows.values_list("public_id", "title"))
    told = [(outcome, titles.get(outcome.public_id, "")) for outcome in outcomes]
    done = sum(1 for outcome in outcomes if not outcome.code)
    context = {"told": told, "done": done, "left": len(told) - done, "verdict": verdict}
    return render(request, "inbox/bulk_done.html", context)


def _item(text: str) -> Item | None:
    """An action as a form names it: id, revision and digest."""
    name, _, rest = text.partition(":")
    number, _, digest = rest.partition(":")
    if not number.isdecimal() or len(number) > 8:
        return None
    return Item(name, int(number), digest)
