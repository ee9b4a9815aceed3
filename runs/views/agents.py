"""Agents: which there are, and starting a run of one."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Max, Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from agentops.accounts.access import NotFound, visible_to
from agentops.accounts.actors import actor_of
from agentops.sdk.agents import AgentDefinition
from agentops.sdk.catalog import catalog
from agentops.sdk.errors import AgentopsError, InvalidInput, UnknownAgent
from runs import forms, listing, queries, services
from runs.drawing import run_rows
from runs.forms import InputForm
from runs.models import Run, RunStatus
from runs.views.signing import person, signed_in


@dataclass(frozen=True, slots=True)
class Card:
    """What a page shows of an agent. Templates would call the definition itself."""

    name: str
    description: str
    version: str
    queue: str
    tools: list[tuple[str, str]]

    @classmethod
    def of(cls, agent: AgentDefinition) -> Card:
        tools = [(tool.name, str(tool.effect)) for tool in agent.tools]
        return cls(agent.name, agent.description, agent.version, agent.queue, tools)


_LIVE = [RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.WAITING]
RECENT = 10


@require_safe
@signed_in
def agents(request: HttpRequest) -> HttpResponse:
    """Every agent this release knows, and modules that could not be used."""
    mine = visible_to(actor_of(request), Run.objects.all())
    counted = mine.values("agent").annotate(
        live=Count("id", filter=Q(status__in=_LIVE)), last=Max("created_at")
    )
    known = {row["agent"]: row for row in counted}
    tiles = [
        {"agent": Card.of(agent), "counts": known.get(agent.name)} for agent in catalog().agents()
    ]
    context = {"tiles": tiles, "problems": catalog().problems(), "now": timezone.now()}
    return render(request, "agents/list.html", context)


@require_safe
@signed_in
def agent(request: HttpRequest, name: str) -> HttpResponse:
    """One agent, with a form to start it; ``like`` fills the form from an earlier run."""
    definition = _definition(name)
    form = forms.from_schema(definition.input_schema).filled(_input_like(request))
    return render(request, "agents/agent.html", _context(request, definition, form))


@require_POST
@signed_in
def start(request: HttpRequest, name: str) -> HttpResponse:
    """Start a run. The form carries a key of its own, so that sending it twice starts one."""
    definition = _definition(name)
    given, form = forms.from_schema(definition.input_schema).read(request.POST.dict())
    if given is not None:
        try:
            return redirect("run", _started(request, definition, given).public_id)
        except InvalidInput as wrong:
            form = form.refused(wrong.path, wrong.message)
        except AgentopsError as refused:
            form = form.refused("", str(refused))
    context = _context(request, definition, form)
    return render(request, "agents/agent.html", context, status=422)


def _started(request: HttpRequest, definition: AgentDefinition, given: dict[str, object]) -> Run:
    started = services.start_run(
        agent=definition.name,
        input=given,
        owner=person(request),
        started_by=actor_of(request).name,
        idempotency_key=request.POST.get("start_key") or None,
        title=request.POST.get("run_title", ""),
    )
    return started.run


def _definition(name: str) -> AgentDefinition:
    try:
        return catalog().agent(name)
    except UnknownAgent as unknown:
        raise Http404(str(unknown)) from unknown


def _input_like(request: HttpRequest) -> object:
    like = request.GET.get("like")
    if not like:
        return None
    try:
        run = queries.get_run(public_id=like, viewer=actor_of(request))
    except NotFound:
        return None
    return queries.payload(run=run).input


def _context(request: HttpRequest, agent: AgentDefinition, form: InputForm) -> dict[str, Any]:
    now = timezone.localtime()
    mine = visible_to(actor_of(request), Run.objects.filter(agent=agent.name))
    recent = listing.page(mine).runs[:RECENT]
    return {
        "agent": Card.of(agent),
        "form": form,
        "start_key": request.POST.get("start_key") or secrets.token_hex(16),
        "rows": run_rows(recent, now),
        "now": now,
    }
