"""Versions of policies: added, compared, made current again. None is ever changed.

# Note [Two people for more]
Whoever may write rules could let an agent do anything. So a version that lets agents do more than
the one before waits until another administrator agrees; a stricter one holds at once. Where there
is no other administrator it holds too, and the record says that nobody else was there.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from agentops.accounts.access import Action, Actor, allows, authorize, authorize_person
from agentops.accounts.models import Team, User
from agentops.accounts.roles import Role
from agentops.sdk.errors import AgentopsError
from approvals import comparing, rules
from approvals.models import PolicyProposal, PolicyVersion, Record
from approvals.reading import RuleFault
from approvals.rules import Policy

# Whoever adds a version holds this lock.
_LOCK = 7_305_011
_SHOWN_LINES = 40


class PolicyMoved(AgentopsError):
    """Somebody else changed this policy meanwhile. Look at it, then decide again."""

    code = "policy_moved"


class PolicyUnchanged(AgentopsError):
    """The policy says that already."""

    code = "policy_unchanged"


class ProposalOpen(AgentopsError):
    """A change that waits for somebody else's agreement comes first; agree to it or refuse it."""

    code = "proposal_open"


class NeedsAnother(AgentopsError):
    """Somebody else has to agree to what you proposed."""

    code = "needs_another_person"


class ReasonMissing(AgentopsError):
    """Say in a few words why the policy changes."""

    code = "reason_missing"


@dataclass(frozen=True, slots=True)
class Saved:
    """What came of saving: a version that holds, or a proposal that waits for somebody else."""

    version: PolicyVersion | None
    proposal: PolicyProposal | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """What somebody wants a layer to say. ``based_on``: the newest number they saw, 0 for none."""

    team: Team | None
    rules: object
    unmatched: str
    note: str
    based_on: int


# -- reading ---------------------------------------------------------------------------------


def layer(team: Team | None) -> QuerySet[PolicyVersion]:
    """The versions of a layer, newest first."""
    return PolicyVersion.objects.filter(team=team).select_related("made_by").order_by("-number")


def newest(team: Team | None) -> PolicyVersion | None:
    """What holds for a layer; None where nothing was ever saved for it."""
    return layer(team).first()


def before(version: PolicyVersion) -> PolicyVersion | None:
    """The version before this one."""
    return layer(version.team).filter(number__lt=version.number).first()


def recalled(version: PolicyVersion) -> Policy:
    """The rules of a stored version, ready to be asked. It never changes, so once is enough."""
    return _recalled(version.pk) if version.pk else _read(version)


def holding(team: Team | None) -> Policy:
    """What a layer says now; of everybody without any version, what AGENTOPS_UNRULED says."""
    version = newest(team)
    return recalled(version) if version else unruled(team)


def unruled(team: Team | None) -> Policy:
    """What a layer says before anything was saved for it. A team's then adds nothing."""
    return Policy(unmatched="allow" if team else settings.AGENTOPS_UNRULED)


def in_force(team: Team | None) -> list[Policy]:
    """What counts for runs of a team, or of nobody's: everybody's layer and theirs."""
    layers = [holding(None)]
    return [*layers, holding(team)] if team is not None else layers


def difference(version: PolicyVersion) -> list[str]:
    """What a version changed against the one before it."""
    older = before(version)
    earlier = recalled(older) if older else unruled(version.team)
    return comparing.difference(earlier, recalled(version))


def teams_with_rules() -> QuerySet[Team]:
    """Teams that have a layer of their own."""
    named = PolicyVersion.objects.filter(team__isnull=False).values("team")
    return Team.objects.filter(pk__in=named).order_by("name")


def open_proposal(team: Team | None) -> PolicyProposal | None:
    """What waits for somebody else's agreement."""
    found = PolicyProposal.objects.filter(team=team, closed_at__isnull=True)
    return found.select_related("made_by", "team").first()


def proposed(proposal: PolicyProposal) -> list[str]:
    """What a proposal would change, line by line."""
    wanted = rules.recall(proposal.rules, unmatched=proposal.unmatched)
    return comparing.difference(holding(proposal.team), wanted)


def may_read(actor: Actor, team: Team | None = None) -> bool:
    """Whether they may see the rules of a layer: whoever looks after runs, decides or audits.

    Those of a team are for its members and for administrators.
    """
    readers = (Action.ADMINISTER, Action.OPERATE, Action.DECIDE, Action.AUDIT)
    theirs = team is None or actor.reach.everything or team.pk in actor.reach.teams
    return theirs and any(allows(actor, action) for action in readers)


def teams_of(actor: Actor) -> QuerySet[Team]:
    """The teams whose rules they may see."""
    reach = actor.reach
    seen = Team.objects.all() if reach.everything else Team.objects.filter(pk__in=reach.teams)
    return seen.order_by("name")


# -- changing --------------------------------------------------------------------------------


def may_change(actor: Actor) -> None:
    """Return if they may write rules: administrators, in person. Raises what access does."""
    authorize_person(actor)
    authorize(actor, Action.ADMINISTER)


def read_draft(draft: Draft) -> Policy:
    """The rules of a draft. Raises RuleFault with rule, field and remedy."""
    if draft.unmatched not in {"allow", "ask", "deny"}:
        raise RuleFault("", "unmatched", "it is one of: allow, ask, deny.", "/unmatched")
    return Policy(rules.parse(draft.rules), draft.unmatched)


def save(*, actor: Actor, draft: Draft) -> Saved:
    """Add a version, which holds from now on, or propose it; see Note [Two people for more].

    Raises RuleFault for rules that cannot be read, PolicyMoved, PolicyUnchanged, ProposalOpen and
    ReasonMissing.
    """
    may_change(actor)
    policy = read_draft(draft)
    if not draft.note.strip():
        raise ReasonMissing
    with transaction.atomic():
        _hold()
        now = newest(draft.team)
        _check_moment(draft, policy, now)
        wider = comparing.widens(recalled(now) if now else unruled(draft.team), policy)
        if wider and somebody_else(actor.user):
            return Saved(None, _propose(actor, draft, wider))
        return Saved(_add(actor.user, draft, policy, by=actor.name, wider=wider, agreed_with=None))


def revert(*, actor: Actor, version: PolicyVersion, note: str, based_on: int) -> Saved:
    """Save what an earlier version said, under the same rules as any other change."""
    draft = Draft(version.team, version.rules, version.unmatched, note, based_on)
    return save(actor=actor, draft=draft)


def agree(*, actor: Actor, proposal: PolicyProposal) -> PolicyVersion:
    """Let what somebody else proposed hold. Raises NeedsAnother, PolicyMoved."""
    may_change(actor)
    with transaction.atomic():
        _hold()
        held = _still_open(proposal)
        if held.made_by_id == actor.user.pk:
            raise NeedsAnother
        draft = Draft(held.team, held.rules, held.unmatched, held.note, held.based_on)
        now = newest(held.team)
        if (now.number if now else 0) != held.based_on:
            raise PolicyMoved
        made = _add(
            held.made_by,
            draft,
            read_draft(draft),
            by=held.made_by.get_username(),
            wider=held.widens,
            agreed_with=actor,
        )
        _close(held, actor, made)
        return made


def take_back(*, actor: Actor, proposal: PolicyProposal) -> None:
    """Refuse what somebody proposed, or take back one's own; what holds stays as it is."""
    may_change(actor)
    with transaction.atomic():
        _hold()
        held = _still_open(proposal)
        _close(held, actor, None)
        _record("policy.refused", actor.name, actor.user, held.team, proposed_by=str(held.made_by))


def plant(*, raw: object, note: str) -> PolicyVersion | None:
    """Save a first policy for everybody, unless there is any policy already. For set-ups."""
    draft = Draft(None, raw, settings.AGENTOPS_UNRULED, note, 0)
    policy = read_draft(draft)
    with transaction.atomic():
        _hold()
        if PolicyVersion.objects.exists():
            return None
        return _add(None, draft, policy, by="set-up", wider=[], agreed_with=None)


def somebody_else(user: User) -> bool:
    """Whether another person could agree to a change of theirs."""
    people = User.objects.filter(is_active=True, is_service=False).exclude(pk=user.pk)
    trusted = people.filter(groups__name=Role.ADMINISTRATOR) | people.filter(is_superuser=True)
    return trusted.exists()


def _check_moment(draft: Draft, policy: Policy, now: PolicyVersion | None) -> None:
    if (now.number if now else 0) != draft.based_on:
        raise PolicyMoved
    if open_proposal(draft.team) is not None:
        raise ProposalOpen
    if now is not None and (_specs(recalled(now)), now.unmatched) == (
        _specs(policy),
        draft.unmatched,
    ):
        raise PolicyUnchanged


def _propose(actor: Actor, draft: Draft, wider: list[str]) -> PolicyProposal:
    proposal = PolicyProposal.objects.create(
        team=draft.team,
        based_on=draft.based_on,
        rules=draft.rules,
        unmatched=draft.unmatched,
        note=draft.note.strip(),
        widens=wider,
        made_by=actor.user,
    )
    _record("policy.proposed", actor.name, actor.user, draft.team, note=proposal.note, widens=wider)
    return proposal


def _add(
    made_by: User | None,
    draft: Draft,
    policy: Policy,
    *,
    by: str,
    wider: list[str],
    agreed_with: Actor | None,
) -> PolicyVersion:
    now = newest(draft.team)
    earlier = recalled(now) if now else unruled(draft.team)
    made = PolicyVersion.objects.create(
        team=draft.team,
        number=draft.based_on + 1,
        rules=[rule.spec.brief() for rule in policy.rules],
        unmatched=draft.unmatched,
        note=draft.note.strip(),
        made_by=made_by,
    )
    _record(
        "policy.saved",
        by,
        made_by,
        draft.team,
        number=made.number,
        note=made.note,
        changes=comparing.difference(earlier, policy)[:_SHOWN_LINES],
        widens=wider,
        agreed_with=agreed_with.name if agreed_with else None,
    )
    return made


def _still_open(proposal: PolicyProposal) -> PolicyProposal:
    held = PolicyProposal.objects.select_for_update().get(pk=proposal.pk)
    if held.closed_at is not None:
        raise PolicyMoved
    return held


def _close(held: PolicyProposal, actor: Actor, became: PolicyVersion | None) -> None:
    fields = {"closed_at": Now(), "closed_by": actor.user, "became": became}
    PolicyProposal.objects.filter(pk=held.pk).update(**fields)


def _record(event: str, by: str, person: User | None, team: Team | None, **detail: object) -> None:
    layer_name = team.name if team else "everybody"
    Record.objects.create(event=event, by=by, person=person, detail={"layer": layer_name, **detail})


def _specs(policy: Policy) -> list[rules.Spec]:
    return [rule.spec for rule in policy.rules]


@lru_cache(maxsize=64)
def _recalled(pk: int) -> Policy:
    return _read(PolicyVersion.objects.get(pk=pk))


def _read(version: PolicyVersion) -> Policy:
    return rules.recall(version.rules, unmatched=version.unmatched, version=version.pk)


def _hold() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
