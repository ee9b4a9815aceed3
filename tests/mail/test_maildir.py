from __future__ import annotations

import mailbox
import threading
from pathlib import Path

import pytest
from django.core.mail import EmailMessage, get_connection, send_mail
from pytest_django import Settings

from agentops.mail import backend, maildir


def content(message_id: str, subject: str = "hello") -> bytes:
    return f"Subject: {subject}\nTo: a@b\nMessage-ID: {message_id}\n\ntext\n".encode()


def test_a_message_is_there_once(tmp_path: Path) -> None:
    assert maildir.deliver(tmp_path, content("<1@x>"), "<1@x>")
    assert not maildir.deliver(tmp_path, content("<1@x>", "changed"), "<1@x>")

    [mail] = maildir.newest(tmp_path)
    assert (mail.subject, mail.text, mail.recipients) == ("hello", "text\n", "a@b")
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_message_that_was_read_elsewhere_is_still_there(tmp_path: Path) -> None:
    maildir.deliver(tmp_path, content("<1@x>"), "<1@x>")
    box = mailbox.Maildir(str(tmp_path), create=False)
    [(key, message)] = box.items()
    message.set_subdir("cur")
    message.add_flag("S")
    box[key] = message

    assert maildir.find(tmp_path, "<1@x>") is not None
    assert not maildir.deliver(tmp_path, content("<1@x>"), "<1@x>")
    assert [mail.subject for mail in maildir.newest(tmp_path)] == ["hello"]


def test_of_many_writers_one_delivers(tmp_path: Path) -> None:
    start, told = threading.Barrier(8), list[bool]()

    def deliver() -> None:
        start.wait()
        told.append(maildir.deliver(tmp_path, content("<1@x>"), "<1@x>"))

    threads = [threading.Thread(target=deliver) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(told) == [False] * 7 + [True]
    assert len(maildir.newest(tmp_path)) == 1


def test_messages_are_found_by_name_only_within_the_folder(tmp_path: Path) -> None:
    maildir.deliver(tmp_path / "mail", content("<1@x>"), "<1@x>")
    (tmp_path / "secret").write_text("no")
    [mail] = maildir.newest(tmp_path / "mail")

    assert maildir.read(tmp_path / "mail", mail.name) == mail or mail.subject == "hello"
    assert maildir.read(tmp_path / "mail", "../../secret") is None
    assert maildir.read(tmp_path / "nowhere", "x") is None
    assert maildir.newest(tmp_path / "nowhere") == []


@pytest.fixture
def kept(tmp_path: Path, settings: Settings) -> Path:
    settings.AGENTOPS_DATA = tmp_path
    settings.EMAIL_BACKEND = "agentops.mail.backend.EmailBackend"
    return tmp_path / "mail"


def test_django_mail_is_kept(kept: Path) -> None:
    assert send_mail("Hello", "Grüße", "from@x.org", ["to@x.org", "two@x.org"]) == 1

    [mail] = maildir.newest(kept)
    assert (mail.subject, mail.text.strip(), mail.recipients) == (
        "Hello", "Grüße", "to@x.org, two@x.org",
    )  # fmt: skip
    assert mail.message_id
    assert backend.is_used()


def test_a_message_for_nobody_is_not_sent(kept: Path) -> None:
    assert EmailMessage("Hello", "text", "from@x.org", []).send() == 0
    assert maildir.newest(kept) == []


def test_a_folder_that_cannot_be_written_is_an_error_unless_told_otherwise(
    kept: Path, tmp_path: Path
) -> None:
    kept.write_text("in the way")
    message = EmailMessage("Hello", "text", "from@x.org", ["to@x.org"])

    with pytest.raises(NotADirectoryError):
        message.send()
    assert get_connection(fail_silently=True).send_messages([message]) == 0
