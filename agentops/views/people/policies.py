"""The settings of policies: rules as sentences, changed in a draft, reviewed, tried, then saved."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from agentops.accounts.access import Action, Actor, allows
from agentops.accounts.actors import actor_of
from agentops.accounts.models import Team
from agentops.sdk.catalog import catalog
from agentops.sdk.errors import AgentopsError
from agentops.views.people import drafts
from agentops.views.people.drafts import Draft
from agentops.views.people.everybody import administrators, for_administrators
from approvals import policies, replaying, wording
from approvals.models import PolicyProposal, PolicyVersion
from approvals.policies import PolicyMoved
from approvals.reading import RuleFault
from approvals.replaying import Replay
from runs.views.signing import signed_in

_VERSIONS = 20
CHOICES = {
    "ask": "a person is asked",
    "deny": "must not happen",
    "allow": "may happen",
}


@require_safe
@signed_in
def rules_now(request: HttpRequest) -> HttpResponse:
    """What holds for a layer, what waits for agreement, and what it said before."""
    actor, team = actor_of(request), _team(request.GET.get("team", ""))
    _check_reader(actor, team)
    version = policies.newest(team)
    return render(request, "policies/list.html", {
        **_layers(actor, team),
        "version": version,
        "rows": drafts.rows(version.rules) if version else [],
        "unmatched": wording.unmatched(policies.holding(team).unmatched, of_team=team is not None),
        "proposal": _proposal(team),
        "versions": policies.layer(team)[:_VERSIONS],
        "may_change": allows(actor, Action.ADMINISTER),
        "unruled": settings.AGENTOPS_UNRULED,
    })  # fmt: skip


@require_http_methods(["GET", "HEAD", "POST"])
@for_administrators
def edit(request: HttpRequest) -> HttpResponse:
    """A draft: rules are added, changed, moved and taken out; nothing holds until it is saved."""
    if request.method != "POST":
        return _editor(request, _begun(request))
    draft = Draft.sent(request, _team(request.POST.get("team", "")))
    if not draft.do(request.POST):
        return _editor(request, draft, status=422)
    if request.POST.get("do") == "review":
        return _review(request, draft)
    return _editor(request, draft)


@require_POST
@administrators
def save(request: HttpRequest) -> HttpResponse:
    """Make a reviewed draft hold, or propose it to another administrator."""
    draft = Draft.sent(request, _team(request.POST.get("team", "")))
    layer = _name(draft.team)
    if request.POST.get("typed", "").strip() != layer:
        return _review(request, draft, problem=f"Type {layer} to go on. Nothing was saved.")
    note = request.POST.get("note", "")
    try:
        saved = policies.save(actor=actor_of(request), draft=draft.wanted(note))
    except RuleFault as fault:
        return _editor(request, draft, problem=str(fault), status=422)
    except AgentopsError as refused:
        moved = isinstance(refused, PolicyMoved)
        return _review(request, draft, problem=str(refused), status=409 if moved else 422)
    if saved.version is not None:
        said = f"Version {saved.version.number} of the policy of {layer} holds from now on."
    else:
        said = "It waits for another administrator to agree; until then nothing changes."
    messages.success(request, said, extra_tags="good")
    return redirect(_link(draft.team))


@require_safe
@signed_in
def version(request: HttpRequest, number: int) -> HttpResponse:
    """One version: what it said, what it changed, by whom and why."""
    actor = actor_of(request)
    found = get_object_or_404(PolicyVersion.objects.select_related("team", "made_by"), pk=number)
    _check_reader(actor, found.team)
    newest = policies.newest(found.team)
    return render(request, "policies/version.html", {
        **_layers(actor, found.team),
        "version": found,
        "rows": drafts.rows(found.rules),
        "unmatched": wording.unmatched(found.unmatched, of_team=found.team is not None),
        "changes": policies.difference(found),
        "is_newest": newest == found,
        "may_change": allows(actor, Action.ADMINISTER),
    })  # fmt: skip


@require_POST
@administrators
def agree(request: HttpRequest, number: int) -> HttpResponse:
    """Let what another administrator proposed hold."""
    proposal = get_object_or_404(PolicyProposal, pk=number)
    try:
        made = policies.agree(actor=actor_of(request), proposal=proposal)
    except AgentopsError as refused:
        messages.error(request, str(refused), extra_tags="bad")
    else:
        messages.success(request, f"Version {made.number} holds from now on.", extra_tags="good")
    return redirect(_link(proposal.team))


@require_POST
@administrators
def refuse(request: HttpRequest, number: int) -> HttpResponse:
    """Refuse what was proposed, or take back one's own."""
    proposal = get_object_or_404(PolicyProposal, pk=number)
    try:
        policies.take_back(actor=actor_of(request), proposal=proposal)
    except AgentopsError as refused:
        messages.error(request, str(refused), extra_tags="bad")
    else:
        messages.success(request, "What holds stays as it is.", extra_tags="good")
    return redirect(_link(proposal.team))


def _check_reader(actor: Actor, team: Team | None) -> None:
    """Return if they may read the rules of a layer; for others there is nothing."""
    if not policies.may_read(actor, team):
        raise Http404("Policies are for those who look after runs.")


def _begun(request: HttpRequest) -> Draft:
    like = request.GET.get("like", "")
    if like:
        found = get_object_or_404(PolicyVersion, pk=int(like) if like.isdecimal() else 0)
        return Draft.of(found.team, found)
    draft = Draft.of(_team(request.GET.get("team", "")), None)
    if "new" in request.GET:
        draft.open_rule(len(draft.rules))
    return draft


def _editor(
    request: HttpRequest, draft: Draft, *, problem: str = "", status: int = 200
) -> HttpResponse:
    context = {
        **_layers(actor_of(request), draft.team),
        "draft": draft,
        "choices": CHOICES.items(),
        "problem": problem,
        "agents": sorted({agent.name for agent in catalog().agents()}),
        "tools": sorted({tool.name for agent in catalog().agents() for tool in agent.tools}),
    }
    return render(request, "policies/edit.html", context, status=status)


def _review(
    request: HttpRequest, draft: Draft, *, problem: str = "", status: int = 422
) -> HttpResponse:
    try:
        policy = draft.policy()
    except RuleFault as fault:
        return _editor(request, draft, problem=str(fault), status=422)
    actor = actor_of(request)
    widens = draft.widens(policy)
    context = {
        **_layers(actor_of(request), draft.team),
        "draft": draft,
        "changes": draft.changes(policy),
        "widens": widens,
        "needs_another": bool(widens) and policies.somebody_else(actor.user),
        "replay": _tried(request, draft),
        "note": request.POST.get("note", ""),
        "problem": problem,
    }
    return render(request, "policies/review.html", context, status=status if problem else 200)


def _tried(request: HttpRequest, draft: Draft) -> Replay:
    return replaying.replay(
        actor=actor_of(request), draft=draft.policy(), team=draft.team, now=timezone.now()
    )


def _proposal(team: Team | None) -> dict[str, Any] | None:
    found = policies.open_proposal(team)
    if found is None:
        return None
    return {"it": found, "rows": drafts.rows(found.rules), "changes": policies.proposed(found)}


def _layers(actor: Actor, team: Team | None) -> dict[str, Any]:
    """The tabs: everybody, and the teams they know of."""
    others = [(one.name, _link(one), one == team) for one in policies.teams_of(actor)]
    return {
        "layers": [("Everybody", _link(None), team is None), *others],
        "team": team,
        "layer": _name(team),
        "link": _link(team),
        "edit_link": _link(team, "policy-edit"),
    }


def _team(text: str) -> Team | None:
    if not text:
        return None
    return get_object_or_404(Team, pk=int(text) if text.isdecimal() and len(text) < 10 else 0)


def _name(team: Team | None) -> str:
    return team.name if team else "everybody"


def _link(team: Team | None, name: str = "policies") -> str:
    query = f"?{urlencode({'team': team.pk})}" if team else ""
    return reverse(name) + query
