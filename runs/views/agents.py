"""Agents: which there are, and starting a run of one."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from agentops.accounts.access import Action, NotFound, allows, visible_to
from agentops.accounts.actors import actor_of
from agentops.sdk.agents import AgentDefinition
from agentops.sdk.catalog import catalog
from agentops.sdk.errors import AgentopsError, InvalidInput, UnknownAgent
from runs import fleet, forms, listing, queries, services
from runs.drawing import run_rows
from runs.forms import InputForm
from runs.models import Run
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


RECENT = 10


@require_safe
@signed_in
def agents(request: HttpRequest) -> HttpResponse:
    """Every agent this release knows or that ran within a day, and modules that are broken."""
    mine = visible_to(actor_of(request), Run.objects.all())
    now = timezone.localtime()
    days = fleet.agent_days(mine, fleet.endings(mine, now), now)
    took = fleet.took(mine, now)
    last = fleet.last_started(mine, [day.name for day in days])
    known = {agent.name: Card.of(agent) for agent in catalog().agents()}
    rows = [
        {"day": day, "agent": known.get(day.name), "took": took.get(day.name),
         "last": last.get(day.name)}
        for day in days
    ]  # fmt: skip
    context = {"rows": rows, "problems": catalog().problems(), "now": now}
    return render(request, "agents/list.html", context)


@require_safe
@signed_in
def agent(request: HttpRequest, name: str) -> HttpResponse:
    """One agent, with a form to start it; ``like`` fills the form from an earlier run.

    One that this release does not know any more is shown to those who see runs of it.
    """
    try:
        definition = catalog().agent(name)
    except UnknownAgent as unknown:
        mine = visible_to(actor_of(request), Run.objects.filter(agent=name))
        if not mine.exists():
            raise Http404(str(unknown)) from unknown
        gone = Card(name, "", "", "", [])
        return render(request, "agents/agent.html", _about(request, gone) | {"gone": True})
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
    return _about(request, Card.of(agent)) | {
        "form": form,
        "start_key": request.POST.get("start_key") or secrets.token_hex(16),
        "schema": json.dumps(agent.input_schema, indent=2, ensure_ascii=False),
    }


def _about(request: HttpRequest, agent: Card) -> dict[str, Any]:
    """How an agent does, for what somebody sees of it."""
    now = timezone.localtime()
    mine = visible_to(actor_of(request), Run.objects.filter(agent=agent.name))
    days = fleet.agent_days(mine, fleet.endings(mine, now), now)
    return {
        "agent": agent,
        "day": next((day for day in days if day.name == agent.name), None),
        "took": fleet.took(mine, now).get(agent.name),
        "operates": allows(actor_of(request), Action.OPERATE),
        "versions": fleet.versions(mine, now),
        "rows": run_rows(listing.page(mine).runs[:RECENT], now),
        "now": now,
    }
