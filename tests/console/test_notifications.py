"""What one gets mail about: one's own word, quiet hours, and a test that mail arrives."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db.models import F
from django.test import Client

from agentops.accounts.models import User
from agentops.mail import backend, maildir
from approvals import preferences
from approvals.models import Preference
from runs import outbox
from runs.models import OutboxMail

ALL = {"wants": list(preferences.EVENTS)}
HERE = "/settings/notifications/"


@pytest.fixture(autouse=True)
def _kept(settings: Any, tmp_path: Path) -> None:
    settings.EMAIL_BACKEND = "agentops.mail.backend.EmailBackend"
    settings.AGENTOPS_DATA = tmp_path


@pytest.fixture
def ana(ana: User) -> User:
    User.objects.filter(pk=ana.pk).update(email="ana@example.org")
    ana.refresh_from_db()
    return ana


def test_what_is_wanted_is_kept_and_shown_again(page: Client, ana: User) -> None:
    said = {"wants": ["asked"], "quiet_from": "22:00", "quiet_to": "07:00", "zone": "Asia/Tokyo"}
    assert page.post(HERE, said).status_code == 302
    row = Preference.objects.get(person=ana)
    assert row.switched_off == sorted(set(preferences.EVENTS) - {"asked"})
    assert (row.quiet, row.zone) == ({"from": "22:00", "to": "07:00"}, "Asia/Tokyo")
    body = page.get(HERE).content.decode()
    assert 'value="22:00"' in body
    assert body.count("checked") == 1
    page.post(HERE, ALL)
    row.refresh_from_db()
    assert (row.switched_off, row.quiet) == ([], None)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"quiet_from": "22:00"}, "Quiet hours need both times"),
        ({"quiet_from": "25:00", "quiet_to": "07:00"}, "Enter a valid time"),
        ({"zone": "Berlin"}, "“Berlin” is none"),
        ({"wants": ["everything"]}, "everything is not one of the available choices"),
    ],
)
def test_what_cannot_be_is_refused_at_its_field(page: Client, said: Any, told: str) -> None:
    answer = page.post(HERE, {**ALL, **said})
    assert answer.status_code == 422
    assert told in answer.content.decode()
    assert not Preference.objects.exists()


def test_a_test_mail_goes_the_way_of_notices_and_says_how_it_went(page: Client, ana: User) -> None:
    body = page.post(f"{HERE}test/", follow=True).content.decode()
    assert "A test mail to ana@example.org is on its way." in body
    assert "waits to be sent" in body
    assert outbox.work(seconds=5) == 1
    (mail,) = maildir.newest(backend.folder())
    assert "Mail arrives" in mail.subject
    assert "was kept" in " ".join(page.get(HERE).content.decode().split())
    again = page.post(f"{HERE}test/", follow=True).content.decode()
    assert "A test mail was sent a moment ago." in again
    OutboxMail.objects.update(created_at=F("created_at") - timedelta(minutes=1))
    page.post(f"{HERE}test/")
    assert OutboxMail.objects.count() == 2


def test_a_test_mail_that_fails_says_why(page: Client, ana: User, settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    page.post(f"{HERE}test/")
    outbox.work(seconds=5)
    body = " ".join(page.get(HERE).content.decode().split())
    assert "could not be sent yet and is tried again" in body
    assert "The mail server cannot be reached" in body


def test_who_has_no_address_is_told_and_sends_nothing(page: Client, ana: User) -> None:
    User.objects.filter(pk=ana.pk).update(email="")
    assert "Add one in your profile" in page.get(HERE).content.decode()
    page.post(f"{HERE}test/")
    assert not OutboxMail.objects.exists()


def test_nobody_elses_is_seen_or_changed(page: Client, stranger: User) -> None:
    Preference.objects.create(person=stranger, switched_off=["asked"], zone="Asia/Tokyo")
    assert "Asia/Tokyo" not in page.get(HERE).content.decode()
    page.post(HERE, {**ALL, "person": stranger.pk})
    assert Preference.objects.get(person=stranger).switched_off == ["asked"]


def test_signed_out_and_wrong_methods(page: Client) -> None:
    assert Client().get(HERE).status_code == 302
    assert Client().post(f"{HERE}test/").status_code == 302
    assert page.get(f"{HERE}test/").status_code == 405
    assert page.delete(HERE).status_code == 405
