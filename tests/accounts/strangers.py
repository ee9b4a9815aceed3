"""Two people in two teams, with something of everything, and what betrays the one to the other."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.apps import apps
from django.db.models import Model
from django.test import Client
from django.utils import timezone

from agentops.accounts import delegations
from agentops.accounts.actors import Actor
from agentops.accounts.models import ApiToken, Team, User
from agentops.accounts.roles import Role
from approvals.models import Grant, PolicyVersion
from runs import conversations, memories
from runs.models import Run, SavedView
from tests import factories
from tests.approvals import making
from tests.people import person, token

# Everything but looking after the whole installation.
ROLES = set(Role) - {Role.ADMINISTRATOR, Role.AUDITOR}
_ID = re.compile(r"\b(?:run|conv|mem|tok|dlg|bulk|view|req|grt)_[0-9a-z]{20}\b")


@dataclass
class Household:
    """A person and all that is theirs."""

    person: User
    team: Team
    canary: str
    secret: str = ""
    ids: set[str] = field(default_factory=set)
    # What is counted from one, by what stands before the number in addresses.
    numbers: dict[str, str] = field(default_factory=dict)

    @property
    def marks(self) -> set[str]:
        """What nobody else may ever be shown."""
        return {*self.ids, self.canary}

    def session(self) -> Client:
        """A browser in which they signed in a moment ago, so that nothing asks once more."""
        client = Client()
        client.force_login(self.person)
        session = client.session
        session["account_authentication_methods_user"] = str(self.person.pk)
        session["account_authentication_methods"] = [
            {"method": "password", "at": time.time(), "reauthenticated": True}
        ]
        session.save()
        return client

    def app(self) -> Client:
        """A program with a token of theirs for everything."""
        return Client(headers={"authorization": f"Bearer {self.secret}"})


def household(name: str) -> Household:
    """A person in a team of their own, with runs that differ, a conversation, tokens, a view."""
    canary = f"canary of {name}"
    team = Team.objects.create(name=f"{canary}: team")
    owner = person(name, *ROLES, team=team)
    made = Household(owner, team, canary, token(owner))
    for run in (factories.uncertain(owner), factories.running(owner), factories.succeeded(owner)):
        Run.objects.filter(pk=run.pk).update(title=f"{canary}: {run.title}", team=team)
    talk = conversations.begin(
        agent="anything", owner=owner, started_by=name, title=canary
    ).conversation
    conversations.post_message(conversation=talk, content=canary, sender=name)
    for scope, named in (("person", ""), ("team", team.name)):
        space = memories.namespace(actor=Actor(owner), scope=scope, team=named)
        memories.add(space=space, key=canary, value=canary, by=name)
    _asked(owner, team, canary)
    service = person(f"service-of-{name}")
    User.objects.filter(pk=service.pk).update(is_service=True)
    delegations.give(person=owner, service=service.username, days=1, now=timezone.now())
    ApiToken.objects.filter(user=owner).update(name=canary, expiry=timezone.now() + timedelta(1))
    made.ids = set(ids_of(owner))
    made.numbers = _numbered(owner, canary) | _ruled(team, canary)
    return made


def _asked(owner: User, team: Team, canary: str) -> None:
    """What waits for people about a run of theirs, and a grant for it."""
    run = making.waiting_run(owner, team=team, title=canary)
    asked = making.approval(run, title=canary, arguments={"to": canary, "amount": "1.50"})
    making.question(run, title=canary)
    Grant.objects.create(
        tool="refund", tool_digest="", agent=run.agent, agent_version="", owner=owner, team=team,
        when=f'arguments.to == "{canary}"', issued_by=owner, issued_from=asked,
        expires_at=timezone.now() + timedelta(hours=1),
    )  # fmt: skip


def security_key(of: Household) -> None:
    """Give them one; nobody can sign in with it."""
    key = Authenticator.objects.create(
        user=of.person, type=Authenticator.Type.WEBAUTHN, data={"name": of.canary}
    )
    of.numbers["keys"] = str(key.pk)


def _numbered(owner: User, canary: str) -> dict[str, str]:
    """The person, a session, and a view of the list that they kept."""
    session = UserSession.objects.create(
        user=owner, ip="203.0.113.7", session_key=f"key-{owner.pk}", user_agent=canary
    )
    view = SavedView.objects.create(owner=owner, name=canary, query="q=x")
    return {"members": str(owner.pk), "sessions": str(session.pk), "views": str(view.pk)}


def _ruled(team: Team, canary: str) -> dict[str, str]:
    """A version of the team's policy."""
    rules = [{"id": "no", "effect": "deny", "title": canary}]
    version = PolicyVersion.objects.create(team=team, number=1, rules=rules, note=canary)
    return {"versions": str(version.pk)}


def ids_of(owner: User) -> Iterator[str]:
    """The public ids of all that belongs to a person, whatever models there are."""
    for model in apps.get_models():
        names = {f.name for f in model._meta.get_fields()}
        if "public_id" in names:
            for field_name in names & {"owner", "user", "person"}:
                yield from _public_ids(model, field_name, owner)


def _public_ids(model: type[Model], field_name: str, owner: User) -> Iterator[str]:
    rows = model._default_manager.filter(**{field_name: owner})
    yield from rows.values_list("public_id", flat=True)


def found_in(text: str) -> set[str]:
    """The public ids that a page or an answer shows."""
    return set(_ID.findall(text))
