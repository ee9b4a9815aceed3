"""What comes if nobody answers, on the page of a request, and in the admin."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from agentops.accounts.models import Team, User
from approvals import escalation
from approvals.models import Chain, Notice, Request, Rota
from runs.models import OutboxMail
from tests.approvals import factories, making


@pytest.fixture
def asked(ana: User) -> Request:
    """A request in ana's run; ada may decide it, and eve is next."""
    team = Team.objects.create(name="finance")
    for name in ("ada", "eve"):
        person = making.approver(name, team)
        User.objects.filter(pk=person.pk).update(email=f"{name}@example.org")
    ana.teams.add(team)
    steps: list[Any] = [{"tell": [{"person": name}], "wait_minutes": 30} for name in ("ada", "eve")]
    Chain.objects.create(name="usual", is_usual=True).versions.create(
        number=1, steps=[*steps, {"then": "reject"}]
    )
    request = factories.approval(ana, team=team)
    escalation.sweep()
    return request


def text(client: Client, asked: Request) -> str:
    body = client.get(f"/inbox/{asked.public_id}/").content.decode()
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


def signed_in(name: str) -> Client:
    client = Client()
    client.force_login(User.objects.get(username=name))
    return client


def test_it_says_who_was_told_and_who_is_next(page: Client, asked: Request) -> None:
    told = text(page, asked)
    assert "Told ada" in told
    assert re.search(r"If nobody answers .*: tell eve\. Tell them now", told)


def test_the_next_are_told_now_and_the_end_is_not_hurried(page: Client, asked: Request) -> None:
    at = f"/inbox/{asked.public_id}/escalate/"
    told = page.post(at, follow=True).content.decode()
    assert "The next people are told now." in told
    escalation.sweep()
    assert OutboxMail.objects.filter(address="eve@example.org").count() == 1
    assert "nobody decided: reject it. Tell" not in text(page, asked)
    refused = page.post(at, follow=True).content.decode()
    assert "Everybody of its chain has been told." in refused


def test_who_looks_is_named_and_may_be_passed_over(page: Client, asked: Request) -> None:
    signed_in("ada").post(f"/inbox/{asked.public_id}/look/")
    assert "ada is looking, so nobody else is told. Tell them now" in text(page, asked)
    page.post(f"/inbox/{asked.public_id}/escalate/")
    asked.refresh_from_db()
    assert asked.acknowledged_by is None


def test_strangers_and_wrong_methods(page: Client, asked: Request, stranger: User) -> None:
    at = f"/inbox/{asked.public_id}/escalate/"
    assert signed_in(stranger.username).post(at).status_code == 404
    assert Client().post(at).status_code == 302
    assert page.get(at).status_code == 405


@pytest.mark.parametrize(
    "name", ["chainversion", "rota", "notice", "preference"], ids=lambda name: name
)
def test_the_admin_shows_and_changes_nothing(operator: User, asked: Request, name: str) -> None:
    Rota.objects.create(name="on-call", plan={"turns": ["ada"]})
    client = Client()
    client.force_login(operator)
    assert client.get(f"/admin/approvals/{name}/").status_code == 200
    assert client.get(f"/admin/approvals/{name}/add/").status_code == 403
    assert signed_in("ana").get(f"/admin/approvals/{name}/").status_code in {302, 403}


def test_the_admin_shows_notices_and_mail(operator: User, asked: Request) -> None:
    client = Client()
    client.force_login(operator)
    notice = Notice.objects.get()
    assert asked.public_id in client.get("/admin/approvals/notice/").content.decode()
    shown = client.get(f"/admin/approvals/notice/{notice.pk}/change/").content.decode()
    assert 'name="_save"' not in shown
    OutboxMail.objects.update(failed_at=timezone.now(), due_at=None, error="Fatal: 550")
    assert "Fatal: 550" in client.get("/admin/runs/outboxmail/").content.decode()
