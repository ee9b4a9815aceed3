"""Makes requests that wait, with people and a chain, in the installation under test."""

from __future__ import annotations

import sys

import django

django.setup()

from agentops.accounts.models import User  # noqa: E402
from approvals.models import Chain  # noqa: E402
from tests.approvals import making  # noqa: E402
from tests.people import person  # noqa: E402

STEPS = [
    {"tell": [{"deciders": True}], "wait_minutes": 10},
    {"tell": [{"person": "eve"}], "wait_minutes": 10},
    {"tell": [{"deciders": True}], "wait_minutes": 10},
]
# Three who may decide, then eve, then all of them again.
MAILS_PER_REQUEST = 3 + 1 + 3


def main(count: int) -> None:
    """So many requests."""
    for name in ("ada", "bo", "eve"):
        if not User.objects.filter(username=name).exists():
            making.approver(name)
        User.objects.filter(username=name).update(email=f"{name}@example.org")
    owner = User.objects.filter(username="olga").first() or person("olga")
    chain, _ = Chain.objects.get_or_create(name="usual", is_usual=True)
    chain.versions.get_or_create(number=1, defaults={"steps": STEPS})
    for _ in range(count):
        making.approval(making.waiting_run(owner))


if __name__ == "__main__":
    main(int(sys.argv[1]))
