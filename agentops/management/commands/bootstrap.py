"""Everything a release needs before its processes start. Safe to run again, and at once twice."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser
from django.db import connection
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from agentops.accounts.models import User
from agentops.launcher.home import Home, write_private
from approvals import policies, samples

# Any number that nobody else uses: two releases at once migrate one after the other.
_LOCK = 0x6167656E
# No letters that look alike: it is read from a terminal and typed.
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
SWEEP_SECONDS = 5
SAMPLES = "agentops.agents."


class Command(BaseCommand):
    help = "Prepare a release: migrate, schedule the sweep, first operator, static files."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--operator", default="operator", help="name of the first operator")
        parser.add_argument(
            "--no-operator", action="store_true", help="create nobody (use createsuperuser)"
        )

    def handle(self, *args: object, **options: object) -> None:
        with _one_at_a_time():
            call_command("migrate", interactive=False, verbosity=0)
            register_sweep()
            first_policy()
            if not options["no_operator"]:
                first_operator(Home(settings.AGENTOPS_DATA), name=str(options["operator"]))
        call_command("collectstatic", interactive=False, verbosity=0)


def register_sweep() -> None:
    """Put the sweep on beat's schedule, unless it is there: an operator may have changed it."""
    every, _ = IntervalSchedule.objects.get_or_create(
        every=SWEEP_SECONDS, period=IntervalSchedule.SECONDS
    )
    PeriodicTask.objects.get_or_create(
        name="sweep",
        defaults={
            "task": "runs.sweep",
            "interval": every,
            "expire_seconds": int(timedelta(seconds=30).total_seconds()),
            "description": "Finds what a lost bell left behind.",
        },
    )


def first_policy() -> None:
    """Rules for the sample agents, where they are served and nobody wrote any rules."""
    if any(name.startswith(SAMPLES) for name in settings.AGENTOPS_AGENTS):
        policies.plant(raw=samples.RULES, note=samples.NOTE)


def first_operator(home: Home, *, name: str) -> None:
    """Create the first operator with a one-time password, told in the data folder until used.

    AGENTOPS_OPERATOR_PASSWORD gives the password instead; then nothing is written down.
    """
    if User.objects.filter(is_superuser=True, must_change_password=False).exists():
        home.first_sign_in.unlink(missing_ok=True)
        return
    if User.objects.filter(is_superuser=True).exists():
        return
    given = os.environ.get("AGENTOPS_OPERATOR_PASSWORD")
    password = given or _readable_password()
    user = User(username=name, is_staff=True, is_superuser=True)
    user.set_password(password)
    user.must_change_password = not given
    user.save()
    if not given:
        home.make()
        home.first_sign_in.unlink(missing_ok=True)
        write_private(
            home.first_sign_in, json.dumps({"username": name, "password": password}, indent=1)
        )


def _readable_password() -> str:
    groups = ("".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(4))
    return "-".join(groups)


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])
