"""Acting on the runs somebody selected in a list: asked first, then told row by row."""

from __future__ import annotations

import secrets

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_http_methods

from agentops.accounts.actors import actor_of
from agentops.sdk.errors import AgentopsError
from runs import acting
from runs.acting import Act, Plan
from runs.views.signing import signed_in


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def act(request: HttpRequest) -> HttpResponse:
    """GET: what the act would do, as a page or a dialog. POST: does it and tells the outcome.

    With ``all`` it is about every run of the list's filter, ``query``, and workers do it.
    """
    given = request.POST if request.method == "POST" else request.GET
    actor, wanted = actor_of(request), _act(given.get("do", ""))
    if given.get("all"):
        plan = acting.plan_for_all(actor=actor, act=wanted, query=given.get("query", ""))
    else:
        plan = acting.plan(actor=actor, act=wanted, ids=given.getlist("id"))
    if request.method != "POST" or not plan.count:
        return _asked(request, plan)
    said = {name: given.get(name, "") for name in ("typed", "shown", "note")}
    problem = plan.missing(**said)
    if problem:
        return _asked(request, plan, problem=problem)
    return _for_all(request, plan) if plan.is_for_all else _one_by_one(request, plan)


def _for_all(request: HttpRequest, plan: Plan) -> HttpResponse:
    try:
        action = acting.start_for_all(
            actor=actor_of(request), act=plan.act, query=plan.query or "",
            note=request.POST.get("note", ""), key=request.POST.get("key") or None,
        )  # fmt: skip
    except AgentopsError as refused:
        return _asked(request, plan, problem=str(refused))
    return redirect("bulk", action.public_id)


def _one_by_one(request: HttpRequest, plan: Plan) -> HttpResponse:
    outcomes = acting.act_on(
        actor=actor_of(request), act=plan.act, ids=request.POST.getlist("id")[: acting.MOST],
        note=request.POST.get("note", ""), key=request.POST.get("key") or None,
    )  # fmt: skip
    done = sum(1 for outcome in outcomes if outcome.is_done)
    context = {"act": plan.act, "outcomes": outcomes, "done": done,
               "left": len(outcomes) - done, "back": _back(request)}  # fmt: skip
    return render(request, "runs/acted.html", context)


def _act(name: str) -> Act:
    if name not in acting.ACTS:
        raise Http404(f"Nothing called {name} can be done to runs.")
    return acting.ACTS[name]


def _asked(request: HttpRequest, plan: Plan, problem: str = "") -> HttpResponse:
    key = request.POST.get("key") or secrets.token_hex(16)
    context = {"plan": plan, "problem": problem, "back": _back(request), "key": key,
               "note": request.POST.get("note", "")}  # fmt: skip
    part = request.headers.get("HX-Request")
    template = "runs/_act.html" if part else "runs/act.html"
    return render(request, template, context, status=422 if problem else 200)


def _back(request: HttpRequest) -> str:
    """The list they came from."""
    said = request.POST.get("back") or request.headers.get("HX-Current-URL") or ""
    back = said or request.headers.get("Referer", "")
    return back if url_has_allowed_host_and_scheme(back, {request.get_host()}) else "/runs/"
