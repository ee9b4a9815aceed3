"""Questions of agents, as rows: asked once, and what people said to them."""

from __future__ import annotations

from datetime import datetime

from django.db import IntegrityError, transaction

from agentops.execution.port import Answered, Asks, Refused
from agentops.execution.records import Claim
from agentops.sdk.steps import Ask
from approvals import holding, moves
from approvals.models import Kind, Request, State
from approvals.moves import DECIDED, By

LONGEST_TITLE = 200
LONGEST_TOLD = 4_000


def question(claim: Claim, key: str, asked: Ask, due: datetime | None) -> Answered | Asks | Refused:
    """What people say to it. A worker that lost the run asks nobody."""
    found = _newest(claim, key)
    if found is None or found.state == State.CANCELLED:
        found = _asked(claim, key, asked, due, 1 if found is None else found.round + 1)
    if found.state == State.PENDING:
        named = found.public_id
        return Asks("answer", f"{DECIDED}{named}", named)
    if found.state == State.ANSWERED:
        return Answered(found.answer or {}, {"request": found.public_id, "by": _who(found)})
    if found.state == State.DECLINED:
        said = f" and said: “{found.comment[:LONGEST_TOLD]}”" if found.comment else "."
        return Refused("declined", f"A person declined to answer “{found.title}”{said}")
    return Refused("unanswered", f"Nobody answered “{found.title}” in time.")


def _newest(claim: Claim, key: str) -> Request | None:
    rows = Request.objects.filter(run_id=claim.id, key=key, kind=Kind.QUESTION)
    return rows.select_related("decided_by").order_by("-round").first()


def _asked(claim: Claim, key: str, asked: Ask, due: datetime | None, round: int) -> Request:
    try:
        with transaction.atomic():
            owner, team, _ = holding.held(claim)
            request = Request(
                kind=Kind.QUESTION, run_id=claim.id, run_public_id=claim.public_id, key=key,
                round=round, owner_id=owner, team_id=team, agent=claim.agent, name=asked.name,
                title=str(asked.schema.get("title", asked.question))[:LONGEST_TITLE],
                schema=dict(asked.schema), decide_by=due,
            )  # fmt: skip
            request.save(force_insert=True)
            request.refresh_from_db()
            moves.record(request, "question.asked", By(f"run {claim.public_id}"))
            return request
    except IntegrityError:
        # Another worker, which lost the run to this one or will, was first.
        found = _newest(claim, key)
        if found is None:
            raise
        return found


def _who(found: Request) -> str:
    return found.decided_by.get_username() if found.decided_by else ""
