"""Names ``up`` in the list of commands. ``manage.py`` runs it before Django is loaded."""

from __future__ import annotations

import sys

from django.core.management.base import BaseCommand

from agentops.launcher import command


class Command(BaseCommand):
    help = "Start everything on this machine: database, broker, web, workers, beat (= bin/up)."
    requires_system_checks = ()

    def run_from_argv(self, argv: list[str]) -> None:
        sys.exit(command.main(argv[2:]))

    def handle(self, *args: object, **options: object) -> None:
        sys.exit(command.main([]))
