"""The rules in force, as a worker knows them: read each second, judged in memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django.conf import settings

from agentops.accounts.models import User
from agentops.execution.port import Action
from agentops.sdk.catalog import catalog
from agentops.sdk.errors import UnknownAgent
from approvals import envelope, rules
from approvals.rules import Facts, Policy, Ruling

Query = Callable[..., list[tuple[Any, ...]]]
MOST_REMEMBERED = 10_000
# How long the name of a person is believed.
NAMES_SECONDS = 60.0

_NEWEST = """
SELECT DISTINCT ON (team_id) team_id, id FROM policy_version ORDER BY team_id, number DESC
"""
_RULES = "SELECT id, rules, unmatched FROM policy_version WHERE id = ANY($1::bigint[])"
_TEAMS = "SELECT id, name FROM accounts_team"


class Known:
    """Policies, and the names their rules speak of."""

    def __init__(self) -> None:
        self._versions: dict[int | None, int] = {}
        self._policies: dict[int | None, Policy] = {}
        self._people: dict[int, str] = {}
        self._names_until = 0.0
        self._teams: dict[int, str] = {}
        self._remembered: dict[tuple[object, ...], Ruling | None] = {}

    def refresh(self, query: Query) -> None:
        """Read what changed."""
        versions: dict[int | None, int] = dict(query(_NEWEST))
        teams: dict[int, str] = dict(query(_TEAMS))
        if time.monotonic() >= self._names_until:
            self._people, self._remembered = {}, {}
            self._names_until = time.monotonic() + NAMES_SECONDS
        if (versions, teams) == (self._versions, self._teams):
            return
        rows = query(_RULES, list(versions.values()))
        read = {
            pk: rules.recall(raw, unmatched=unmatched, version=pk) for pk, raw, unmatched in rows
        }
        self._policies = {team: read[pk] for team, pk in versions.items()}
        self._versions, self._teams, self._remembered = versions, teams, {}

    def layers(self, team: int | None) -> list[Policy]:
        """What holds for runs of a team: the rules of everybody, and its own."""
        everybody = self._policies.get(None) or Policy(unmatched=settings.AGENTOPS_UNRULED)
        own = self._policies.get(team) if team is not None else None
        return [everybody] if own is None else [everybody, own]

    def ruling(self, action: Action) -> Ruling | None:
        """What the rules come to; None while the name of the person is not known here."""
        claim, work = action.claim, action.work
        declared = work.tool.approval if work.tool else "policy"
        place = (claim.agent, work.name, work.effect, declared, claim.owner_id, claim.team_id)
        known = self._remembered.get(place)
        if known is not None:
            return known
        layers = self.layers(claim.team_id)
        if claim.owner_id and claim.owner_id not in self._people and _names_people(layers):
            return None
        facts = self._facts(action)
        if any(rule.condition and rule.speaks_of(facts) for one in layers for rule in one.rules):
            return rules.decide(layers, self._facts(action, _arguments(action)))
        if len(self._remembered) >= MOST_REMEMBERED:
            self._remembered.clear()
        self._remembered[place] = made = rules.decide(layers, facts)
        return made

    def learn(self, action: Action) -> None:
        """Read the name of whom the run is for. In a thread, with Django's connection."""
        owner = action.claim.owner_id
        if owner is not None:
            self._people[owner] = principal(owner)

    def _facts(self, action: Action, arguments: Mapping[str, object] | None = None) -> Facts:
        claim, work = action.claim, action.work
        return Facts(
            agent=claim.agent,
            agent_version=version(action),
            tool=work.name,
            effect=str(work.effect),
            declared=work.tool.approval if work.tool else "policy",
            person=self._people.get(claim.owner_id or 0, ""),
            team=self._teams.get(claim.team_id or 0, ""),
            arguments=arguments or {},
        )


def version(action: Action) -> str:
    """The version of the agent that runs here."""
    try:
        return catalog().agent(action.claim.agent).version
    except UnknownAgent:
        return action.claim.agent_version


def principal(owner: int | None) -> str:
    """The name of whom a run is for, as the database has it."""
    if owner is None:
        return ""
    return User.objects.filter(pk=owner).values_list("username", flat=True).first() or ""


def _arguments(action: Action) -> dict[str, object]:
    """What conditions are asked about. Raises Unfit."""
    return envelope.frozen_arguments(action.work)[0]


def _names_people(layers: Iterable[Policy]) -> bool:
    specs = (rule.spec for policy in layers for rule in policy.rules)
    return any(spec.people or "person" in spec.when for spec in specs)
