"""What one person keeps about a request, without deciding it."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class Snooze(models.Model):
    """A request somebody does not want to see until later. It waits for them all the same."""

    request = models.ForeignKey(
        "approvals.Request", on_delete=models.CASCADE, related_name="snoozes"
    )
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    # Never later than the request's own deadline.
    until = models.DateTimeField()

    class Meta:
        db_table = "approval_snooze"
        constraints = [models.UniqueConstraint("request", "person", name="snooze_once")]

    def __str__(self) -> str:
        return f"{self.request_id} by {self.person_id} until {self.until}"
