"""The same word on several actions of one tool. Each is decided and recorded by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agentops.accounts.access import Actor, NotFound, authorize_person
from agentops.sdk.errors import AgentopsError
from approvals import deciding, queries
from approvals.models import Kind, Request, Risk, Verdict
from runs.labels import InvalidRequest

MOST = 50


@dataclass(frozen=True)
class Item:
    """One action somebody looked at."""

    public_id: str
    revision: int
    digest: str


@dataclass(frozen=True)
class Outcome:
    """What became of one. ``code`` is empty where the word counts."""

    public_id: str
    state: str
    code: str = ""
    message: str = ""


def decide(
    *, actor: Actor, items: Sequence[Item], verdict: Verdict, comment: str = ""
) -> list[Outcome]:
    """Approve or reject them one by one, and tell what became of each. A refusal stops no other.

    At most 50, of one tool, and none where much is at stake. Raises PersonRequired, or
    InvalidRequest before anything is decided.
    """
    authorize_person(actor)
    names = [item.public_id for item in items]
    if not 1 <= len(items) <= MOST or len(set(names)) < len(names):
        raise InvalidRequest(f"items: 1 to {MOST} different requests.")
    found = {row.public_id: row for row in queries.visible(actor).filter(public_id__in=names)}
    _check(list(found.values()))
    return [_one(actor, item, found.get(item.public_id), verdict, comment) for item in items]


def _check(rows: Sequence[Request]) -> None:
    if any(row.kind != Kind.APPROVAL for row in rows):
        raise InvalidRequest("items: only actions are decided together.")
    if len({row.name for row in rows}) > 1:
        raise InvalidRequest("items: actions of one tool are decided together, no mixture.")
    risky = next((row for row in rows if row.risk == Risk.HIGH), None)
    if risky is not None:
        raise InvalidRequest(f"items: {risky.public_id} is of high risk; decide it by itself.")


def _one(
    actor: Actor, item: Item, request: Request | None, verdict: Verdict, comment: str
) -> Outcome:
    try:
        if request is None:
            raise NotFound
        made = deciding.decide(
            request=request, actor=actor, verdict=verdict, revision=item.revision,
            digest=item.digest, comment=comment,
        )  # fmt: skip
    except AgentopsError as refused:
        state = request.state if request else ""
        return Outcome(item.public_id, state, refused.code, refused.message)
    return Outcome(item.public_id, made.request.state)
