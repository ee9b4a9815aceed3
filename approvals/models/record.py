"""Records: what happened to a request, to rules and to grants, written once and never changed."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models.functions import Now


class Record(models.Model):
    """One line of evidence, written in the transaction that did what it tells.

    ``event`` is ``domain.action`` in the past tense (``approval.requested``, ``approval.voted``,
    ``approval.edited``, ``approval.decided``, ``approval.executed``, ``approval.refused``,
    ``policy.saved`` …). ``detail`` is small and holds no arguments; they stand in the revision.
    """

    request = models.ForeignKey(
        "approvals.Request", null=True, on_delete=models.CASCADE, related_name="records"
    )
    run_public_id = models.CharField(max_length=24, blank=True, db_default="")
    event = models.CharField(max_length=40)
    # Who, as records call them; the person where it was one.
    by = models.TextField()
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    digest = models.BinaryField(max_length=32, null=True)
    detail = models.JSONField(default=dict)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "approval_record"
        indexes = [
            models.Index("request", "id", name="record_of_request"),
            # What a run asked, for its page; uses of a grant by a step.
            models.Index("run_public_id", "id", name="record_of_run"),
            models.Index("event", models.F("at").desc(), name="record_by_event"),
        ]

    def __str__(self) -> str:
        return f"{self.event} by {self.by}"
