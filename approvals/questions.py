"""People answer what an agent asks, or decline. The form says what an answer is."""

from __future__ import annotations

from collections.abc import Mapping

from agentops.accounts.access import (
    Action,
    Actor,
    NotFound,
    allows,
    authorize,
    authorize_person,
)
from agentops.sdk import forms
from approvals import eligibility, freezing, matters, moves
from approvals.models import Kind, Request, State
from approvals.moves import By
from approvals.refusals import AlreadyDecided, MayNotDecide, TooLate
from runs import services, takeovers
from runs.models import Run

GONE = "The run that asked is gone."
OTHERS = "Whom the run is for, or an operator of its team, answers this."


def answer(
    *, request: Request, actor: Actor, answer: Mapping[str, object], comment: str = ""
) -> Request:
    """Give the agent what it asked for. What the form has for fields left out is filled in.

    Whoever may send to the run may answer, with a token too; where the question names who, only
    they, in person. Raises NotFound, Forbidden, PersonRequired, MayNotDecide, InvalidAnswer,
    AlreadyDecided, Frozen, TakenOver or TooLate.
    """
    matters.check_text(comment)
    with services.change():
        held = _open(request, actor)
        read = forms.read(held.schema or {}, answer)
        changes = {"answer": read, "comment": comment, "decided_by": actor.user.pk}
        moves.move(held, State.ANSWERED, By.actor(actor), changes=changes)
    return held


def decline(*, request: Request, actor: Actor, comment: str = "") -> Request:
    """Tell the agent that nobody will answer this. Raises what :func:`answer` raises."""
    matters.check_text(comment)
    with services.change():
        held = _open(request, actor)
        changes = {"comment": comment, "decided_by": actor.user.pk}
        moves.move(held, State.DECLINED, By.actor(actor), changes=changes)
    return held


def may_answer(actor: Actor, request: Request) -> str | None:
    """Why ``actor`` may not answer this, in a sentence for them; None: they may."""
    if request.factors:
        return eligibility.may_decide(actor, request)
    run = Run.objects.filter(pk=request.run_id).first()
    if run is None:
        return GONE
    return None if allows(actor, Action.RESPOND, run) else OTHERS


def by_default(request: Request, by: By) -> None:
    """Answer a locked question that nobody answered in time with what its form says, if it does."""
    unasked = forms.unasked(request.schema or {})
    if unasked is None:
        moves.move(request, State.EXPIRED, by)
        return
    detail = {"why": "nobody answered in time; this is the default"}
    moves.move(request, State.ANSWERED, by, changes={"answer": unasked}, detail=detail)


def _open(request: Request, actor: Actor) -> Request:
    """The question, locked, if it is still asked and theirs to answer."""
    held = matters.locked(request, actor, Kind.QUESTION)
    _authorize(actor, held)
    if held.state != State.PENDING:
        raise AlreadyDecided(matters.how_it_ended(held))
    freezing.refuse_frozen(held)
    takeovers.refuse_others(run_id=held.run_id, actor=actor)
    if matters.is_over(held.decide_by):
        raise TooLate("Nobody answered in time; the time to answer is over.")
    return held


def _authorize(actor: Actor, held: Request) -> None:
    if held.factors:
        authorize_person(actor)
        why_not = eligibility.may_decide(actor, held)
        if why_not:
            raise MayNotDecide(why_not)
        return
    run = Run.objects.filter(pk=held.run_id).first()
    if run is None:
        raise NotFound
    authorize(actor, Action.RESPOND, run)
