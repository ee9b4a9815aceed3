"""Escalation: who is told when, and what was told to whom."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models.functions import Now


class Rota(models.Model):
    """People who take turns. ``plan`` is what ``approvals.rotas`` reads: turns, zone, quiet."""

    name = models.CharField(max_length=80, unique=True)
    plan = models.JSONField()

    class Meta:
        db_table = "escalation_rota"

    def __str__(self) -> str:
        return self.name


class Chain(models.Model):
    """An escalation chain by name; what it says stands in its versions."""

    name = models.CharField(max_length=80, unique=True)
    # Used where a rule names none, at most one.
    is_usual = models.BooleanField(default=False)

    class Meta:
        db_table = "escalation_chain"
        constraints = [
            models.UniqueConstraint(
                "is_usual", name="chain_one_usual", condition=models.Q(is_usual=True)
            ),
        ]

    def __str__(self) -> str:
        return self.name


class ChainVersion(models.Model):
    """The steps of a chain since ``made_at``, as ``approvals.chains`` reads them."""

    chain = models.ForeignKey(Chain, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    steps = models.JSONField()
    note = models.CharField(max_length=200, blank=True)
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    made_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "escalation_chain_version"
        constraints = [models.UniqueConstraint("chain", "number", name="chain_version_once")]

    def __str__(self) -> str:
        return f"{self.chain} v{self.number}"


class Notice(models.Model):
    """One person told of one step of a request's escalation. The constraint is the promise."""

    request = models.ForeignKey(
        "approvals.Request", on_delete=models.CASCADE, related_name="notices"
    )
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    # What for: ``asked``, ``reminded``, ``escalated``, ``decided`` …, and the step of the chain.
    event = models.CharField(max_length=20)
    step = models.PositiveSmallIntegerField(db_default=0)
    # How: the row of the outbox, or why not ("quiet hours", "no address", "switched off").
    mail = models.ForeignKey(
        "runs.OutboxMail", null=True, on_delete=models.SET_NULL, related_name="+"
    )
    why_not = models.CharField(max_length=80, blank=True, db_default="")
    # Held back by quiet hours until then.
    due_at = models.DateTimeField(null=True)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "approval_notice"
        constraints = [
            models.UniqueConstraint("request", "person", "event", "step", name="notice_once"),
        ]
        indexes = [
            # What quiet hours hold back.
            models.Index("due_at", name="notice_held", condition=models.Q(due_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.event} to {self.person_id}"


class Preference(models.Model):
    """What somebody wants to hear of by mail, and when not."""

    person = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notification_preference"
    )
    # Events they do not want; quiet hours as ``approvals.rotas`` reads them.
    switched_off = models.JSONField(default=list)
    quiet = models.JSONField(null=True)
    zone = models.CharField(max_length=64, blank=True)

    class Meta:
        db_table = "notification_preference"

    def __str__(self) -> str:
        return f"preferences of {self.person_id}"
