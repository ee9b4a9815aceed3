"""Prepare the database for searching memory by meaning."""

from __future__ import annotations

from django.core.management.base import BaseCommand, CommandError

from runs.engine import meaning


class Command(BaseCommand):
    """Prepare the database for searching memory by meaning."""

    help = (
        "Makes the extension “vector” (pgvector) and the table of vectors, if they can be had. May "
        "be run again at any time. Workers embed what is remembered once there is a route “embed”."
    )

    def handle(self, *args: object, **options: object) -> None:
        why_not = meaning.prepare()
        if why_not:
            raise CommandError(
                f"Memory is searched by words only: {why_not}. Install pgvector beside PostgreSQL, "
                "or let a superuser run CREATE EXTENSION vector; then run this again."
            )
        self.stdout.write("ready: memory is searched by meaning where a route “embed” exists")
