"""Memory: what agents remember, to be read, changed, deleted and erased by those it belongs to."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from agentops.accounts.access import Action, Actor, Forbidden, NotFound, allows, visible_to
from agentops.accounts.actors import actor_of
from agentops.sdk.errors import AgentopsError
from agentops.sdk.memory import printable, words_of
from runs import memories
from runs.memories import StaleMemory
from runs.models import Memory, MemoryKind, Run
from runs.views.actions import typed
from runs.views.signing import refusal, signed_in

PAGE = 50
PREVIEW = 200
TABS = (("", "All"), (MemoryKind.PERSON, "People"), (MemoryKind.TEAM, "Teams"),
        (MemoryKind.AGENT, "Agents"))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """An entry as the list shows it. ``has_run``: the run that wrote it is there, and theirs."""

    entry: Memory
    has_run: bool

    @property
    def whose(self) -> str:
        """The person, team or agent it belongs to."""
        entry = self.entry
        if entry.owner is not None:
            return entry.owner.get_username()
        return entry.team.name if entry.team is not None else entry.agent

    @property
    def preview(self) -> str:
        """The beginning of the value."""
        text = printable(shown(memories.value_of(self.entry), indent=None))
        return text if len(text) <= PREVIEW else text[:PREVIEW] + "…"


@require_safe
@signed_in
def memory(request: HttpRequest) -> HttpResponse:
    """What is remembered, newest first; a search shows the best first."""
    actor = actor_of(request)
    scope = request.GET.get("scope", "")
    scope = scope if scope in MemoryKind.values else ""
    query = printable(request.GET.get("q", ""))[:1000].strip()
    mine = memories.list_memories(viewer=actor, scope=scope)
    before = request.GET.get("before", "")
    if query:
        found = memories.find(rows=mine, query=query, limit=PAGE)
    else:
        older = mine.filter(pk__lt=int(before)) if before.isdecimal() and len(before) < 19 else mine
        found = list(older.order_by("-pk")[: PAGE + 1])
    return render(request, "memory/list.html", {
        "rows": _rows(actor, found[:PAGE]),
        "older": found[PAGE - 1].pk if len(found) > PAGE else None,
        "tabs": [(_link(value, query), label, value == scope) for value, label in TABS],
        "scope": scope,
        "query": query,
        "before": before,
        "now": timezone.localtime(),
    })  # fmt: skip


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def entry(request: HttpRequest, public_id: str) -> HttpResponse:
    """One entry, with a form to change it for those who may. Nothing is written over unseen."""
    actor = actor_of(request)
    if request.method != "POST":
        row = _entry(request, public_id, Action.VIEW)
        return render(request, "memory/entry.html", _about(actor, row))
    row = _entry(request, public_id, Action.CONTROL)
    try:
        _save(request, row)
    except StaleMemory as stale:
        fresh = _entry(request, public_id, Action.CONTROL)
        context = _about(actor, fresh) | _typed(request) | {"stale": str(stale)}
        return render(request, "memory/entry.html", context, status=409)
    except AgentopsError as refused:
        context = _about(actor, row) | _typed(request) | {"problem": str(refused)}
        return render(request, "memory/entry.html", context, status=422)
    messages.success(request, f"{row.key} was saved.")
    return redirect("memory-entry", public_id)


@require_POST
@signed_in
def delete(request: HttpRequest, public_id: str) -> HttpResponse:
    """Forget one entry."""
    row = _entry(request, public_id, Action.CONTROL)
    memories.remove(row=row, by=actor_of(request).name)
    messages.success(request, f"{row.key} was deleted.")
    return redirect("memory")


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def erase(request: HttpRequest) -> HttpResponse:
    """Erase all that is remembered of a person: asked first, with their name typed."""
    actor = actor_of(request)
    given = request.POST if request.method == "POST" else request.GET
    name = given.get("person", "") or actor.user.get_username()
    try:
        person = memories.may_erase(actor=actor, name=name)
    except (NotFound, Forbidden) as refused:
        raise refusal(refused) from refused
    count = memories.list_memories(viewer=actor, person=name).count()
    context: dict[str, Any] = {"person": person, "count": count}
    if request.method == "POST" and given.get("typed", "").strip() == name:
        gone = memories.erase(person=person, by=actor.name)
        return render(request, "memory/erased.html", context | {"gone": gone})
    if request.method == "POST":
        context["problem"] = f"Type {name} to go on. Nothing was erased."
    return render(
        request, "memory/erase.html", context, status=422 if "problem" in context else 200
    )


def _entry(request: HttpRequest, public_id: str, action: Action) -> Memory:
    try:
        return memories.one(public_id=public_id, viewer=actor_of(request), action=action)
    except (NotFound, Forbidden) as refused:
        raise refusal(refused) from refused


def _rows(actor: Actor, entries: list[Memory]) -> list[Row]:
    named = Run.objects.filter(public_id__in={entry.run for entry in entries if entry.run})
    seen = set(visible_to(actor, named).values_list("public_id", flat=True))
    return [Row(entry, entry.run in seen) for entry in entries]


def _link(scope: str, query: str) -> str:
    said = {name: value for name, value in (("scope", scope), ("q", query)) if value}
    return f"?{urlencode(said)}" if said else "?"


def _about(actor: Actor, row: Memory) -> dict[str, Any]:
    value = memories.value_of(row)
    expires = row.expires_at and timezone.localtime(row.expires_at).strftime("%Y-%m-%dT%H:%M")
    return {
        "row": _rows(actor, [row])[0],
        "value": printable(shown(value)),
        "may_change": allows(actor, Action.CONTROL, row),
        "form_value": editable(value),
        "form_text": "" if row.text == printable(words_of(value)) else row.text,
        "form_expires": expires or "",
        "now": timezone.localtime(),
    }


def _typed(request: HttpRequest) -> dict[str, Any]:
    names = ("value", "text", "expires")
    return {f"form_{name}": request.POST.get(name, "") for name in names}


def _save(request: HttpRequest, row: Memory) -> None:
    said = request.POST.get("revision", "")
    if not said.isdecimal() or len(said) > 9:
        raise StaleMemory
    memories.revise(
        row=row,
        revision=int(said),
        value=typed(request.POST.get("value", "").replace("\r\n", "\n")),
        text=request.POST.get("text", "").strip() or None,
        expires_at=_moment(request.POST.get("expires", "")),
        by=actor_of(request).name,
    )


class BadMoment(AgentopsError):
    """“Forget after” is a day and a time to come, such as 2027-01-31T12:00, or empty."""

    code = "invalid_request"


def _moment(said: str) -> datetime | None:
    if not said.strip():
        return None
    try:
        moment = parse_datetime(said.strip())
    except ValueError:
        moment = None
    if moment is None:
        raise BadMoment
    aware = timezone.make_aware(moment) if timezone.is_naive(moment) else moment
    if aware <= timezone.now():
        raise BadMoment
    return aware


def shown(value: object, indent: int | None = 2) -> str:
    """A value as people read it: a text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, indent=indent, ensure_ascii=False)


def editable(value: object) -> str:
    """A value as it can be typed, so that saving it unchanged changes nothing."""
    if isinstance(value, str) and _comes_back(value):
        return value
    return json.dumps(value, indent=2, ensure_ascii=printable(shown(value)) != shown(value))


def _comes_back(text: str) -> bool:
    """Whether a form gives the text back as it is, and it is not read as JSON."""
    kept = text == text.strip() and "\r" not in text and printable(text) == text
    return kept and typed(text) == text
