"""Acting on the runs somebody selected in a list: asked first, then told row by row."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_http_methods

from agentops.accounts.actors import actor_of
from runs import acting
from runs.acting import Act, Plan
from runs.views.signing import signed_in


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def act(request: HttpRequest) -> HttpResponse:
    """GET: what the act would do, as a page or a dialog. POST: does it and tells the outcome."""
    given = request.POST if request.method == "POST" else request.GET
    wanted = _act(given.get("do", ""))
    plan = acting.plan(actor=actor_of(request), act=wanted, ids=given.getlist("id"))
    if request.method != "POST" or not plan.count:
        return _asked(request, plan)
    if plan.must_type and given.get("typed", "").strip() != str(plan.count):
        return _asked(request, plan, problem=f"Type {plan.count} to go on. Nothing was changed.")
    outcomes = acting.act_on(
        actor=actor_of(request), act=wanted, ids=given.getlist("id")[: acting.MOST],
        note=given.get("note", ""),
    )  # fmt: skip
    done = sum(1 for outcome in outcomes if outcome.is_done)
    context = {"act": wanted, "outcomes": outcomes, "done": done, "left": len(outcomes) - done,
               "back": _back(request)}  # fmt: skip
    return render(request, "runs/acted.html", context)


def _act(name: str) -> Act:
    if name not in acting.ACTS:
        raise Http404(f"Nothing called {name} can be done to runs.")
    return acting.ACTS[name]


def _asked(request: HttpRequest, plan: Plan, problem: str = "") -> HttpResponse:
    context: dict[str, Any] = {"plan": plan, "problem": problem, "back": _back(request)}
    part = request.headers.get("HX-Request")
    template = "runs/_act.html" if part else "runs/act.html"
    return render(request, template, context, status=422 if problem else 200)


def _back(request: HttpRequest) -> str:
    """The list they came from."""
    said = request.POST.get("back") or request.headers.get("HX-Current-URL") or ""
    back = said or request.headers.get("Referer", "")
    return back if url_has_allowed_host_and_scheme(back, {request.get_host()}) else "/runs/"
