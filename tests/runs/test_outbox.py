"""The outbox: written with its cause, sent once, retried, given up in the open."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from email import message_from_bytes
from email.policy import default
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Now

from agentops.accounts.models import User
from agentops.mail import backend, maildir, sending
from runs import outbox
from runs.courier import Courier
from runs.models import OutboxMail
from tests.agents.mail_server import Mood, serving

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _data(settings: Any, tmp_path: Path) -> None:
    settings.AGENTOPS_DATA = tmp_path
    settings.EMAIL_BACKEND = "agentops.mail.backend.EmailBackend"


@pytest.fixture
def mood() -> Mood:
    return Mood()


@pytest.fixture
def server(mood: Mood, settings: Any) -> Iterator[None]:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
    settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
    settings.EMAIL_TIMEOUT = 5
    with serving(mood) as port:
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", port
        yield


def write(key: str = "req_1:asked", **fields: Any) -> OutboxMail:
    fields = {
        "event": "approval.requested", "address": "ana@example.org", "subject": "Please decide",
        "text": "It waits.\n", "html": "<p>It waits.</p>", **fields,
    }  # fmt: skip
    with transaction.atomic():
        return outbox.write(dedup_key=key, **fields)


def time_passes(by: timedelta) -> None:
    OutboxMail.objects.update(
        due_at=F("due_at") - by, claimed_until=F("claimed_until") - by,
        created_at=F("created_at") - by,
    )  # fmt: skip


def kept() -> list[maildir.Mail]:
    return maildir.newest(backend.folder())


def test_mail_goes_out_once_as_text_and_html() -> None:
    mail = write(subject="Please\r\nBcc: all@example.org")
    assert write(subject="Another wording").pk == mail.pk
    assert outbox.work(seconds=5) == 1
    assert outbox.work(seconds=5) == 0
    (found,) = kept()
    assert found.subject == "Please Bcc: all@example.org"
    assert found.message["Bcc"] is None
    assert found.text == "It waits.\n"
    html = found.message.get_body(("html",))
    assert html is not None
    assert html.get_content() == "<p>It waits.</p>"
    mail.refresh_from_db()
    assert (mail.due_at, mail.error) == (None, "")
    assert mail.sent_at is not None


def test_mail_of_a_cause_that_did_not_happen_is_not_sent() -> None:
    def cause() -> None:
        with transaction.atomic():
            outbox.write(event="x", dedup_key="x", address="a@example.org", subject="x", text="x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        cause()
    assert outbox.work(seconds=5) == 0
    assert kept() == []


def test_mail_without_a_transaction_is_refused() -> None:
    with pytest.raises(outbox.NotInATransaction):
        outbox.write(event="x", dedup_key="x", address="a@example.org", subject="x", text="x")


def test_a_sender_that_died_before_sending_loses_nothing() -> None:
    write()
    assert outbox.claim() is not None
    assert outbox.work(seconds=5) == 0
    time_passes(outbox.CLAIM)
    assert outbox.work(seconds=5) == 1
    assert len(kept()) == 1


def test_a_sender_that_died_after_sending_doubles_nothing_in_the_maildir() -> None:
    write()
    mail = outbox.claim()
    assert mail is not None
    sending.hand_over(outbox._message(mail))
    time_passes(outbox.CLAIM)
    assert outbox.work(seconds=5) == 1
    assert len(kept()) == 1


def test_two_copies_over_smtp_are_told_by_their_message_id(server: None, mood: Mood) -> None:
    write()
    mail = outbox.claim()
    assert mail is not None
    sending.hand_over(outbox._message(mail))
    time_passes(outbox.CLAIM)
    outbox.work(seconds=5)
    ids = [
        message_from_bytes(taken.original_content or b"", policy=default)["Message-ID"]
        for taken in mood.taken
    ]
    assert ids == [outbox.message_id(mail)] * 2


def test_many_senders_at_once_send_each_message_once(server: None, mood: Mood) -> None:
    for number in range(12):
        write(f"req_{number}")

    def send() -> None:
        outbox.work(seconds=20)
        connection.close()

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(mood.taken) == 12
    assert OutboxMail.objects.filter(sent_at__isnull=False).count() == 12


def test_a_server_that_asks_to_wait_is_asked_again_later(server: None, mood: Mood) -> None:
    mail = write()
    mood.to_data = "451 try later"
    assert outbox.work(seconds=5) == 0
    mail.refresh_from_db()
    assert "451" in mail.error
    assert not outbox.is_due()
    mood.to_data = "250 OK"
    time_passes(outbox.FIRST_AGAIN)
    assert outbox.work(seconds=5) == 1
    assert len(mood.taken) == 1


def test_waiting_grows_and_ends(server: None, mood: Mood) -> None:
    mail = write()
    mood.to_data = "451 try later"
    waits = []
    for _ in range(9):
        outbox.work(seconds=5)
        row = OutboxMail.objects.annotate(left=F("due_at") - Now()).get()
        waits.append(round(row.left.total_seconds() / 15))
        time_passes(outbox.LONGEST_AGAIN)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    time_passes(outbox.GIVEN_UP_AFTER)
    outbox.work(seconds=5)
    mail.refresh_from_db()
    assert mail.failed_at is not None
    assert list(outbox.failed()) == [mail]


def test_a_refused_address_is_given_up_and_the_next_goes_out(server: None, mood: Mood) -> None:
    mood.to_receiver = "550 no such mailbox"
    mail = write()
    outbox.work(seconds=5)
    mood.to_receiver = "250 OK"
    write("another")
    assert outbox.work(seconds=5) == 1
    mail.refresh_from_db()
    assert mail.failed_at is not None
    assert "550" in mail.error
    assert outbox.try_again(by="opal") == 1
    assert outbox.work(seconds=5) == 1


def test_a_dead_server_keeps_everything_and_is_asked_once_a_round(settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    write("one")
    write("two")
    assert outbox.work(seconds=5) == 0
    assert sorted(OutboxMail.objects.values_list("attempts", flat=True)) == [0, 1]
    time_passes(timedelta(minutes=6))
    assert outbox.late().count() == 2


def test_one_message_that_cannot_be_made_stops_no_other() -> None:
    bad = write("bad", address="two lines\n@example.org")
    write("good")
    assert outbox.work(seconds=5) == 1
    bad.refresh_from_db()
    assert bad.failed_at is not None


def test_a_late_attempt_does_not_judge_for_the_next(server: None, mood: Mood) -> None:
    write()
    slow = outbox.claim()
    time_passes(outbox.CLAIM)
    current = outbox.claim()
    assert slow is not None
    assert current is not None
    outbox._fail(slow, ValueError("late"))
    row = OutboxMail.objects.get()
    assert (row.failed_at, row.claimed_until is None) == (None, False)


def test_the_command_sends_too() -> None:
    write()
    out = StringIO()
    call_command("sweep", stdout=out)
    assert "mail: 1" in out.getvalue()
    assert len(kept()) == 1


def test_the_courier_sends_in_a_thread_of_its_own_and_can_be_stopped() -> None:
    write()
    courier = Courier()
    courier.look()
    assert courier._thread is not None
    courier._thread.join(30)
    assert len(kept()) == 1
    courier.stop(seconds=1)
    write("later")
    courier.look()
    assert len(kept()) == 1


def test_old_mail_is_forgotten() -> None:
    write()
    outbox.work(seconds=5)
    outbox.forget(days=90)
    assert OutboxMail.objects.exists()
    OutboxMail.objects.update(sent_at=F("sent_at") - timedelta(days=91))
    outbox.forget(days=90)
    assert not OutboxMail.objects.exists()


def test_the_person_of_a_message_may_leave() -> None:
    person = User.objects.create_user("ana")
    mail = write(person=person)
    person.delete()
    mail.refresh_from_db()
    assert mail.person_id is None
