"""One wish for many runs, and what became of it run by run."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class BulkVerb(models.TextChoices):
    """What is done to each run."""

    CANCEL = "cancel", "Stop it and everything it started."
    PAUSE = "pause", "Let it wait until somebody resumes it."
    RESUME = "resume", "Let it go on if it was paused or parked."
    RETRY_NOW = "retry_now", "Skip the back-off of its next attempt."
    RETRY_FAILURE = "retry_failure", "Go on from the step it failed at."
    REPLAY = "replay", "Run it again from the start, as a new run."


class BulkOutcome(models.TextChoices):
    """What became of one run of a bulk action."""

    PENDING = "pending", "Its turn has not come."
    DONE = "done", "It was done."
    UNCHANGED = "unchanged", "There was nothing to do: it stood like that already."
    REFUSED = "refused", "It could not be done; code and message say why."
    FAILED = "failed", "Something went wrong on our side."
    STOPPED = "stopped", "The bulk action was stopped before its turn."


class BulkAction(models.Model):
    """What somebody wants done to many runs. The runs are those that matched when it was asked.

    It holds no worker and no lease: whoever has time takes its next item.
    """

    public_id = models.CharField(max_length=25, unique=True, db_collation="C")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="bulk_actions"
    )
    # The program that asked for its owner, whose rights count as well.
    service = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,
    )
    team = models.ForeignKey(
        "accounts.Team", null=True, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    by = models.TextField()
    scopes = models.JSONField(null=True)
    verb = models.CharField(max_length=13, choices=BulkVerb)
    note = models.TextField(blank=True, default="")
    # What was asked for, in the words of the asker; the items say which runs that were.
    filter = models.JSONField(default=dict)
    idempotency_key = models.TextField(null=True, db_collation="C")
    total = models.IntegerField()
    created_at = models.DateTimeField(db_default=Now())
    stopped_by = models.TextField(blank=True, default="")
    finished_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "bulk_action"
        constraints = [
            models.UniqueConstraint(
                fields=["owner", "idempotency_key"],
                name="bulk_once",
                condition=Q(idempotency_key__isnull=False),
            ),
        ]
        indexes = [
            # Whoever looks for work; retention.
            models.Index("id", name="bulk_unfinished", condition=Q(finished_at__isnull=True)),
            models.Index("finished_at", name="bulk_age", condition=Q(finished_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.public_id} ({self.verb} {self.total} runs)"


class BulkItem(models.Model):
    """One run of a bulk action. What is done to it commits together with its outcome."""

    action = models.ForeignKey(BulkAction, on_delete=models.CASCADE, related_name="items")
    number = models.IntegerField()
    # The run may be forgotten before this is.
    run = models.ForeignKey(
        "runs.Run",
        on_delete=models.DO_NOTHING,
        related_name="+",
        db_constraint=False,
        db_index=False,
    )
    run_public_id = models.CharField(max_length=24)
    outcome = models.CharField(max_length=9, choices=BulkOutcome, default=BulkOutcome.PENDING)
    code = models.TextField(blank=True, default="")
    message = models.TextField(blank=True, default="")
    # The run that a replay started.
    made = models.CharField(max_length=24, blank=True, default="")
    done_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "bulk_item"
        constraints = [
            models.UniqueConstraint(fields=["action", "run"], name="bulk_item_once"),
            models.CheckConstraint(
                name="bulk_item_known", condition=Q(outcome__in=BulkOutcome.values)
            ),
        ]
        indexes = [
            # Actions take turns: first items first.
            models.Index("number", "id", name="bulk_item_pending", condition=Q(outcome="pending")),
            # Lists and counts.
            models.Index("action", "outcome", "number", name="bulk_item_by_outcome"),
        ]

    def __str__(self) -> str:
        return f"{self.run_public_id}: {self.outcome}"
