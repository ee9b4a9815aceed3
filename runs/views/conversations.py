"""Conversations: which there are, one of them, and saying something in it."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from agentops.accounts.access import Action, Forbidden, NotFound, allows
from agentops.accounts.actors import actor_of
from agentops.sdk.errors import AgentopsError, InvalidInput
from runs import conversations, dialogue, forms, services, statuses, talks
from runs.conversations import ConversationBusy, OnConflict
from runs.forms import InputForm
from runs.models import Conversation
from runs.talks import Asked, Composer
from runs.views.signing import signed_in

PAGE_SIZE = 50


@require_safe
@signed_in
def conversation_list(request: HttpRequest) -> HttpResponse:
    """Conversations, the liveliest first. The address is the state."""
    now = timezone.localtime()
    asked = Asked.read(request.GET.dict())
    mine = asked.of(actor_of(request))
    last = _begun_at(request, mine)
    if last is not None:
        earlier = Q(active_at__lt=last.active_at)
        mine = mine.filter(earlier | Q(active_at=last.active_at, id__lt=last.pk))
    found = list(mine.order_by("-active_at", "-id")[: PAGE_SIZE + 1])
    return render(request, "conversations/list.html", {
        "now": now,
        "painted": int(now.timestamp() * 1000),
        "rows": talks.rows(found[:PAGE_SIZE], now),
        "older": found[PAGE_SIZE - 1].public_id if len(found) > PAGE_SIZE else "",
        "asked": asked,
        "toggled": replace(asked, busy=not asked.busy),
        "without_agent": replace(asked, agent=""),
        "before": last,
    })  # fmt: skip


def _begun_at(request: HttpRequest, mine: QuerySet[Any]) -> Conversation | None:
    """The conversation after which the page begins, if it is one of those that are listed."""
    public_id = request.GET.get("before", "")
    found: Conversation | None = mine.filter(public_id=public_id.replace("\0", "")).first()
    return found


@require_safe
@signed_in
def conversation(request: HttpRequest, public_id: str) -> HttpResponse:
    """One conversation: its turns, who waits, and a field to say something."""
    return _page(request, the_conversation(request, public_id))


@require_POST
@signed_in
def say(request: HttpRequest, public_id: str) -> HttpResponse:
    """Say something. The form carries a key of its own, so that sending it twice says it once."""
    found = the_conversation(request, public_id, Action.RESPOND)
    content, form = _content(request, found)
    if content is None:
        nothing = "" if form else "Write something first."
        return _page(request, found, form, problem=nothing, status=422)
    try:
        _post(request, found, content)
    except InvalidInput as wrong:
        refused = form.refused(wrong.path, wrong.message) if form else None
        return _page(request, found, refused, problem=str(wrong), status=422)
    except ConversationBusy as busy:
        return _page(request, found, form, problem=str(busy), status=409)
    except AgentopsError as refusal:
        return _page(request, found, form, problem=str(refusal), status=422)
    return redirect("conversation", public_id)


@require_POST
@signed_in
def stop(request: HttpRequest, public_id: str) -> HttpResponse:
    """Stop the run that answers, unless it has ended; whoever is next in line has their turn."""
    found = the_conversation(request, public_id, Action.CONTROL)
    live = dialogue.live_run(found)
    if live is None or live.public_id != request.POST.get("run", live.public_id):
        messages.info(request, "Nothing was stopped: the run had ended.")
    else:
        services.cancel_run(
            run=live,
            actor=actor_of(request).name,
            by_operator=live.owner_id != request.user.pk,
        )
    return redirect("conversation", public_id)


def the_conversation(
    request: HttpRequest, public_id: str, action: Action = Action.VIEW
) -> Conversation:
    """The one of an address; 404 for what is not theirs, 403 for what they may only see."""
    try:
        return dialogue.conversation(public_id=public_id, viewer=actor_of(request), action=action)
    except NotFound as missing:
        raise Http404(str(missing)) from missing
    except Forbidden as refused:
        raise PermissionDenied(str(refused)) from refused


def _content(request: HttpRequest, found: Conversation) -> tuple[object, InputForm | None]:
    """What was typed: a text, or the input of the form, or nothing and what is wrong."""
    composer = Composer.of(found.agent)
    if composer.takes_text or composer.agent is None:
        return request.POST.get("content", "").strip() or None, None
    return forms.from_schema(composer.agent.input_schema).read(request.POST.dict())


def _post(request: HttpRequest, found: Conversation, content: object) -> None:
    wanted = request.POST.get("on_conflict", OnConflict.ENQUEUE)
    conversations.post_message(
        conversation=found,
        content=content,
        sender=actor_of(request).name,
        on_conflict=OnConflict(wanted) if wanted in set(OnConflict) else OnConflict.ENQUEUE,
        by_operator=found.owner_id != request.user.pk,
        idempotency_key=request.POST.get("say_key") or None,
    )


def _page(
    request: HttpRequest,
    found: Conversation,
    form: InputForm | None = None,
    *,
    problem: str = "",
    status: int = 200,
) -> HttpResponse:
    # Read first: what happens from here on is news to the page.
    version = talks.version(found)
    before = request.GET.get("before", "")
    number = int(before) if before.isdecimal() and len(before) < 10 else None
    turns, more = talks.turns(found, before=number)
    path = reverse("conversation", args=[found.public_id])
    context = _standing(request, found) | _composing(request, found, form)
    return render(request, "conversations/page.html", context | {
        "conversation": found,
        "version": version,
        "turns": turns,
        "more": more,
        "before": number,
        "path": path if number is None else f"{path}?before={number}",
        "problem": problem,
    }, status=status)  # fmt: skip


def _standing(request: HttpRequest, found: Conversation) -> dict[str, Any]:
    """Who answers, who waits, and what a message would do."""
    live, line, now = dialogue.live_run(found), talks.line(found), timezone.localtime()
    return {
        "now": now,
        "live": live,
        "look": statuses.look(live, now) if live else talks.IDLE_LOOK,
        "line": line,
        "consequences": talks.consequences(live, len(line)),
        "may_control": allows(actor_of(request), Action.CONTROL, found),
    }


def _composing(request: HttpRequest, found: Conversation, form: InputForm | None) -> dict[str, Any]:
    """The field or form to say something with, as it was filled in."""
    composer = Composer.of(found.agent)
    if form is None and composer.agent is not None and not composer.takes_text:
        form = forms.from_schema(composer.agent.input_schema)
    return {
        "composer": composer,
        "form": form,
        "typed": request.POST.get("content", ""),
        "say_key": request.POST.get("say_key") or secrets.token_hex(16),
        "chosen": request.POST.get("on_conflict", OnConflict.ENQUEUE),
        "may_respond": allows(actor_of(request), Action.RESPOND, found),
    }
