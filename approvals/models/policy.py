"""Policies: rules by which an agent may act, has to ask, or must not."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class Effect(models.TextChoices):
    """What a rule says of an action it speaks of. Deny is stricter than ask, ask than allow."""

    ALLOW = "allow", "The agent may."
    ASK = "ask", "A person decides."
    DENY = "deny", "The agent must not."


class Mode(models.TextChoices):
    """Whether a rule counts."""

    ENFORCED = "enforced", "It counts."
    WATCH = "watch", "What it would have said is recorded, nothing more."


class PolicyVersion(models.Model):
    """The rules of a team, or of everybody where ``team`` is null, since ``made_at``.

    Versions are added, never changed; the highest number counts. ``rules`` is an ordered list as
    ``approvals.rules`` reads it. Both layers hold together: what either forbids is forbidden, so a
    team can only be stricter than everybody.
    """

    team = models.ForeignKey("accounts.Team", null=True, on_delete=models.CASCADE, related_name="+")
    number = models.PositiveIntegerField()
    rules = models.JSONField()
    # What holds for a tool that changes something where no rule speaks of it.
    unmatched = models.CharField(max_length=5, choices=Effect, default=Effect.ASK)
    note = models.CharField(max_length=200, blank=True)
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    made_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "policy_version"
        ordering = ["team", "-number"]
        constraints = [
            models.UniqueConstraint(
                fields=["team", "number"], name="policy_version_once", nulls_distinct=False
            ),
            models.CheckConstraint(
                name="policy_effect_known", condition=Q(unmatched__in=Effect.values)
            ),
        ]

    def __str__(self) -> str:
        return f"policy of {self.team or 'everybody'} v{self.number}"


class PolicyProposal(models.Model):
    """A version somebody wants that lets agents do more: it holds once somebody else agrees.

    ``based_on`` is the number of the version it was written against; when another is saved
    meanwhile, it can no longer be agreed to.
    """

    team = models.ForeignKey("accounts.Team", null=True, on_delete=models.CASCADE, related_name="+")
    based_on = models.PositiveIntegerField()
    rules = models.JSONField()
    unmatched = models.CharField(max_length=5, choices=Effect, default=Effect.ASK)
    note = models.CharField(max_length=200)
    # What it would let agents do that they may not do now, in words.
    widens = models.JSONField(default=list)
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+"
    )
    made_at = models.DateTimeField(db_default=Now())
    # Agreed to, refused or taken back; the version is there where it was agreed to.
    closed_at = models.DateTimeField(null=True)
    closed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    became = models.OneToOneField(
        PolicyVersion, null=True, on_delete=models.CASCADE, related_name="proposal"
    )

    class Meta:
        db_table = "policy_proposal"
        constraints = [
            # One at a time for a layer, so that whoever agrees knows what they agree to.
            models.UniqueConstraint(
                fields=["team"],
                name="policy_proposal_one_open",
                condition=Q(closed_at__isnull=True),
                nulls_distinct=False,
            ),
            models.CheckConstraint(
                name="policy_proposal_takes_two",
                condition=Q(became__isnull=True) | ~Q(closed_by=models.F("made_by")),
            ),
        ]

    def __str__(self) -> str:
        return f"proposal for {self.team or 'everybody'} after v{self.based_on}"
