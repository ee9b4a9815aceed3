"""People say whether an action may happen. One transaction per word; see Note [One way to move]."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import structlog
from django.db import connection
from django.db.models.functions import Now

from agentops.accounts.access import Action, Actor, authorize_person
from approvals import editing, eligibility, matters, moves, queries, quorum
from approvals.eligibility import Standing
from approvals.matters import Matter, Shown
from approvals.models import Kind, Request, Revision, State, Verdict, Vote
from approvals.moves import By
from approvals.refusals import AlreadyDecided, MayNotDecide, TooLate
from runs import services
from runs.labels import InvalidRequest

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Decided:
    """What came of a word. ``missing``: how many each factor still wants, in their order."""

    request: Request
    missing: list[int]

    @property
    def is_settled(self) -> bool:
        """Whether nobody else is asked."""
        return self.request.state != State.PENDING


def decide(
    *,
    request: Request,
    actor: Actor,
    verdict: Verdict,
    revision: int,
    digest: str,
    comment: str = "",
    arguments: Mapping[str, object] | None = None,
    for_good: bool = False,
    stop_run: bool = False,
) -> Decided:
    """Approve or reject the revision somebody was shown, named by its number and digest.

    ``arguments``: approve, with these instead; that makes a new revision, and votes on the one
    before no longer count. ``for_good`` rejects this action for the rest of the run, ``stop_run``
    ends the run too. One rejection is enough. Raises PersonRequired, NotFound, InvalidEdit,
    InvalidRequest, or what :mod:`approvals.refusals` lists.
    """
    authorize_person(actor)
    _check(verdict, comment, arguments, rejects_more=for_good or stop_run)
    word = _Word(actor, verdict, comment, for_good=for_good, stop_run=stop_run)
    with services.change():
        about = matters.opened(request, actor, Shown(revision, digest))
        standing = matters.standing(actor, about)
        if arguments is not None:
            made = editing.edit(about.request, about.revision, arguments, actor)
            about = Matter(about.request, made, [])
        _count(about, word, standing, is_edit=arguments is not None)
    if stop_run:
        services.ended(about.request.run)
    if about.request.decided_by_id == actor.user.pk:
        about.request.decided_by = actor.user
    log.info("approval.voted", request=request.public_id, verdict=verdict, by=actor.name)
    return Decided(about.request, about.missing)


def withdraw(*, request: Request, actor: Actor) -> Request:
    """Take one's own word back: while others are still asked, or within the time to undo.

    Raises PersonRequired, NotFound, TooLate once it may have begun, AlreadyDecided for what ended
    otherwise, or InvalidRequest for who has not voted.
    """
    authorize_person(actor)
    by = By.actor(actor)
    with services.change():
        held = matters.locked(request, actor, Kind.APPROVAL)
        undoes = held.state == State.APPROVED and not matters.is_over(held.ready_at)
        if held.state != State.PENDING and not undoes:
            raise _too_late(held)
        _take_back(held, actor)
        if undoes:
            before = {"decided_by": None, "comment": "", "ready_at": None, "execute_by": None}
            moves.move(held, State.PENDING, by, event="approval.withdrawn", changes=before)
        else:
            moves.record(held, "approval.withdrawn", by)
    return held


def revoke(*, request: Request, actor: Actor, comment: str = "") -> Request:
    """Take back an approval that has not begun, for good. The agent is told it may not.

    Who decides, looks after everything, or approved it, may. Raises PersonRequired, NotFound,
    MayNotDecide or AlreadyDecided.
    """
    authorize_person(actor)
    matters.check_text(comment)
    with services.change():
        held = matters.locked(request, actor, Kind.APPROVAL)
        voted = held.votes.filter(voter=actor.user).exists()
        if not voted and not actor.allowed & {Action.DECIDE, Action.ADMINISTER}:
            raise MayNotDecide(eligibility.NEEDS_ROLE)
        if held.state != State.APPROVED:
            raise AlreadyDecided(matters.how_it_ended(held))
        changes = {"comment": comment} if comment else {}
        moves.move(held, State.REVOKED, By.actor(actor), changes=changes)
    return held


def approve_unasked(request: Request, by: By, *, why: str) -> None:
    """Let a locked request pass that nobody decided in time, as its rule of low risk says."""
    _approve(request, by, queries.newest(request), "", why=why)


@dataclass(frozen=True)
class _Word:
    """What somebody says."""

    actor: Actor
    verdict: Verdict
    comment: str
    for_good: bool
    stop_run: bool

    @property
    def by(self) -> By:
        return By.actor(self.actor)


def _check(
    verdict: Verdict,
    comment: str,
    arguments: Mapping[str, object] | None,
    *,
    rejects_more: bool,
) -> None:
    matters.check_text(comment)
    if verdict == Verdict.REJECT and arguments is not None:
        raise InvalidRequest("arguments: what is rejected is not edited. Leave them out.")
    if verdict == Verdict.APPROVE and rejects_more:
        raise InvalidRequest("for_good and stop_run go with the verdict reject. Leave them out.")


def _count(about: Matter, word: _Word, standing: Standing, *, is_edit: bool) -> None:
    """Let the word have its effect. Where several must agree, who edits is no independent one."""
    if is_edit and eligibility.bars_editors(about.request):
        return
    alone = quorum.total(about.request.factors) == 1
    _vote(about, word, standing)
    if word.verdict == Verdict.REJECT:
        _reject(about, word)
        return
    if not alone:
        _reseat(about)
    if alone or not any(about.missing):
        _approve(about.request, word.by, about.revision, word.comment)


def _vote(about: Matter, word: _Word, standing: Standing) -> None:
    digest = bytes(about.revision.digest)
    made = Vote(
        request=about.request, revision=about.revision, voter=word.actor.user, shown=digest,
        deputy=standing.deputy, factor=min(standing.factors), verdict=word.verdict,
        comment=word.comment,
    )  # fmt: skip
    made.save(force_insert=True)
    about.votes.append(made)
    instead = {"for": standing.deputy.person.get_username()} if standing.deputy else {}
    said = {"verdict": word.verdict, "revision": about.revision.number, **instead}
    moves.record(about.request, "approval.voted", word.by, digest=digest, detail=said)


def _reseat(about: Matter) -> None:
    """Ask of every voter once more whether their word counts, and for which factor."""
    case = eligibility.case(about.request, about.revision)
    now = eligibility.standings([vote.voter_id for vote in about.votes], case)
    able = {pk: standing.factors for pk, standing in now.items()}
    seats = quorum.seated(able, about.request.factors)
    for vote in about.votes:
        if vote.factor != seats.get(vote.voter_id):
            vote.factor = seats.get(vote.voter_id)
            vote.save(update_fields=["factor"])


def _approve(
    request: Request, by: By, revision: Revision | None, comment: str, *, why: str = ""
) -> None:
    ready = Now() + timedelta(seconds=request.undo_seconds)
    changes = {
        "decided_by": by.person_id,
        "comment": comment,
        "ready_at": ready,
        "execute_by": ready + timedelta(seconds=request.execute_seconds),
    }
    digest = bytes(revision.digest) if revision else None
    detail: dict[str, object] = {"revision": revision.number} if revision else {}
    if why:
        detail["why"] = why
    moves.move(request, State.APPROVED, by, digest=digest, changes=changes, detail=detail)


def _reject(about: Matter, word: _Word) -> None:
    request, by = about.request, word.by
    changes = {"decided_by": by.person_id, "comment": word.comment, "for_good": word.for_good}
    more = {"for_good": word.for_good, "stop_run": word.stop_run}
    detail = {"revision": about.revision.number, **more}
    moves.move(
        request, State.REJECTED, by, digest=bytes(about.revision.digest), changes=changes,
        tells=not word.stop_run, detail=detail,
    )  # fmt: skip
    if not word.stop_run:
        return
    with connection.cursor() as cursor:
        moved = services.cancel(
            cursor, run_id=request.run_id, actor=by.name, by_operator=True, note=word.comment
        )
    services.announce(moved)


def _take_back(held: Request, actor: Actor) -> None:
    mine = Vote.objects.filter(revision=queries.newest(held), voter=actor.user)
    if not mine.delete()[0]:
        raise InvalidRequest("You gave no word on this that could be taken back.")


def _too_late(held: Request) -> TooLate | AlreadyDecided:
    if held.state in {State.APPROVED, State.CONSUMED}:
        return TooLate("The time to undo is over; the action may have begun. Revoke, or stop it.")
    return AlreadyDecided(matters.how_it_ended(held))
