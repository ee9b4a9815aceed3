"""The Overview: what needs a person, what is under way, what is wrong."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from agentops.accounts.access import Action, Actor, allows, visible_to
from agentops.accounts.actors import actor_of
from agentops.mail import backend
from agentops.sdk.catalog import catalog
from approvals import inbox
from approvals.inbox import Wanted
from approvals.showing import Row
from runs import attention, figures, fleet
from runs.attention import FirstStep, Sentence
from runs.models import Run
from runs.views.signing import person, signed_in

AGENTS_SHOWN, WAITING_SHOWN = 8, 5
_SAMPLES = {
    "support-desk": "Answers a customer's ticket: refunds what is due, sends the mail.",
    "research-digest": "Answers a question from a folder of texts, by file and line.",
}


@require_safe
@signed_in
def overview(request: HttpRequest) -> HttpResponse:
    """Four questions answered without scrolling, as far as somebody may see."""
    actor = actor_of(request)
    mine = visible_to(actor, Run.objects.all())
    now = timezone.localtime()
    needs, running = attention.live_cards(mine, now)
    endings = fleet.endings(mine, now)
    ended = attention.day_card(endings)
    wrong = attention.troubles(mine, running, opens_system=allows(actor, Action.OPERATE))
    agents = fleet.agent_days(mine, endings, now)
    return render(request, "overview.html", {
        "now": now,
        "cards": [needs, running, ended],
        "running": running.count,
        **_waiting(actor, mine, now, anybody=bool(needs.count)),
        "wrong": wrong,
        "quiet": "" if needs.count or wrong else _quiet(running.count, ended),
        "agents": fleet.busiest(agents, AGENTS_SHOWN),
        "more_agents": len(agents) - AGENTS_SHOWN,
        "operates": allows(actor, Action.OPERATE),
        "first_steps": _first_steps(request, mine, wrong) if not ended.count else [],
    })  # fmt: skip


def _waiting(actor: Actor, mine: QuerySet[Run], now: datetime, *, anybody: bool) -> dict[str, Any]:
    """The most urgent requests; besides them runs that wait for a person and have none yet."""
    asked = inbox.page(Wanted(tab="team"), actor).requests[:WAITING_SHOWN]
    known = {request.run_public_id for request in asked}
    waiting = attention.waiting_longest(mine, now) if anybody and not asked else []
    others = [row for row in waiting if row.run.public_id not in known]
    return {"asked": [Row(request, now) for request in asked], "waiting": others}


def _quiet(running: int, ended: attention.Card) -> str:
    """The one sentence for when nothing needs anybody."""
    verb = "is" if running < 2 else "are"
    under_way = f"{figures.plural(running, 'run') if running else 'No run'} {verb} under way"
    good = sum(part.count for part in ended.parts if part.words == "succeeded")
    return f"All quiet. {under_way}; {figures.count(good)} succeeded in the last 24 hours."


def _first_steps(
    request: HttpRequest, mine: QuerySet[Run], wrong: list[Sentence]
) -> list[FirstStep]:
    """What is left to do in a new installation, each found out by looking."""
    if not attention.is_new(mine):
        return []
    return [*_setting_up(wrong), *_trying(request)]


def _setting_up(wrong: list[Sentence]) -> list[FirstStep]:
    no_worker = any(sentence.icon == "server" for sentence in wrong)
    kept = backend.is_used()
    return [
        FirstStep("A worker is alive", "It executes runs. bin/up starts one.", not no_worker,
                  command="bin/up"),
        FirstStep("Mail goes out", f"It is kept in {backend.folder()} until EMAIL_URL names a "
                  "server." if kept else f"It is sent through {settings.EMAIL_HOST}.", not kept,
                  command="EMAIL_URL=smtp+tls://user:password@host:587"),
    ]  # fmt: skip


def _trying(request: HttpRequest) -> list[FirstStep]:
    agents = [agent.name for agent in catalog().agents()]
    first: dict[str, Any] = (
        {"href": reverse("agent", args=[agents[0]]), "label": f"Start {agents[0]}"}
        if agents else {"command": "AGENTOPS_AGENTS=my_project.agents bin/up"}
    )  # fmt: skip
    own = not person(request).must_change_password
    return [
        FirstStep("Your password is your own", "The printed one opens only the page to choose "
                  "another.", own, reverse("password"), "Choose a password"),
        FirstStep("An agent is there", f"{figures.plural(len(agents), 'agent')} in the modules "
                  "that AGENTOPS_AGENTS names.", bool(agents), reverse("agents"), "Agents"),
        FirstStep("A run has succeeded", "Start one and watch it work.", done=False, **first),
        *(FirstStep(f"Or try {name}", told, False, reverse("agent", args=[name]), f"Start {name}")
          for name, told in _SAMPLES.items() if name in agents),
    ]  # fmt: skip
