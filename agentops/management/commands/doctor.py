"""Looks at every part of this installation and says what to do about what is not well."""

from __future__ import annotations

import logging
import sys

from django.core.management.base import BaseCommand

from agentops.management import diagnosis

_MARKS = {"ok": "ok", "note": "--", "problem": "!!"}


class Command(BaseCommand):
    help = "Say what was found of this installation, and how to mend what is not well."
    requires_system_checks = ()

    def handle(self, *args: object, **options: object) -> None:
        # What would be logged is told here, in better words.
        logging.disable(logging.WARNING)
        problems = 0
        for finding in diagnosis.findings():
            problems += finding.level == "problem"
            self.stdout.write(f"{_MARKS[finding.level]:<3} {finding.what:<12} {finding.said}")
            if finding.remedy:
                self.stdout.write(f"{'':<16} → {finding.remedy}")
        logging.disable(logging.NOTSET)
        self.stdout.write(f"\nProblems: {problems}." if problems else "\nNothing is wrong.")
        sys.exit(1 if problems else 0)
