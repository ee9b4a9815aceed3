"""A view of a list that somebody keeps: a name for a query string."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models.functions import Now


class SavedView(models.Model):
    """A named query string. Shared ones are seen by everybody; each sees their own rows in it."""

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="saved_views"
    )
    name = models.CharField(max_length=40)
    query = models.CharField(max_length=500)
    is_shared = models.BooleanField(default=False)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "saved_view"
        constraints = [
            # Saving under a name that is there changes that view.
            models.UniqueConstraint("owner", "name", name="saved_view_name_once"),
        ]
        indexes = [
            # Everybody's tabs: what is shared.
            models.Index("name", name="saved_view_shared", condition=models.Q(is_shared=True)),
        ]

    def __str__(self) -> str:
        return f"view {self.name} of {self.owner_id}"
