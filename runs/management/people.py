"""Naming runs and people on the command line."""

from __future__ import annotations

import getpass

from django.core.management.base import CommandError

from runs.models import Run


def run_called(name: str) -> Run:
    """The run with this public id, or the only one whose id begins so. Raises CommandError."""
    found = list(Run.objects.select_related("owner").filter(public_id__startswith=name)[:2])
    if not found:
        raise CommandError(f"There is no run {name}. List them in the console or with GET /runs.")
    if len(found) > 1:
        raise CommandError(f"More than one run begins with {name}. Give more of its id.")
    return found[0]


def operator() -> str:
    """Who sits at this terminal, for the record."""
    try:
        return f"command line ({getpass.getuser()})"
    except (KeyError, OSError):
        return "command line"
