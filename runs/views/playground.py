"""The playground: try an agent with a form of its input, as one run or as a conversation."""

from __future__ import annotations

import secrets
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from agentops.accounts.access import NotFound
from agentops.accounts.actors import actor_of
from agentops.sdk.agents import AgentDefinition
from agentops.sdk.catalog import catalog
from agentops.sdk.errors import AgentopsError, InvalidInput, UnknownAgent
from runs import conversations, dialogue, forms, queries, services, standing, talks
from runs.drawing import run_rows
from runs.forms import InputForm
from runs.labels import Labels
from runs.listing import page
from runs.models import Run
from runs.views.signing import person, signed_in

# What is started here carries this tag, so that lists can leave it out or show it alone.
TAG = "playground"
RECENT = 8


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def playground(request: HttpRequest) -> HttpResponse:
    """Choose an agent, fill in its input, and start a run or begin a conversation."""
    like = _like(request)
    asked = request.POST.get("playground_agent") or request.GET.get("agent", "")
    name = asked or (like.agent if like else "") or _first()
    try:
        definition = catalog().agent(name)
    except UnknownAgent as unknown:
        problem = str(unknown) if name else ""
        return _nothing(request, problem, status=404 if problem else 200)
    form = forms.from_schema(definition.input_schema)
    if request.method == "POST":
        return _start(request, definition, form)
    given = queries.payload(run=like).input if like else None
    return _draw(request, definition, form.filled(given))


def _first() -> str:
    return next((agent.name for agent in catalog().agents()), "")


def _nothing(request: HttpRequest, problem: str, *, status: int) -> HttpResponse:
    """The page without an agent to try: there is none, or none called so."""
    context = {"agents": _names(), "agent": None, "problem": problem}
    return render(request, "conversations/playground.html", context, status=status)


def _names() -> list[str]:
    return [known.name for known in catalog().agents()]


def _start(request: HttpRequest, agent: AgentDefinition, form: InputForm) -> HttpResponse:
    given, form = form.read(request.POST.dict())
    if given is None:
        return _draw(request, agent, form, status=422)
    try:
        if request.POST.get("playground_how") == "conversation":
            return redirect("conversation", _conversation(request, agent, given))
        return redirect("run", _run(request, agent, given))
    except InvalidInput as wrong:
        form = form.refused(wrong.path, wrong.message)
    except AgentopsError as refused:
        form = form.refused("", str(refused))
    return _draw(request, agent, form, status=422)


def _run(request: HttpRequest, agent: AgentDefinition, given: object) -> str:
    started = services.start_run(
        agent=agent.name,
        input=given,
        owner=person(request),
        started_by=actor_of(request).name,
        idempotency_key=request.POST.get("start_key") or None,
        labels=Labels(tags=[TAG]),
    )
    return started.run.public_id


def _conversation(request: HttpRequest, agent: AgentDefinition, given: dict[str, object]) -> str:
    """A conversation that begins with what was filled in. Sent twice, it begins once."""
    key, who = request.POST.get("start_key") or None, actor_of(request).name
    content = conversations.plainest(agent, given)
    conversations.check_content(agent=agent.name, content=content)
    begun = conversations.begin(
        agent=agent.name, owner=person(request), started_by=who, idempotency_key=key
    )
    conversations.post_message(
        conversation=begun.conversation, content=content, sender=who, idempotency_key=key
    )
    return begun.conversation.public_id


def _like(request: HttpRequest) -> Run | None:
    """The run whose input the form is filled with."""
    like = request.GET.get("like")
    try:
        return queries.get_run(public_id=like, viewer=actor_of(request)) if like else None
    except NotFound:
        return None


def _draw(
    request: HttpRequest, agent: AgentDefinition, form: InputForm, *, status: int = 200
) -> HttpResponse:
    now = timezone.localtime()
    mine = Run.objects.filter(owner=person(request), tags__contains=[TAG])
    context: dict[str, Any] = {
        "agents": _names(),
        "agent": {
            "name": agent.name,
            "version": agent.version,
            "description": agent.description,
            "tools": [(tool.name, str(tool.effect)) for tool in agent.tools],
        },
        "form": form,
        "start_key": request.POST.get("start_key") or secrets.token_hex(16),
        "rows": run_rows(page(mine).runs[:RECENT], now),
        "scripted": agent.script is not None and standing.now(now).is_scripted,
        "talks": talks.rows(_talks(request), now),
        "now": now,
    }
    return render(request, "conversations/playground.html", context, status=status)


def _talks(request: HttpRequest) -> list[Any]:
    """One's own conversations, the liveliest first."""
    found = dialogue.conversations(viewer=actor_of(request)).filter(owner=person(request))
    return list(found.order_by("-active_at", "-id")[:RECENT])
