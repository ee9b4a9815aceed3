"""Asking people about an action: the rows, from the first asking to the action let through.

Everything here is a short transaction in a worker's thread. A worker that lost its run writes
nothing: see :mod:`approvals.holding`.

# Note [Rounds]
Each step that asks has one request at a time. What is approved is one revision of it, and only
while nothing it says has changed: not the rows, nor the tool, the agent, whom it is for, or the
world its preview saw. Otherwise the approval is refused, which is recorded, and the next round asks
anew. A rejection holds for the step whatever changes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import IntegrityError, connection, transaction
from django.db.models.functions import Now

from agentops.execution.faults import fault
from agentops.execution.port import (
    REQUESTED,
    Action,
    Asks,
    Event,
    Passed,
    Permit,
    Refused,
)
from agentops.execution.records import Meta
from approvals import envelope, grants, holding, matters, moves, queries
from approvals.envelope import Asking, Envelope, Unfit
from approvals.models import Kind, Record, Request, Revision, State
from approvals.moves import DECIDED, By
from approvals.previewing import NOTHING, Previewed
from approvals.rules import Ruling, Spec
from runs.models import Run

# Of one run, at a time; further calls wait until some of them are decided.
MOST_PENDING = 20
LOOK_AGAIN_SECONDS = 60
LONGEST_TITLE = 200
LONGEST_TOLD = 4_000
DENIED, EXPIRED = "denied", "approval_expired"
# What is over without an answer: asked anew.
_AGAIN = frozenset({State.LAPSED, State.SUPERSEDED, State.CANCELLED})
_LOCK = "SELECT pg_advisory_xact_lock(%s, %s)"
_LOCK_CLASS = 0x41534B


@dataclass(frozen=True, slots=True)
class Case:
    """An action that has to be judged: what the rules say, what it is, what it would do."""

    action: Action
    ruling: Ruling
    frozen: Envelope
    preview: Previewed = NOTHING

    @property
    def by(self) -> By:
        """As records call the one who asks."""
        return By(f"run {self.action.claim.public_id}")


@dataclass(frozen=True, slots=True)
class Found:
    """The newest request of a step, with what the agent asked and what people made of it."""

    request: Request
    first: Revision
    newest: Revision

    @property
    def asked(self) -> Envelope:
        return Envelope(bytes(self.first.envelope))

    @property
    def agreed(self) -> Envelope:
        return Envelope(bytes(self.newest.envelope))


def find(action: Action) -> Found | None:
    """What was asked about this step last."""
    rows = Request.objects.filter(
        run_id=action.claim.id, key=action.key, kind=Kind.APPROVAL
    ).select_related("decided_by")
    request = rows.order_by("-round").first()
    if request is None:
        return None
    first, newest = request.revisions.order_by("number").first(), queries.newest(request)
    if first is None or newest is None:
        raise LookupError(f"{request.public_id} has no revision.")
    return Found(request, first, newest)


def wants_preview(found: Found) -> bool:
    """Whether the world has to be looked at again before the action may happen."""
    return found.request.state == State.APPROVED and bool(found.asked.fields.get("etag"))


def is_over(found: Found | None) -> bool:
    """Whether nothing that was asked before has to be minded any more."""
    return found is None or found.request.state in _AGAIN


def judge(case: Case, found: Found) -> Permit | None:
    """What a request that was made before says now; None: ask anew."""
    request = found.request
    if case.ruling.effect == "deny":
        if request.is_open:
            void(case, found, "policy")
        return forbidden(case.ruling, case.action)
    if request.state == State.REJECTED:
        return Refused(DENIED, _feedback(request), _decided(request))
    if request.state == State.REVOKED:
        return Refused(DENIED, _told("An approval of this call was taken back", request.comment))
    if request.state == State.EXPIRED:
        text = "Nobody decided in time whether this call may happen, so it must not."
        return Refused(EXPIRED, text, _decided(request))
    why = _untrue(case, found)
    if why:
        void(case, found, why)
        return None
    if request.state == State.PENDING:
        return asks(request)
    return _passed(case, found) if request.state == State.CONSUMED else _consume(case, found)


def forbidden(ruling: Ruling, action: Action) -> Refused:
    """A rule does not allow it."""
    rule = ruling.rule
    said: Meta = {"rule": rule.id if rule else "", "version": ruling.version, **watched(ruling)}
    title = rule.title or rule.id if rule else "no rule allows it"
    text = f"The rules do not allow this call: {title}.{_advice(rule.feedback if rule else '')}"
    return Refused(DENIED, text, (Event("policy.denied", action.n, said),))


def void(case: Case, found: Found, why: str) -> None:
    """What was approved, or asked, is not true any more: refused, and written down."""
    with transaction.atomic():
        holding.held(case.action.claim)
        request = moves.locked(found.request.pk)
        detail = {"why": why, "attempt": case.action.n}
        digest = bytes(found.newest.digest)
        event = "" if request.state == State.PENDING else "approval.refused"
        if request.is_open:
            moves.move(
                request, State.SUPERSEDED, case.by, event=event, digest=digest, detail=detail,
                tells=False,
            )  # fmt: skip
        else:
            moves.record(request, event, case.by, digest=digest, detail=detail)


def granted(case: Case) -> Passed | None:
    """Let it pass by a standing permission, which counts once for a step."""
    claim, rule = case.action.claim, case.ruling.rule
    if case.ruling.always or rule is None:
        return None
    with transaction.atomic():
        holding.held(case.action.claim)
        found = grants.cover(
            run=Run.objects.get(pk=claim.id), key=case.action.key, envelope=case.frozen.fields,
            action=case.frozen.action, rule=rule.as_json(),
        )  # fmt: skip
    if found is None:
        return None
    said: Meta = {"grant": found.public_id}
    return Passed({"grant": found.public_id}, events=(Event("grant.used", 1, said),))


def ask(case: Case) -> Permit:
    """Put the action before people, once."""
    try:
        with transaction.atomic():
            return _ask(case)
    except IntegrityError:
        # Another worker, which lost the run to this one or will, was first. It is the same.
        found = find(case.action)
        if found is None:
            raise
        return asks(found.request)


def asks(request: Request, due: datetime | None = None) -> Asks:
    """How a step waits for a request."""
    named = request.public_id
    return Asks("approval", f"{DECIDED}{named}", named, due, (_requested(request),))


def requested(case: Case) -> Event:
    """The line that says people are about to be asked, before there is a request."""
    rule = case.ruling.rule
    named: Meta = {"rule": rule.id, "title": rule.title} if rule else {}
    return Event(REQUESTED, 1, {**named, **watched(case.ruling)})


def watched(ruling: Ruling) -> Meta:
    """What rules that only watch would have said, as journals note it."""
    told = [{"rule": one.rule, "effect": one.effect} for one in ruling.watched]
    return {"watched": told} if told else {}


def _ask(case: Case) -> Permit:
    claim, action = case.action.claim, case.frozen.action
    owner, team, now = holding.held(case.action.claim)
    with connection.cursor() as cursor:
        cursor.execute(_LOCK, [_LOCK_CLASS, claim.id & 0x7FFFFFFF])
    mine = Request.objects.filter(run_id=claim.id, kind=Kind.APPROVAL)
    same = mine.filter(revisions__action=action)
    if same.filter(state=State.REJECTED, for_good=True).exists():
        text = "A person rejected this very call for good in this run. Do not ask for it again."
        return Refused(DENIED, text)
    waiting = mine.filter(state=State.PENDING)
    twin = same.filter(state=State.PENDING).exclude(key=case.action.key).first()
    if twin is not None:
        return Asks("approval", f"{DECIDED}{twin.public_id}", twin.public_id)
    if waiting.exclude(key=case.action.key).count() >= MOST_PENDING:
        due = now + timedelta(seconds=LOOK_AGAIN_SECONDS)
        return Asks("approval", "", "too_many", due)
    last = mine.filter(key=case.action.key).order_by("-round").first()
    request = _made(case, (last.round if last else 0) + 1, owner, team, now)
    fault("approval.requested", case.action.work.name)
    return asks(request)


def _made(case: Case, round: int, owner: int | None, team: int | None, now: datetime) -> Request:
    claim, work = case.action.claim, case.action.work
    rule = case.ruling.rule or Spec(id="", effect="ask")
    minutes = rule.decide_minutes
    decide_by = now + timedelta(minutes=minutes) if minutes else None
    request = Request(
        kind=Kind.APPROVAL, run_id=claim.id, run_public_id=claim.public_id, key=case.action.key,
        round=round, owner_id=owner, team_id=team, agent=claim.agent, name=work.name,
        title=_title(case), risk=rule.risk, policy_id=case.ruling.version, rule=rule.as_json(),
        factors=[who.as_json() for who in rule.factors], preview=case.preview.shown,
        reason=work.reason, decide_by=decide_by, on_expiry=rule.on_expiry,
        execute_seconds=rule.execute_minutes * 60, undo_seconds=rule.undo_seconds,
    )  # fmt: skip
    request.save(force_insert=True)
    expires = decide_by.isoformat() if decide_by else ""
    about = Asking(round, case.ruling.version, rule.id, case.preview.etag, expires)
    put = envelope.asked(case.frozen, about)
    Revision(
        request=request, number=1, envelope=put.data, digest=put.digest, action=put.action
    ).save(force_insert=True)
    request.refresh_from_db()
    detail = {"rule": rule.id, "round": round, "why": case.ruling.fault}
    moves.record(request, REQUESTED, case.by, digest=put.digest, detail=detail)
    return request


def _consume(case: Case, found: Found) -> Permit:
    """Let an approved action through, once."""
    with transaction.atomic():
        request = moves.locked(found.request.pk)
        holding.held(case.action.claim)
        newest = queries.newest(request)
        if request.state != State.APPROVED or newest is None or newest.pk != found.newest.pk:
            return asks(request)  # somebody moved it this moment; their message comes
        if matters.is_over(request.execute_by):
            return asks(request)  # the sweep ends it, unless its time stood still
        if not matters.is_over(request.ready_at):
            return asks(request, request.ready_at)
        moves.move(
            request, State.CONSUMED, case.by, digest=bytes(found.newest.digest), tells=False,
            changes={"consumed_at": Now()},
            detail={"revision": found.newest.number, "attempt": case.action.n},
        )  # fmt: skip
    fault("approval.consumed", case.action.work.name)
    return _passed(case, Found(request, found.first, found.newest))


def _passed(case: Case, found: Found) -> Passed:
    """The action as it was agreed to, read from its bytes."""
    request, agreed = found.request, found.agreed
    arguments = envelope.thaw(agreed, case.action.work)
    number, digest = found.newest.number, agreed.digest.hex()
    said: Meta = {"request": request.public_id, "revision": number, "digest": digest}
    done = Event("approval.executed", request.round, said)
    note: Meta = {"approval": said}
    return Passed(note, arguments, _edit_told(found), (*_decided(request), done))


def _untrue(case: Case, found: Found) -> str:
    """What is no longer as it was when people were asked; nothing where all is."""
    asked, agreed = found.asked, found.agreed
    for revision, read in ((found.first, asked), (found.newest, agreed)):
        if read.digest != bytes(revision.digest) or read.action != bytes(revision.action):
            return "row"
    if not agreed.is_edit_of(asked) or not _is_decided_about(found):
        return "row"
    changed = asked.changes(case.frozen)
    if changed:
        return ", ".join(changed)
    if wants_preview(found) and asked.fields["etag"] != case.preview.etag:
        return "etag"
    if found.request.state == State.PENDING:
        return ""
    try:
        envelope.check(agreed, case.action.work)
    except Unfit as error:
        return f"arguments: {error}"
    return ""


def _is_decided_about(found: Found) -> bool:
    """Whether the record of the decision names these very bytes."""
    if found.request.state == State.PENDING:
        return True
    said = Record.objects.filter(request=found.request, event="approval.decided")
    newest = said.order_by("-pk").values_list("digest", flat=True).first()
    return newest is not None and bytes(newest) == bytes(found.newest.digest)


def _title(case: Case) -> str:
    words = case.action.work.name.replace("__", ": ").replace("_", " ").replace("-", " ")
    return words[:LONGEST_TITLE]


def _requested(request: Request) -> Event:
    said: Meta = {"rule": request.rule.get("id", ""), "request": request.public_id}
    return Event(REQUESTED, request.round, said)


def _decided(request: Request) -> tuple[Event, ...]:
    by = request.decided_by.get_username() if request.decided_by else ""
    said: Meta = {"request": request.public_id, "state": str(request.state), "by": by}
    return (Event("approval.decided", request.round, said),)


def _feedback(request: Request) -> str:
    text = _told("A person rejected this call", request.comment)
    text += " It is not to be asked for again." if request.for_good else ""
    return text + _advice(str(request.rule.get("feedback", "")))


def _advice(text: str) -> str:
    """What the rule has to say to the model besides."""
    return f" {text}" if text else ""


def _told(what: str, comment: str) -> str:
    """What people said, marked as theirs."""
    return f"{what} and said: “{comment[:LONGEST_TOLD]}”" if comment else f"{what}."


def _edit_told(found: Found) -> str:
    if found.newest.number == found.first.number:
        return ""
    ran = json.dumps(found.agreed.fields["arguments"], ensure_ascii=False)
    what = f"A person changed this call before it ran. It ran with {ran[:LONGEST_TOLD]}"
    return _told(what, found.request.comment)
