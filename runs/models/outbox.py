"""Mail that is to go out, written in the transaction that causes it."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class OutboxMail(models.Model):
    """One message to one address. Whoever sends it claims the row first.

    ``dedup_key`` says what it is about: the same cause writes one row, however often it is told.
    """

    dedup_key = models.TextField(unique=True, db_collation="C")
    # What causes it, such as ``approval.requested``.
    event = models.CharField(max_length=40)
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    address = models.EmailField()
    subject = models.TextField()
    text = models.TextField()
    html = models.TextField(blank=True, db_default="")
    created_at = models.DateTimeField(db_default=Now())
    # When it is to be tried next; null once it is over.
    due_at = models.DateTimeField(null=True, db_default=Now())
    attempts = models.PositiveSmallIntegerField(db_default=0)
    claimed_until = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(null=True)
    failed_at = models.DateTimeField(null=True)
    error = models.TextField(blank=True, db_default="")

    class Meta:
        db_table = "outbox_mail"
        constraints = [
            models.CheckConstraint(
                name="outbox_over_or_due",
                condition=Q(due_at__isnull=False, sent_at__isnull=True, failed_at__isnull=True)
                | Q(due_at__isnull=True, sent_at__isnull=False, failed_at__isnull=True)
                | Q(due_at__isnull=True, sent_at__isnull=True, failed_at__isnull=False),
            ),
        ]
        indexes = [
            models.Index("due_at", name="outbox_due", condition=Q(due_at__isnull=False)),
            # What the System page counts.
            models.Index("failed_at", name="outbox_failed", condition=Q(failed_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.event} to {self.address}"
