"""Standing permissions: what somebody allowed beforehand, and who decides in whose place."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from agentops.sdk.ids import new_id


def new_grant_id() -> str:
    """A name for a grant."""
    return new_id("grt")


class Grants(models.QuerySet["Grant"]):
    """Grants, with names for what is asked of them."""

    def live(self) -> Grants:
        """Those that still cover something, as far as time and people go."""
        return self.filter(revoked_at=None, expires_at__gt=Now())


class Deputies(models.QuerySet["Deputy"]):
    """Deputies, with names for what is asked of them."""

    def in_force(self) -> Deputies:
        """Those who stand in for somebody at this moment."""
        return self.filter(ended_at=None, begins_at__lte=Now(), ends_at__gt=Now())


class Grant(models.Model):
    """A standing permission to call a tool, within bounds, for a while.

    It holds for one version of the tool and of the agent. ``when`` is a CEL expression on the
    arguments; ``sum_of`` names an argument whose values may add up to ``sum_limit``. Where it
    covers a call, nobody is asked; rules that deny or always ask come before it.
    """

    public_id = models.CharField(max_length=24, unique=True, default=new_grant_id)
    tool = models.TextField()
    tool_digest = models.CharField(max_length=64)
    agent = models.TextField()
    agent_version = models.TextField()
    # Only this run, or only runs for this person; both null: all runs of the agent.
    run = models.ForeignKey(
        "runs.Run", null=True, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+"
    )
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="+"
    )
    team = models.ForeignKey("accounts.Team", null=True, on_delete=models.CASCADE, related_name="+")
    when = models.TextField(blank=True, db_default="")
    # Only this very action, by its digest.
    action = models.BinaryField(max_length=32, null=True)
    max_uses = models.PositiveIntegerField(null=True)
    uses = models.PositiveIntegerField(db_default=0)
    sum_of = models.TextField(blank=True, db_default="")
    sum_limit = models.DecimalField(max_digits=20, decimal_places=6, null=True)
    sum_used = models.DecimalField(max_digits=20, decimal_places=6, db_default=0)
    issued_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    issued_from = models.ForeignKey(
        "approvals.Request", null=True, on_delete=models.SET_NULL, related_name="grants"
    )
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)
    revoked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(db_default=Now())

    objects = Grants.as_manager()

    class Meta:
        db_table = "approval_grant"
        constraints = [
            # The counts are the promise; no race goes past them.
            models.CheckConstraint(
                name="grant_uses_within",
                condition=Q(max_uses__isnull=True) | Q(uses__lte=F("max_uses")),
            ),
            models.CheckConstraint(
                name="grant_sum_within",
                condition=Q(sum_limit__isnull=True) | Q(sum_used__lte=F("sum_limit")),
            ),
        ]
        indexes = [
            models.Index("tool", "agent", name="grant_live", condition=Q(revoked_at__isnull=True)),
        ]

    def __str__(self) -> str:
        return f"{self.public_id}: {self.tool}"


class Deputy(models.Model):
    """Somebody who may decide in the place of another for a while; not to be handed on."""

    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="deputies"
    )
    deputy = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="stands_in_for"
    )
    # Only these tools; empty: all.
    tools = ArrayField(models.TextField(), default=list, blank=True)
    begins_at = models.DateTimeField(db_default=Now())
    ends_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    objects = Deputies.as_manager()

    class Meta:
        db_table = "approval_deputy"
        constraints = [
            models.CheckConstraint(name="deputy_is_another", condition=~Q(person=F("deputy"))),
        ]

    def __str__(self) -> str:
        return f"{self.deputy_id} for {self.person_id}"
