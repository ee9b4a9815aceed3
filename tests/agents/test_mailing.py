from __future__ import annotations

from collections.abc import Iterator
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest
from pytest_django import Settings

from agentops import Fatal, OutcomeUnknown, Retryable, ToolContext, Verified
from agentops.agents.dependency_audit.mailing import mail_report, report_is_mailed
from agentops.mail import maildir
from agentops.mail.sending import Mailed, message_id_of
from agentops.sdk.tools import Verdict
from tests.agents.mail_server import Mood, serving

WORDS = ("Dependency audit: fine", "Nothing to do – ✓\n", "# Report\n")
ANA = ("ana@example.org",)


def send(call: ToolContext, to: tuple[str, ...] | None = ANA) -> Mailed:
    mailed = mail_report(call, to, *WORDS)
    assert isinstance(mailed, Mailed)
    return mailed


@pytest.fixture
def mood() -> Mood:
    return Mood()


@pytest.fixture
def server(mood: Mood, data: Path, settings: Settings) -> Iterator[int]:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    with serving(mood) as port:
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", port
        settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
        settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
        settings.EMAIL_TIMEOUT = 5
        yield port


def test_without_a_server_mail_is_kept_once(data: Path, call: ToolContext) -> None:
    assert report_is_mailed(call, ANA, *WORDS).verdict is Verdict.NOT_DONE

    mailed = send(call)

    assert send(call) == mailed
    [kept] = maildir.newest(data / "mail")
    assert (kept.subject, kept.recipients) == (WORDS[0], ANA[0])
    assert kept.text == f"{WORDS[1]}Run run_abc.\n"
    assert kept.attachments == ["dependency-audit.md"]
    assert kept.message_id == message_id_of(call) == mailed.message_id
    assert report_is_mailed(call, ANA, *WORDS) == Verified.done(mailed)


def test_the_mail_leads_to_the_console(data: Path, settings: Settings, call: ToolContext) -> None:
    settings.AGENTOPS_PUBLIC_URL = "https://agents.example.org"

    send(call)

    [kept] = maildir.newest(data / "mail")
    assert kept.text.endswith("console: https://agents.example.org/reports/run_abc/\n")


def test_without_receivers_this_system_mails_itself(data: Path, call: ToolContext) -> None:
    assert send(call, None).to == ("agentops@example.org",)


def test_every_call_has_a_message_id_of_its_own(call: ToolContext) -> None:
    other = ToolContext(run_id="run_abd", key=call.key, attempt=1, deadline=0.0)
    again = ToolContext(run_id=call.run_id, key=call.key, attempt=2, deadline=0.0)

    assert message_id_of(other) != message_id_of(call) == message_id_of(again)


def test_a_real_server_gets_the_message(server: int, mood: Mood, call: ToolContext) -> None:
    mailed = send(call)

    [envelope] = mood.taken
    assert isinstance(envelope.content, bytes)
    message = message_from_bytes(envelope.content, policy=default)
    assert (envelope.rcpt_tos, mailed.place) == (["ana@example.org"], "smtp")
    assert message["Message-ID"] == mailed.message_id
    assert message["Auto-Submitted"] == "auto-generated"


def test_nobody_can_say_what_a_server_did(server: int, call: ToolContext) -> None:
    send(call)

    assert report_is_mailed(call, ANA, *WORDS).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("receiver", "message", "error"),
    [
        ("550 no such user", "250 OK", Fatal),
        ("450 try later", "250 OK", Retryable),
        ("250 OK", "554 no", Fatal),
        ("250 OK", "451 later", Retryable),
    ],
)
def test_a_refusal_is_known_not_to_have_happened(
    server: int, mood: Mood, call: ToolContext, receiver: str, message: str, error: type[Exception]
) -> None:
    mood.to_receiver, mood.to_data = receiver, message

    with pytest.raises(error, match="The mail server refuses"):
        send(call)

    assert mood.taken == []


def test_a_connection_lost_after_the_message_is_uncertain(
    server: int, mood: Mood, call: ToolContext
) -> None:
    mood.hangs_up = True

    with pytest.raises(OutcomeUnknown, match="may have arrived"):
        send(call)

    assert len(mood.taken) == 1


def test_a_server_that_is_not_there_is_tried_again(
    server: int, settings: Settings, call: ToolContext
) -> None:
    settings.EMAIL_PORT = 1

    with pytest.raises(Retryable, match="cannot be reached"):
        send(call)


def test_an_address_that_cannot_be_written_is_hopeless(server: int, call: ToolContext) -> None:
    with pytest.raises(Fatal, match=r"cannot be made|refuses"):
        send(call, ("a b@example.org\n",))
