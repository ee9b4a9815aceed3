"""Circuit breakers, shared by all workers."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class Breaker(models.Model):
    """A target that failed lately; no row means that it works.

    ``failures`` counts in a row. Until ``open_until`` nobody calls it; then one tries, since
    ``changed_at`` if that is not before ``open_until``.
    """

    target = models.TextField(primary_key=True)
    failures = models.IntegerField()
    open_until = models.DateTimeField(null=True)
    changed_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "breaker"

    def __str__(self) -> str:
        return f"{self.target}: {self.failures} failures"
