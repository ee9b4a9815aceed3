"""What servers of tools say of their tools, as far as somebody agreed to it."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class ToolPin(models.Model):
    """A tool of a server: the description agents use it by, and what waits for an operator.

    Descriptions are JSON text as the server gave it, not jsonb, which refuses some letters.
    A digest that is empty: there is none. ``accepted_by`` is empty for one that was accepted
    because it was the first.
    """

    server = models.CharField(max_length=40)
    tool = models.CharField(max_length=128)
    accepted_digest = models.CharField(max_length=64, default="", blank=True)
    accepted = models.TextField(default="{}")
    accepted_by = models.CharField(max_length=150, default="", blank=True)
    accepted_at = models.DateTimeField(null=True)
    offered_digest = models.CharField(max_length=64, default="", blank=True)
    offered = models.TextField(default="{}")
    offered_at = models.DateTimeField(null=True)
    refused_digest = models.CharField(max_length=64, default="", blank=True)
    refused = models.TextField(default="{}")
    refused_by = models.CharField(max_length=150, default="", blank=True)
    refused_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "tool_pin"
        constraints = [
            # Its order serves the lists as well.
            models.UniqueConstraint("server", "tool", name="tool_pin_once"),
            # What is offered is always something new.
            models.CheckConstraint(
                name="tool_pin_offers_news",
                condition=Q(offered_digest="")
                | (~Q(offered_digest=models.F("accepted_digest"))
                   & ~Q(offered_digest=models.F("refused_digest"))),
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.server}/{self.tool}"
