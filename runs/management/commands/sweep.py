"""Find what crashes, lost bells or the passing of time left behind, once, now."""

from __future__ import annotations

from dataclasses import asdict

from django.core.management.base import BaseCommand

from runs import outbox, turns
from runs.engine.sweeper import sweep_from_django

MAIL_SECONDS = 60.0


class Command(BaseCommand):
    """Sweep once, with the slow duties, and send what mail is due."""

    help = (
        "Takes runs back from dead workers, ends what expired, rings for late runs, sends mail "
        "and deletes what is past its retention. Workers do this every few seconds by themselves."
    )

    def handle(self, *args: object, **options: object) -> None:
        found = asdict(sweep_from_django(thorough=True)) | {"turns": turns.advance_all()}
        found["mail"] = outbox.work(seconds=MAIL_SECONDS)
        for name, count in found.items():
            self.stdout.write(f"{name.replace('_', ' ')}: {count}")
