"""The settings of escalation: chains and rotas by form, versions, who would be asked now."""

from __future__ import annotations

import re
import time
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from agentops.accounts.models import User
from agentops.accounts.roles import Role
from approvals import auditing, escalation
from approvals.models import Chain, ChainVersion, Preference, Record, Request, Rota
from runs.models import Duty, OutboxMail
from tests import people
from tests.approvals import making

HERE = "/settings/escalation/"
ROTA = {
    "name": "on-call", "turns": "ada", "each_days": 7, "begins": "2026-01-05T09:00",
    "zone": "Europe/Berlin", "days": [0, 1, 2, 3, 4, 5, 6],
}  # fmt: skip


@pytest.fixture
def opal(operator: User) -> Client:
    """A browser in which an administrator signed in a moment ago."""
    client = Client()
    client.force_login(operator)
    session = client.session
    session["account_authentication_methods_user"] = str(operator.pk)
    session["account_authentication_methods"] = [
        {"method": "password", "at": time.time(), "reauthenticated": True}
    ]
    session.save()
    return client


@pytest.fixture
def ada(db: None) -> User:
    made = making.approver("ada")
    User.objects.filter(pk=made.pk).update(email="ada@example.org")
    return made


def form(*tells: str, **said: Any) -> dict[str, Any]:
    rows = [*tells, ""]
    known: dict[str, Any] = {"name": "usual", "is_usual": "on", "again": 0, "then": ""}
    known |= {"step-TOTAL_FORMS": len(rows), "step-INITIAL_FORMS": 0}
    for number, tell in enumerate(rows):
        known[f"step-{number}-tell"] = tell
        known |= {f"step-{number}-wait_minutes": 15, f"step-{number}-times": 1}
    return known | said


def text(answer: Any) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.content.decode())).split())


def test_a_chain_is_made_and_changed_in_versions(opal: Client, ada: User) -> None:
    made = opal.post(f"{HERE}chains/new/", form("deciders", "person ada, role operator"))
    assert made.status_code == 302
    chain = Chain.objects.get()
    assert chain.is_usual
    version = chain.versions.get()
    assert version.steps == [
        {"tell": [{"deciders": True}], "wait_minutes": 15, "times": 1},
        {"tell": [{"person": "ada"}, {"role": "operator"}], "wait_minutes": 15, "times": 1},
    ]
    changed = form("person ada", again=2, then="reject", note="too many mails")
    changed["step-0-urgent"] = "on"
    opal.post(f"{HERE}chains/{chain.pk}/", changed)
    newest = escalation.newest(chain)
    assert newest is not None
    assert (newest.number, newest.note) == (2, "too many mails")
    assert newest.steps == [
        {"tell": [{"person": "ada"}], "wait_minutes": 15, "times": 1, "urgent": True},
        {"again": 2}, {"then": "reject"},
    ]  # fmt: skip
    shown = opal.get(f"{HERE}chains/{chain.pk}/").content.decode()
    assert 'value="person ada"' in shown
    opal.post(f"{HERE}chains/{chain.pk}/back/1/")
    newest = escalation.newest(chain)
    assert newest is not None
    assert (newest.number, newest.steps) == (3, version.steps)
    assert Record.objects.filter(event="chain.saved", by="opal").count() == 3


@pytest.mark.parametrize(
    ("tell", "said", "told"),
    [
        ("person nobody", {}, "step 1: there is no person called nobody"),
        ("rota nights", {}, "step 1: there is no rota called nights"),
        ("role king", {}, "step 1: there is no role called king"),
        ("everybody", {}, "“everybody” is no receiver. Write deciders"),
        ("", {"then": "reject"}, "then needs a step above it"),
        ("deciders", {"again": 99}, "less than or equal to 10"),
        ("deciders", {"step-0-wait_minutes": 0}, "greater than or equal to 1"),
    ],
)
def test_what_would_tell_nobody_is_refused(
    opal: Client, tell: str, said: dict[str, Any], told: str
) -> None:
    answer = opal.post(f"{HERE}chains/new/", form(tell, **said))
    assert answer.status_code == 422
    assert told in text(answer)
    assert not ChainVersion.objects.exists()


def test_it_says_who_would_be_asked_now(opal: Client, ada: User) -> None:
    making.approver("bo")
    eve = making.approver("eve")
    User.objects.filter(pk=eve.pk).update(email="eve@example.org")
    Preference.objects.create(person=eve, switched_off=["asked"])
    assert "at once tell everybody who may decide ada, bo (no mail address) , eve (switched off)" \
        in text(opal.get(HERE))  # fmt: skip
    opal.post(f"{HERE}chains/new/", form("deciders", "team empty"))
    making.team("empty")
    opal.post(f"{HERE}chains/new/", form("deciders", "team empty", then="reject"))
    told = text(opal.get(HERE))
    assert "15m 00s tell team empty nobody team empty is nobody now" in told
    assert "30m 00s nobody decided: reject it –" in told


def test_only_people_of_the_team_are_asked_of_a_runs_of_it(opal: Client, ada: User) -> None:
    finance = making.team("finance")
    carl = making.approver("carl", finance)
    User.objects.filter(pk=carl.pk).update(email="carl@example.org")
    told = text(opal.get(f"{HERE}?team=finance"))
    assert "everybody who may decide carl" in told


def test_a_rota_is_made_changed_and_kept_while_a_chain_tells_it(opal: Client, ada: User) -> None:
    said = ROTA | {"hours_from": "08:00", "hours_to": "18:00", "holidays": "2026-12-25",
                   "instead": "ada 2026-07-01T00:00 2026-07-08T00:00"}  # fmt: skip
    assert opal.post(f"{HERE}rotas/new/", said).status_code == 302
    rota = Rota.objects.get()
    assert rota.plan["hours"] == [{"days": [0, 1, 2, 3, 4, 5, 6], "from": "08:00", "to": "18:00"}]
    assert "2026-12-25" in opal.get(f"{HERE}rotas/{rota.pk}/").content.decode()
    opal.post(f"{HERE}chains/new/", form("rota on-call"))
    refused = opal.post(f"{HERE}rotas/{rota.pk}/drop/", follow=True)
    assert "chain usual tells it; change that first" in text(refused)
    opal.post(f"{HERE}chains/{Chain.objects.get().pk}/drop/")
    opal.post(f"{HERE}rotas/{rota.pk}/drop/")
    assert not Rota.objects.exists()


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"turns": "nobody"}, "turns: there is no person called nobody"),
        ({"zone": "Berlin"}, "zone: “Berlin” is none"),
        ({"begins": "Monday"}, "from: a date and time is needed"),
        ({"holidays": "Christmas"}, "holidays: dates are needed"),
        ({"instead": "ada tomorrow"}, "instead: person, from and to are needed"),
    ],
)
def test_a_rota_that_cannot_be_is_refused(
    opal: Client, ada: User, said: dict[str, Any], told: str
) -> None:
    answer = opal.post(f"{HERE}rotas/new/", ROTA | said)
    assert answer.status_code == 422
    assert told in text(answer)


def test_others_find_nothing_here(page: Client, ada: User) -> None:
    chain = Chain.objects.create(name="x")
    rota = Rota.objects.create(name="x", plan={"turns": ["ada"]})
    for at in ("", "chains/new/", f"chains/{chain.pk}/", "rotas/new/", f"rotas/{rota.pk}/"):
        assert page.get(f"{HERE}{at}").status_code == 404
        assert page.post(f"{HERE}{at}").status_code in {404, 405}
    for at in (f"chains/{chain.pk}/drop/", f"rotas/{rota.pk}/drop/", f"chains/{chain.pk}/back/1/"):
        assert page.post(f"{HERE}{at}").status_code == 404
    assert Chain.objects.exists()
    assert 'href="/settings/escalation/"' not in page.get("/settings/profile/").content.decode()


def test_a_broken_plan_is_shown_as_such(opal: Client) -> None:
    Rota.objects.create(name="odd", plan={"turns": []})
    chain = Chain.objects.create(name="odd chain")
    ChainVersion.objects.create(chain=chain, number=1, steps=[{"tell": 3}])
    told = text(opal.get(HERE))
    assert "turns: from 1 to 50" in told
    assert "step 1: tell needs at least one receiver" in told


# -- the auditor ---------------------------------------------------------------------------------


def wrong() -> list[str]:
    return [sentence.text for sentence in auditing.wrong(timezone.now())]


def test_nothing_is_wrong_with_nothing(db: None) -> None:
    assert wrong() == []


def test_overdue_steps_are_told_on_the_system_page(opal: Client, ada: User) -> None:
    asked = making.approval()
    Request.objects.filter(pk=asked.pk).update(created_at=timezone.now() - timedelta(minutes=9))
    assert "Escalation is overdue: 1 request waits to be told of, the oldest for 9m" in \
        text(opal.get("/system/"))  # fmt: skip
    escalation.sweep()
    assert wrong() == []
    Request.objects.update(next_step_at=timezone.now() - timedelta(minutes=3))
    assert wrong()[0].startswith("Escalation is overdue: 1 request waits")


def test_requests_of_which_nobody_could_be_told_are_red(db: None) -> None:
    making.approver("ada")
    asked = making.approval()
    Chain.objects.create(name="short", is_usual=True).versions.create(
        number=1, steps=[{"tell": [{"person": "ada"}]}]
    )
    escalation.sweep()
    assert "nobody could be told" in wrong()[0]
    Request.objects.filter(pk=asked.pk).update(acknowledged_at=timezone.now())
    assert wrong() == []


def test_duties_that_fail_or_fall_silent_are_red(db: None) -> None:
    name = "approvals.escalation.sweep"
    Duty.objects.create(name=name, done_at=timezone.now(), error="ValueError: no zone")
    assert wrong() == [f"The duty {name} fails: ValueError: no zone"]
    Duty.objects.update(error="", done_at=timezone.now() - timedelta(minutes=5))
    (told,) = wrong()
    assert told.startswith(f"The duty {name} was last done 5m")


def test_mail_that_was_given_up_is_red_and_can_be_tried_again(opal: Client) -> None:
    OutboxMail.objects.create(
        dedup_key="x", event="x", address="a@example.org", subject="About a refund", text="x",
        failed_at=timezone.now(), due_at=None, error="Fatal: 550 no such mailbox",
    )  # fmt: skip
    assert "1 message was given up: Fatal: 550 no such mailbox" in text(opal.get("/system/"))
    assert "About a refund a@example.org given up" in text(opal.get("/settings/mail/"))
    opal.post("/settings/mail/again/")
    row = OutboxMail.objects.get()
    assert row.failed_at is None
    assert wrong() == []
    OutboxMail.objects.update(created_at=timezone.now() - timedelta(minutes=6))
    assert wrong() == ["1 message waits for more than five minutes to be sent: "
                       "Fatal: 550 no such mailbox"]  # fmt: skip


def test_only_administrators_try_mail_again(page: Client) -> None:
    assert page.post("/settings/mail/again/").status_code == 404
    assert Client().post("/settings/mail/again/").status_code == 302


def test_a_viewer_is_no_administrator(db: None) -> None:
    client = Client()
    client.force_login(people.person("vera", Role.VIEWER))
    assert client.get(HERE).status_code == 404
