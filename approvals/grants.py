"""Standing permissions: an action that is covered happens without anybody being asked.

# Note [What a grant covers]
One version of a tool and of an agent, arguments within its bound, as often and up to the sum it
says, until it ends. Whoever gives it must be one who could approve every call it covers: so it is
asked again at each use whether they could have approved this one, alone, as the rules are then.
Uses are counted by one conditional statement before the call, and a step uses a grant once however
often it is tried. Rules that deny or always ask come before any grant; that is for the gate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import ROUND_UP, Decimal
from typing import cast

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from agentops.accounts.access import (
    Action,
    Actor,
    Forbidden,
    NotFound,
    authorize_person,
    visible_to,
)
from agentops.sdk.errors import AgentopsError
from approvals import editing, eligibility, matters, offers, queries, quorum
from approvals.expressions import Document, Expression, Unclear, Unusable
from approvals.models import Grant, Kind, Record, Request, State
from approvals.offers import Offer
from approvals.refusals import MayNotDecide
from runs import services
from runs.labels import InvalidRequest
from runs.models import Run

MOST_USES = 1000
_SMALLEST = Decimal("0.000001")
SCOPES = ("run", "person", "agent")
_OPEN = (State.PENDING, State.APPROVED, State.CONSUMED)
log = structlog.get_logger(__name__)


class StaleOffer(AgentopsError):
    """What you chose is no longer offered: the action is another one now. Look again."""

    code = "stale_offer"


class NotGranted(AgentopsError):
    """The rule that asks lets nobody give a standing permission for this."""

    code = "not_granted"


@dataclass(frozen=True)
class Wish:
    """The permission somebody wants to give. ``offer`` is the token of one, or ``when`` a bound."""

    offer: str = ""
    when: str = ""
    scope: str = "run"
    hours: float = 1.0
    max_uses: int | None = None
    sum_of: str = ""
    sum_limit: Decimal | None = None


def offer(request: Request) -> list[Offer]:
    """What could be allowed from here on, narrowest first; empty where the rule allows no grant."""
    newest = queries.newest(request)
    if newest is None or why_none(request):
        return []
    read = editing.read(newest)
    arguments = cast("dict[str, object]", read["arguments"])
    return offers.offers(bytes(newest.digest), request.name, arguments)


def why_none(request: Request) -> str:
    """Why nobody can give a standing permission from this request; empty: somebody can."""
    rule = request.rule
    if request.kind != Kind.APPROVAL or request.state not in _OPEN:
        return "It is over, or no action."
    if not rule.get("grants", True) or rule.get("always", False):
        return "The rule always asks."
    if quorum.total(request.factors) > 1:
        return "Several people have to agree each time."
    return ""


def issue(*, request: Request, actor: Actor, wish: Wish) -> Grant:
    """Allow what ``wish`` says, from this request on. Who could approve it, may.

    Raises PersonRequired, NotFound, MayNotDecide, NotGranted, StaleOffer or InvalidRequest.
    """
    authorize_person(actor)
    with services.change():
        held = matters.locked(request, actor, Kind.APPROVAL)
        why_not = eligibility.may_decide(actor, held)
        if why_not:
            raise MayNotDecide(why_not)
        if why_none(held):
            raise NotGranted(why_none(held))
        made = _made(held, actor, wish)
        made.save(force_insert=True)
        _record("grant.issued", made, actor.name, actor.user.pk, request=held)
    made.refresh_from_db()
    log.info("grant.issued", grant=made.public_id, tool=made.tool, by=actor.name)
    return made


def revoke(*, actor: Actor, public_id: str) -> Grant:
    """End a permission now. Who gave it, who decides near it, and who administers, may.

    Repeated it changes nothing. Raises NotFound, PersonRequired or Forbidden.
    """
    with services.change():
        rows = Grant.objects.select_for_update(of=("self",))
        held = rows.filter(pk__in=visible(actor).values("pk"), public_id=public_id).first()
        if held is None:
            raise NotFound(f"There is no grant {public_id[:40]}, or it is not yours to see.")
        authorize_person(actor)
        theirs = held.issued_by_id == actor.user.pk
        if not theirs and not actor.allowed & {Action.DECIDE, Action.ADMINISTER}:
            raise Forbidden(eligibility.NEEDS_ROLE)
        if held.revoked_at is None:
            Grant.objects.filter(pk=held.pk).update(revoked_at=Now(), revoked_by=actor.user)
            _record("grant.revoked", held, actor.name, actor.user.pk)
            held.refresh_from_db()
    return held


def visible(viewer: Actor) -> QuerySet[Grant]:
    """The grants ``viewer`` may see: for their runs, their teams', and those they gave."""
    rows = Grant.objects.select_related("issued_by", "revoked_by", "owner", "team", "run")
    mine = visible_to(viewer, rows)
    if viewer.scopes is None and viewer.is_active and not viewer.reach.everything:
        mine = mine | rows.filter(issued_by=viewer.user)
    return mine.order_by("-created_at", "-pk")


def cover(
    *, run: Run, key: str, envelope: Mapping[str, object], action: bytes, rule: Mapping[str, object]
) -> Grant | None:
    """The grant that lets this call of a step pass, counted; None: somebody has to be asked.

    ``envelope`` is what the call says, ``rule`` what would ask, both
    as they are stored. The same step asking again gets the same answer and counts once.
    """
    used = _used_before(run, key, action)
    if used is not None:
        return used
    if not rule.get("grants", True) or rule.get("always", False):
        return None
    arguments = cast("dict[str, object]", envelope["arguments"])
    for grant in _candidates(run, envelope):
        amount = _amount(grant, arguments)
        holds = _holds(grant, action, arguments) and _could_approve(grant, run, rule)
        if holds and amount is not None and _use(grant, amount, run, key, action):
            return grant
    return None


# -- giving ---------------------------------------------------------------------------------------


def _made(held: Request, actor: Actor, wish: Wish) -> Grant:
    newest = queries.newest(held)
    if newest is None:
        raise NotGranted
    read = editing.read(newest)
    arguments = cast("dict[str, object]", read["arguments"])
    when, action = _bound(held, wish, arguments, bytes(newest.action))
    _check(wish, arguments)
    return Grant(
        tool=held.name, tool_digest=str(read["tool_digest"]), agent=held.agent,
        agent_version=str(read["agent_version"]), team_id=held.team_id, when=when, action=action,
        run_id=held.run_id if wish.scope == "run" else None,
        owner_id=held.owner_id if wish.scope != "agent" else None,
        max_uses=wish.max_uses, sum_of=wish.sum_of, sum_limit=wish.sum_limit,
        issued_by=actor.user, issued_from=held, expires_at=Now() + timedelta(hours=wish.hours),
    )  # fmt: skip


def _bound(
    held: Request, wish: Wish, arguments: Mapping[str, object], action: bytes
) -> tuple[str, bytes | None]:
    """The condition, or the digest of the very action. It has to cover what is asked about."""
    if bool(wish.offer) == bool(wish.when):
        raise InvalidRequest("offer: choose one that is offered, or write a bound in when.")
    if wish.offer:
        chosen = next((one for one in offer(held) if one.token == wish.offer), None)
        if chosen is None:
            raise StaleOffer
        return chosen.when, action if chosen.exact else None
    try:
        holds = Expression(wish.when).holds(Document(arguments))
    except Unusable as error:
        raise InvalidRequest(f"when: {error}") from None
    except Unclear as error:
        raise InvalidRequest(f"when: it has no answer for this action. {error}") from None
    if not holds:
        raise InvalidRequest("when: it does not cover the action you look at.")
    return wish.when, None


def _check(wish: Wish, arguments: Mapping[str, object]) -> None:
    longest = settings.AGENTOPS_GRANT_HOURS
    if not 0 < wish.hours <= longest:
        raise InvalidRequest(f"hours: more than 0, at most {longest:g}.")
    if wish.scope not in SCOPES:
        raise InvalidRequest(f"scope: one of {', '.join(SCOPES)}.")
    if wish.max_uses is not None and not 1 <= wish.max_uses <= MOST_USES:
        raise InvalidRequest(f"max_uses: 1 to {MOST_USES}.")
    if bool(wish.sum_of) != (wish.sum_limit is not None):
        raise InvalidRequest("sum_limit: name the argument in sum_of and its limit, or neither.")
    if wish.sum_of and offers.number(arguments.get(wish.sum_of)) is None:
        raise InvalidRequest("sum_of: name an argument that is a number.")
    if wish.sum_limit is not None and not 0 < wish.sum_limit < Decimal(10) ** 14:
        raise InvalidRequest("sum_limit: more than 0, with at most 14 digits before the point.")


# -- using ----------------------------------------------------------------------------------------


def _used_before(run: Run, key: str, action: bytes) -> Grant | None:
    """The grant this step has used for this action, whatever became of it since."""
    used = Record.objects.filter(
        run_public_id=run.public_id, event="grant.used", detail__key=key,
        detail__action=action.hex(),
    ).first()  # fmt: skip
    return None if used is None else Grant.objects.get(public_id=used.detail["grant"])


def _candidates(run: Run, envelope: Mapping[str, object]) -> QuerySet[Grant]:
    """Those for this version of tool and agent, and this run, that are not used up."""
    same = {name: envelope[name] for name in ("tool", "tool_digest", "agent", "agent_version")}
    whose = Q(run_id=None) | Q(run_id=run.pk)
    for_whom = Q(owner_id=None) | Q(owner_id=run.owner_id)
    left = Q(max_uses=None) | Q(uses__lt=F("max_uses"))
    rows = Grant.objects.live().filter(whose, for_whom, left, Q(team=run.team_id), **same)
    return rows.order_by("expires_at", "pk")


def _holds(grant: Grant, action: bytes, arguments: Mapping[str, object]) -> bool:
    if grant.action is not None:
        return bytes(grant.action) == action
    try:
        return Expression(grant.when).holds(Document(arguments))
    except (Unclear, Unusable) as error:
        log.warning("grant.unclear", grant=grant.public_id, why=str(error))
        return False


def _amount(grant: Grant, arguments: Mapping[str, object]) -> Decimal | None:
    """What a use adds to the sum; None for what cannot be added, or would take away from it."""
    if not grant.sum_of:
        return Decimal(0)
    found = offers.number(arguments.get(grant.sum_of))
    if found is None or not 0 <= found <= (grant.sum_limit or 0):
        return None
    # Kept with six places; what is smaller still counts for something.
    return found.quantize(_SMALLEST, ROUND_UP)


def _could_approve(grant: Grant, run: Run, rule: Mapping[str, object]) -> bool:
    """Whether who gave it could approve this call now, alone; see Note [What a grant covers]."""
    factors = cast("list[Mapping[str, object]]", rule.get("factors") or [])
    call = Request(
        run=run, owner_id=run.owner_id, team_id=run.team_id, name=grant.tool, rule=dict(rule),
        factors=factors,
    )  # fmt: skip
    if quorum.total(factors) > 1:
        return False
    standing = eligibility.standings([grant.issued_by_id], eligibility.case(call, None))
    return bool(standing[grant.issued_by_id].factors)


@transaction.atomic
def _use(grant: Grant, amount: Decimal, run: Run, key: str, action: bytes) -> bool:
    """Count it and write it down. False: nothing was left."""
    if not _count(grant, amount):
        return False
    detail = {"key": key, "action": action.hex(), "amount": str(amount)}
    _record("grant.used", grant, "worker", None, run=run, detail=detail)
    return True


def _count(grant: Grant, amount: Decimal) -> bool:
    """Take one use and its amount if there is as much left, by one statement: no race passes."""
    left = Q(max_uses=None) | Q(uses__lt=F("max_uses"))
    within = Q(sum_limit=None) | Q(sum_limit__gte=F("sum_used") + amount)
    rows = Grant.objects.live().filter(left, within, pk=grant.pk)
    return rows.update(uses=F("uses") + 1, sum_used=F("sum_used") + amount) == 1


def _record(
    event: str,
    grant: Grant,
    by: str,
    person_id: int | None,
    *,
    request: Request | None = None,
    run: Run | None = None,
    detail: Mapping[str, object] | None = None,
) -> None:
    named = run or (request.run if request else None)
    Record.objects.create(
        request=request, run_public_id=named.public_id if named else "", event=event, by=by,
        person_id=person_id, digest=grant.action,
        detail={"grant": grant.public_id, "tool": grant.tool, **(detail or {})},
    )  # fmt: skip
