"""The buttons of a run: what can be done with it now, and why something cannot."""

from __future__ import annotations

from dataclasses import dataclass

from django.urls import reverse
from django.utils.http import urlencode

from agentops.accounts.access import Action, Actor, Forbidden, authorize, authorize_new
from runs.drawing import RunDrawing
from runs.engine.store import STOPPED, TAKING, TOOL_CHANGED
from runs.models import RunStatus, WaitingFor


@dataclass(frozen=True, slots=True)
class Offer:
    """A button. It opens the dialog ``opens``, leads to ``href``, or posts to ``posts``.

    ``refused`` says why this reader may not press it.
    """

    label: str
    key: str = ""
    opens: str = ""
    href: str = ""
    posts: str = ""
    style: str = ""
    refused: str = ""


def offers(drawn: RunDrawing, actor: Actor) -> list[Offer]:
    """What a run's page offers this reader, the most likely first."""
    run = drawn.run
    if run.is_final:
        return _for_final(drawn, actor)
    return [*_unblocking(drawn, actor), *_for_living(drawn, actor)]


def _unblocking(drawn: RunDrawing, actor: Actor) -> list[Offer]:
    run = drawn.run
    if drawn.uncertain:
        refused = _refusal(drawn, actor, Action.OPERATE)
        label = f"Settle {drawn.uncertain.name}…"
        return [Offer(label, opens="settle", style="primary", refused=refused)]
    if run.waiting_detail.startswith(TOOL_CHANGED):
        refused = _refusal(drawn, actor, Action.OPERATE)
        href = "" if refused else reverse("tool-pins")
        return [Offer("Read what changed", href=href, style="primary", refused=refused)]
    if run.waiting_detail.startswith(STOPPED):
        href = reverse("stop", args=[run.waiting_detail.removeprefix(STOPPED)])
        return [Offer("See the stop", href=href, style="primary")]
    if run.waiting_for in {WaitingFor.APPROVAL, WaitingFor.ANSWER}:
        return [Offer("Review", href=reverse("inbox-of", args=[run.public_id]), style="primary")]
    if run.waiting_for == WaitingFor.OPERATOR:
        paused = run.waiting_detail.startswith("paused:")
        refused = _refusal(drawn, actor, Action.CONTROL if paused else Action.OPERATE)
        return [
            Offer("Resume run", "p", posts=_at(drawn, "resume"), style="primary", refused=refused)
        ]
    if run.waiting_for == WaitingFor.RETRY:
        refused = _refusal(drawn, actor, Action.CONTROL)
        return [Offer("Retry now", "R", posts=_at(drawn, "retry"), refused=refused)]
    return []


def _for_living(drawn: RunDrawing, actor: Actor) -> list[Offer]:
    run = drawn.run
    refused = _refusal(drawn, actor, Action.CONTROL)
    found = []
    if run.cancel_requested_at:
        return [Offer("Stopping…", refused="It was asked to stop already")]
    if run.pause_by and run.waiting_for != WaitingFor.OPERATOR:
        found.append(Offer("Do not pause", "p", posts=_at(drawn, "resume"), refused=refused))
    elif run.waiting_for != WaitingFor.OPERATOR:
        found.append(Offer("Pause run", "p", posts=_at(drawn, "pause"), refused=refused))
    found += [_fork(drawn, actor), *_take(drawn, actor), *_stop(drawn, actor)]
    return [*found, Offer("Cancel run…", "C", opens="cancel", refused=refused)]


def _for_final(drawn: RunDrawing, actor: Actor) -> list[Offer]:
    run = drawn.run
    again = f"{reverse('agent', args=[run.agent])}?like={run.public_id}"
    found = []
    # A child goes on with the run that started it, from whose page that is done.
    if run.status == RunStatus.FAILED and run.parent_id is None:
        refused = _refusal(drawn, actor, Action.CONTROL)
        post = _at(drawn, "retry")
        found.append(Offer("Retry from failure", "R", posts=post, style="primary", refused=refused))
    return [*found, _fork(drawn, actor), Offer("Run again…", href=again, refused=_beginning(actor))]


def _stop(drawn: RunDrawing, actor: Actor) -> list[Offer]:
    """Operators only: for others there is Pause."""
    if _refusal(drawn, actor, Action.OPERATE) or drawn.run.waiting_detail.startswith(STOPPED):
        return []
    about = urlencode({"scope": "run", "target": drawn.run.public_id})
    return [Offer("Stop run…", href=f"{reverse('stop-new')}?{about}")]


def _take(drawn: RunDrawing, actor: Actor) -> list[Offer]:
    """Whoever operates may do by hand what the run would; the page says who does already."""
    if _refusal(drawn, actor, Action.OPERATE):
        return []
    taken = drawn.run.pause_by.endswith(TAKING)
    label = f"In hand of {drawn.run.pause_by.removesuffix(TAKING)}…" if taken else "Take over…"
    return [Offer(label, href=_at(drawn, "take-over"))]


def _fork(drawn: RunDrawing, actor: Actor) -> Offer:
    refused = _refusal(drawn, actor, Action.CONTROL) or _beginning(actor)
    return Offer("Fork…", "F", href=_at(drawn, "fork"), refused=refused)


def _at(drawn: RunDrawing, name: str) -> str:
    return reverse(f"run-{name}", args=[drawn.run.public_id])


def _refusal(drawn: RunDrawing, actor: Actor, action: Action) -> str:
    """Why they may not, in the words of the door that would refuse them."""
    try:
        authorize(actor, action, drawn.run)
    except Forbidden as refused:
        return str(refused)
    return ""


def _beginning(actor: Actor) -> str:
    try:
        authorize_new(actor)
    except Forbidden as refused:
        return str(refused)
    return ""
