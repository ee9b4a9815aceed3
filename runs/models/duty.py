"""How the duties of ``AGENTOPS_DUTIES`` do: when each was last done, and what it last failed of."""

from __future__ import annotations

from django.db import models


class Duty(models.Model):
    """One duty. ``error`` is empty where it worked the last time."""

    name = models.TextField(primary_key=True, db_collation="C")
    done_at = models.DateTimeField(null=True)
    failed_at = models.DateTimeField(null=True)
    error = models.TextField(blank=True, db_default="")

    class Meta:
        db_table = "duty"

    def __str__(self) -> str:
        return self.name
