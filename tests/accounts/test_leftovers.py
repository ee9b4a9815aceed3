"""What is over is forgotten, and nothing else."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from allauth.usersessions.models import UserSession
from axes.models import AccessLog
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from agentops.accounts import delegations, leftovers, tokens
from agentops.accounts.access import Actor
from agentops.accounts.models import ApiToken, Delegation, User
from agentops.accounts.roles import Scope
from runs import worker
from tests.people import person

pytestmark = pytest.mark.django_db
DAYS = 90


def after(**passed: float) -> None:
    leftovers.forget(now=timezone.now() + timedelta(**passed), days=DAYS)


def signed_in(name: str = "ana") -> Client:
    client = Client()
    client.post(reverse("login"), {"username": name, "password": "x"})
    return client


@pytest.fixture
def ana(db: None) -> User:
    return person("ana")


def test_a_session_that_is_over_is_forgotten_and_one_that_lives_is_not(ana: User) -> None:
    client = signed_in()
    after(hours=11)
    assert client.get(reverse("profile")).status_code == 200
    after(hours=13)
    assert not Session.objects.exists()
    assert not UserSession.objects.exists()


def test_a_session_that_was_listed_this_moment_stays_listed(ana: User) -> None:
    UserSession.objects.create(user=ana, ip="::1", session_key="not-saved-yet", user_agent="")
    after(minutes=1)
    assert UserSession.objects.exists()


def test_tokens_of_browsers_go_at_their_end_and_others_are_seen_for_a_while(ana: User) -> None:
    now = timezone.now()
    tokens.make_token(user=ana, made_by="ana", name="short", expires_at=now + timedelta(hours=1))
    tokens.make_token(user=ana, made_by="ana", name="for ever")
    opened: Any = {"opens": ["run_x"], "scopes": [Scope.RUNS_READ], "now": now}
    tokens.make_browser_token(actor=Actor(ana), **opened)
    after(minutes=10)
    assert ApiToken.objects.count() == 3
    after(hours=2)
    assert set(ApiToken.objects.values_list("name", flat=True)) == {"short", "for ever"}
    after(days=DAYS + 1)
    assert list(ApiToken.objects.values_list("name", flat=True)) == ["for ever"]


def test_delegations_and_sign_ins_are_seen_for_a_while(ana: User) -> None:
    User.objects.filter(pk=person("erp").pk).update(is_service=True)
    delegations.give(person=ana, service="erp", days=1, now=timezone.now())
    signed_in()
    after(days=2)
    assert Delegation.objects.exists()
    assert AccessLog.objects.exists()
    after(days=DAYS + 2)
    assert not Delegation.objects.exists()
    assert not AccessLog.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_the_sweep_of_a_worker_does_it(ana: User, monkeypatch: pytest.MonkeyPatch) -> None:
    signed_in()
    Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))
    monkeypatch.setattr(worker, "_rarely", lambda: True)
    worker.sweep()
    assert not Session.objects.exists()
