"""T21: beat stopped for ten minutes, workers killed in the middle of an escalation, real SMTP.

Each step is told once and none is lost. Time is moved by taking it from the rows.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

import pytest

from agentops.launcher.home import PROJECT
from agentops.mail import maildir
from tests.agents.mail_server import Mood, serving
from tests.crash.plant import Plant, until
from tests.crash.waiting import MAILS_PER_REQUEST

pytestmark = [pytest.mark.crash, pytest.mark.timeout(300)]
REQUESTS = 4


@pytest.fixture
def mood(plant: Plant) -> Iterator[Mood]:
    """An installation that sends through a real SMTP server, in which requests wait."""
    mood = Mood()
    with serving(mood) as port:
        plant.settings["EMAIL_URL"] = f"smtp://127.0.0.1:{port}"
        begin(plant)
        yield mood
    del plant.settings["EMAIL_URL"]
    plant.execute("TRUNCATE approval_request, outbox_mail CASCADE")


def begin(plant: Plant) -> None:
    plant.empty()
    plant.execute("TRUNCATE approval_request, outbox_mail CASCADE")
    make = [sys.executable, "-m", "tests.crash.waiting", str(REQUESTS)]
    environment = plant.environment(DJANGO_SETTINGS_MODULE="agentops.settings")
    subprocess.run(make, cwd=PROJECT, env=environment, check=True, timeout=60)


def ten_minutes_pass(plant: Plant) -> None:
    """Everything that waits is ten minutes older."""
    plant.execute(
        "UPDATE approval_request SET next_step_at = next_step_at - interval '10 minutes',"
        " created_at = created_at - interval '10 minutes'"
    )
    plant.execute(
        "UPDATE outbox_mail SET claimed_until = claimed_until - interval '10 minutes',"
        " due_at = due_at - interval '10 minutes'"
    )


def until_told(plant: Plant, telling: int) -> None:
    """Wait until every request is past this telling and its mail is out."""
    until(
        lambda: plant.value("SELECT coalesce(min(chain_step), 0) FROM approval_request") > telling,
        f"telling {telling} is done",
    )
    until_sent(plant)


def until_sent(plant: Plant) -> None:
    until(
        lambda: plant.value("SELECT count(*) = 0 FROM outbox_mail WHERE due_at IS NOT NULL"),
        "the outbox is empty",
    )


def goes_through(plant: Plant, first: int = 0) -> None:
    """A healthy worker does whatever is left, while time passes."""
    plant.worker()
    for telling in range(first, 3):
        until_told(plant, telling)
        ten_minutes_pass(plant)
    # What should not come any more has its chance to come.
    time.sleep(3)


def letters(mood: Mood) -> Counter[tuple[str, str, str]]:
    """How often each message came: to whom, about which request, in which words."""
    found: Counter[tuple[str, str, str]] = Counter()
    for taken in mood.taken:
        mail = message_from_bytes(taken.original_content or b"", policy=default)
        found[_named(mail)] += 1
    return found


def _named(mail: EmailMessage) -> tuple[str, str, str]:
    body = mail.get_body(("plain",))
    assert isinstance(body, EmailMessage)
    (link,) = {word for word in body.get_content().split() if "/inbox/" in word}
    return str(mail["To"]), link, str(mail["Message-ID"])


def notices(plant: Plant) -> int:
    return int(plant.value("SELECT count(*) FROM approval_notice WHERE mail_id IS NOT NULL"))


def test_beat_stopped_for_ten_minutes_loses_and_doubles_nothing(plant: Plant, mood: Mood) -> None:
    ten_minutes_pass(plant)
    command = [sys.executable, "manage.py", "doctor"]
    doctor = subprocess.run(
        command, cwd=PROJECT, env=plant.environment(), capture_output=True, text=True, timeout=60
    )
    assert f"Escalation is overdue: {REQUESTS} requests wait" in doctor.stdout
    goes_through(plant)
    assert notices(plant) == REQUESTS * MAILS_PER_REQUEST
    assert set(letters(mood).values()) == {1}
    assert len(letters(mood)) == REQUESTS * MAILS_PER_REQUEST


@pytest.mark.parametrize("place", ["escalation.told:2:exit", "mail.claimed:3:exit"])
def test_a_worker_killed_in_the_middle_tells_everybody_once(
    plant: Plant, mood: Mood, place: str
) -> None:
    victim = plant.worker(faults=place)
    assert victim.wait() == 137
    ten_minutes_pass(plant)
    goes_through(plant)
    assert notices(plant) == REQUESTS * MAILS_PER_REQUEST
    assert letters(mood).total() == len(letters(mood)) == REQUESTS * MAILS_PER_REQUEST


def test_killed_after_smtp_took_it_doubles_at_most_that_one(plant: Plant, mood: Mood) -> None:
    """What SMTP cannot promise; both copies carry one Message-ID."""
    victim = plant.worker(faults="mail.handed_over:3:exit")
    assert victim.wait() == 137
    ten_minutes_pass(plant)
    goes_through(plant)
    counted = letters(mood)
    assert len(counted) == REQUESTS * MAILS_PER_REQUEST
    assert sorted(counted.values())[-2:] == [1, 2]


def test_the_maildir_has_each_message_once_wherever_a_worker_dies(plant: Plant) -> None:
    begin(plant)
    for place in ("mail.handed_over:2:exit", "mail.claimed:2:exit", "escalation.told:1:exit"):
        victim = plant.worker(faults=place)
        if victim.wait() == 137:
            ten_minutes_pass(plant)
    goes_through(plant)
    kept = Counter(mail.message_id for mail in maildir.newest(plant.folder / "mail", 500))
    assert kept.total() == len(kept) == notices(plant) == REQUESTS * MAILS_PER_REQUEST
    plant.execute("TRUNCATE approval_request, outbox_mail CASCADE")


def test_a_worker_that_freezes_in_the_middle_does_not_hold_up_the_others(
    plant: Plant, mood: Mood
) -> None:
    victim = plant.worker(faults="escalation.told:2:stop")
    until(lambda: victim.is_frozen, "it freezes")
    goes_through(plant)
    assert set(letters(mood).values()) == {1}
    assert notices(plant) == REQUESTS * MAILS_PER_REQUEST
