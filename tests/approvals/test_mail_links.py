"""T11: whatever opens the links of our mail, by whatever method and program, decides nothing."""

from __future__ import annotations

import re
import time
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.apps import apps
from django.db import transaction
from django.db.models import Model
from django.test import Client
from django.utils import timezone

from agentops.accounts.actors import Actor
from agentops.accounts.models import User
from agentops.accounts.roles import Role
from agentops.launcher.home import PROJECT
from approvals import asking_back, escalation, messages, moves, preferences
from approvals.models import Chain, OnExpiry, Request, Risk, State, Vote
from runs.models import Inbox, OutboxMail
from tests import people
from tests.approvals import making

pytestmark = pytest.mark.django_db
BASE = "https://agents.example.org"
_URL = re.compile(r"https?://[^\s\"'<>]+")
# What opens links that nobody clicked: scanners of mail, previews of chats, browsers that guess.
AGENTS = {
    "a mail gateway": {"user-agent": "Mozilla/5.0 (compatible; ms-office; MSOffice 16)"},
    "a scanner": {"user-agent": "Mozilla/5.0 (compatible; BarracudaCentral; SafeLinks)"},
    "a chat's preview": {
        "user-agent": "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)"
    },
    "another's preview": {"user-agent": "facebookexternalhit/1.1", "accept": "*/*"},
    "a search engine": {"user-agent": "Mozilla/5.0 (compatible; Googlebot/2.1)"},
    "a tool": {"user-agent": "curl/8.5.0"},
    "a browser that guesses": {"sec-purpose": "prefetch;prerender", "purpose": "prefetch"},
    "a region of a page": {"hx-request": "true", "hx-target": "panel"},
    "nobody": {"user-agent": ""},
}


@pytest.fixture(autouse=True)
def _public(settings: Any) -> None:
    settings.AGENTOPS_PUBLIC_URL = BASE
    settings.ALLOWED_HOSTS = ["agents.example.org", "testserver"]


@pytest.fixture
def everybody(db: None) -> list[User]:
    """People of every trust, all with an address, who are told of everything."""
    made = [making.approver(name) for name in ("ada", "bo")]
    made += [people.administrator("opal"), people.person("oskar", Role.OPERATOR)]
    for user in made:
        user.email = f"{user.username}@example.org"
        user.save(update_fields=["email"])
    return made


@pytest.fixture
def waiting(everybody: list[User]) -> list[Request]:
    """Requests of every kind and risk, also one that passes by itself when its time is over."""
    owner = people.person("olga", Role.OPERATOR)
    owner.email = "olga@example.org"
    owner.save(update_fields=["email"])
    made = [making.approval(making.waiting_run(owner), risk=risk) for risk in Risk]
    made.append(making.approval(
        making.waiting_run(owner), risk=Risk.LOW, on_expiry=OnExpiry.APPROVE, undo_seconds=30
    ))  # fmt: skip
    made += [making.question(making.waiting_run(owner)), making.attention()]
    return made


def told() -> list[OutboxMail]:
    """All mail that there can be about them, of every event."""
    Chain.objects.create(name="usual", is_usual=True).versions.create(
        number=1,
        steps=[{"tell": [{"deciders": True}], "times": 2}, {"tell": [{"person": "opal"}]}],
    )
    now = timezone.now()
    escalation.begin(now=now)
    for _ in range(3):
        escalation.advance(now=now)
        now += timedelta(hours=1)
    mine = Request.objects.filter(kind="approval").earliest("pk")
    for who, words in (("ada", "Which order is it?"), ("olga", "The one of May.")):
        actor = Actor(User.objects.get(username=who))
        asking_back.say(request=mine, actor=actor, text=words)
    no = making.approval(making.waiting_run(User.objects.get(username="olga")))
    with transaction.atomic():
        moves.move(moves.locked(no.pk), State.REJECTED, moves.By("ada"))
    return list(OutboxMail.objects.all())


def links(mails: list[OutboxMail]) -> set[str]:
    """Every address in both bodies."""
    bodies = [body for mail in mails for body in (mail.text, unescape(mail.html))]
    return {url.rstrip(".,)") for body in bodies for url in _URL.findall(body)}


def world() -> dict[str, list[Any]]:
    """Every row that a decision would change or leave."""
    rows: list[type[Model]] = [*apps.get_app_config("approvals").get_models(), Inbox]
    return {
        model.__name__: list(model._default_manager.order_by("pk").values_list()) for model in rows
    }


def browser(user: User | None) -> Client:
    """Somebody's own browser, in which they said who they are a moment ago; or nobody's."""
    client = Client()
    if user is not None:
        client.force_login(user)
        session = client.session
        session["account_authentication_methods_user"] = str(user.pk)
        session["account_authentication_methods"] = [
            {"method": "password", "at": time.time(), "reauthenticated": True}
        ]
        session.save()
    return client


@pytest.mark.timeout(400)
def test_every_url_of_every_mail_leaves_the_request_pending(
    waiting: list[Request], everybody: list[User]
) -> None:
    found = links(told())
    assert {f"{BASE}/inbox/{request.public_id}/" for request in waiting} <= found
    before = world()
    for user in (None, *everybody, User.objects.get(username="olga")):
        client = browser(user)
        # Everything there is knocks as nobody and as somebody who could decide.
        thorough = user is None or user.username == "ada"
        for url in sorted(found):
            for headers in list(AGENTS.values())[: None if thorough else 1]:
                _open(client, url, headers)
    assert world() == before
    assert not Vote.objects.exists()
    states = Request.objects.filter(pk__in=[one.pk for one in waiting]).values_list("state")
    assert set(states) == {(State.PENDING,)}


def _open(client: Client, url: str, headers: dict[str, str]) -> None:
    """As programs do: with both methods, with what the address may be extended by, following."""
    at = urlsplit(url)
    tempting = f"{at.path}?verdict=approve&decision=approve&confirm=1"
    for path in [at.path, tempting] if headers is AGENTS["a mail gateway"] else [at.path]:
        for method in ("get", "head"):
            answer = getattr(client, method)(
                path, headers=headers, secure=True, follow=True, SERVER_NAME=at.hostname
            )
            assert answer.status_code in {200, 401, 403, 404}, f"{method} {path}"


@pytest.mark.parametrize("word", ["decide", "withdraw", "revoke", "snooze", "look", "answer"])
def test_what_changes_something_takes_no_get(waiting: list[Request], word: str) -> None:
    before = world()
    client = browser(User.objects.get(username="ada"))
    for request in waiting:
        for method in ("get", "head", "options"):
            getattr(client, method)(f"/inbox/{request.public_id}/{word}/?verdict=approve")
    assert world() == before


def test_links_carry_an_opaque_id_and_no_secret(waiting: list[Request]) -> None:
    for url in links(told()):
        at = urlsplit(url)
        assert at.netloc == "agents.example.org"
        assert (at.query, at.fragment) == ("", "")
        assert re.fullmatch(r"/inbox/req_[0-9a-z]{20}/|/settings/notifications/", at.path)


def test_mail_says_nothing_that_a_model_or_a_customer_wrote(waiting: list[Request]) -> None:
    for mail in told():
        for body in (mail.subject, mail.text, mail.html):
            for written in ("240.00", "4411", "arrived broken", "Which account", "of May"):
                assert written not in body


def test_names_are_escaped_and_bent_no_header(waiting: list[Request]) -> None:
    Request.objects.update(agent="<b>x</b>\r\nBcc: all@example.org", name="<script>1</script>")
    for mail in told():
        assert "<script" not in mail.html
        assert "<b>" not in mail.html
        assert "\n" not in mail.subject


def test_every_template_of_mail_is_looked_at(waiting: list[Request], db: None) -> None:
    """Whoever adds mail adds it here."""
    events = {mail.event for mail in told()}
    assert events == {f"request.{event}" for event in preferences.EVENTS}
    known = {path.stem for path in Path(PROJECT / "templates/approvals/mail").iterdir()}
    assert known == {"notice", "test"}
    assert set(_URL.findall(messages.test().text)) == {f"{BASE}/settings/notifications/"}
