"""One row per worker process incarnation; its life is the lease on every run it holds."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now


class WorkerState(models.TextChoices):
    """Whether an incarnation may hold runs."""

    ALIVE = "alive", "Claims and runs."
    DRAINING = "draining", "Finishes what it has, claims nothing."
    DEAD = "dead", "Its lease is over; its runs are taken back."


class Worker(models.Model):
    """A process incarnation. Ids are never reused, so a restarted process is another worker.

    ``machine`` names host, boot and process namespace: only a process of the same machine may
    judge by ``pid`` and ``pid_started`` whether this one is still there. ``exited_at`` is set when
    the process is known to be gone, which is more than ``dead``: a frozen process is dead to us
    and may still act.
    """

    machine = models.TextField()
    hostname = models.TextField()
    pid = models.IntegerField()
    pid_started = models.BigIntegerField()
    queues = ArrayField(models.TextField())
    capacity = models.IntegerField()
    release = models.TextField(blank=True)
    state = models.CharField(
        max_length=8, choices=WorkerState, default=WorkerState.ALIVE, db_default=WorkerState.ALIVE
    )
    started_at = models.DateTimeField(db_default=Now())
    heartbeat_at = models.DateTimeField(db_default=Now())
    exited_at = models.DateTimeField(null=True)
    # Names of the variables with keys of models that this process has. Null: it did not say.
    key_variables = ArrayField(models.TextField(), null=True)

    class Meta:
        db_table = "worker"
        indexes = [
            # The sweep looks for silent workers, a starting process for dead neighbours.
            models.Index("heartbeat_at", name="worker_living", condition=~models.Q(state="dead")),
        ]
        constraints = [
            models.CheckConstraint(
                name="worker_state_known", condition=models.Q(state__in=WorkerState.values)
            ),
            # A process that is gone holds nothing.
            models.CheckConstraint(
                name="worker_exited_is_dead",
                condition=models.Q(exited_at__isnull=True) | models.Q(state="dead"),
            ),
        ]

    def __str__(self) -> str:
        return f"worker {self.pk} ({self.hostname}, pid {self.pid})"
