"""Answers that are given again when a request comes again with the same key."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class Reply(models.Model):
    """What a request with an ``Idempotency-Key`` was answered.

    ``status`` is null while the request is being worked on; ``locked_until`` is when whoever works
    on it is believed to be dead. ``digest`` is of method, address and body.
    """

    scope = models.TextField(db_collation="C")
    key = models.TextField(db_collation="C")
    digest = models.BinaryField(max_length=32)
    locked_until = models.DateTimeField()
    status = models.SmallIntegerField(null=True)
    headers = models.JSONField(default=dict)
    body = models.BinaryField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "reply"
        constraints = [
            # Whoever gets the row may do the work.
            models.UniqueConstraint(fields=["scope", "key"], name="reply_once"),
        ]
        indexes = [models.Index("created_at", name="reply_age")]

    def __str__(self) -> str:
        return f"reply {self.key[:20]} ({self.status or 'in progress'})"
