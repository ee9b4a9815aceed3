"""Celery tasks: bells. Whoever hears one looks in the database."""

from __future__ import annotations

from celery import shared_task

from runs import worker


@shared_task(name="runs.ring", ignore_result=True)
def ring(**_: object) -> None:
    """Something may be claimable. Receiving this message has rung the host of this process."""
    worker.host()


@shared_task(name="runs.bulk", ignore_result=True)
def bulk(**_: object) -> None:
    """There may be bulk actions to work on."""
    worker.work_on_bulk()


@shared_task(name="runs.sweep", ignore_result=True)
def sweep(**_: object) -> None:
    """Beat is one more caller of the sweep; every worker sweeps by itself."""
    worker.sweep()
