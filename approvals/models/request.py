"""Requests: what waits for a person, the exact thing they are asked about, and their votes."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from agentops.sdk.ids import new_id


class Kind(models.TextChoices):
    """What is wanted of a person."""

    APPROVAL = "approval", "May this action happen?"
    QUESTION = "question", "The agent asks something."
    ATTENTION = "attention", "The run cannot go on by itself."


class State(models.TextChoices):
    """Where a request stands. All but *pending* and *approved* are final."""

    PENDING = "pending", "Waits for people."
    # An action.
    APPROVED = "approved", "It may happen, once."
    CONSUMED = "consumed", "It was let through to happen."
    REJECTED = "rejected", "It must not happen."
    LAPSED = "lapsed", "It was approved and did not begin in time."
    REVOKED = "revoked", "The approval was taken back before it began."
    SUPERSEDED = "superseded", "What it was about has changed; there is a new one."
    # A question.
    ANSWERED = "answered", "Somebody answered."
    DECLINED = "declined", "Somebody declined to answer."
    # A run that cannot go on.
    RESOLVED = "resolved", "The run went on, or ended."
    # Any of them.
    EXPIRED = "expired", "Nobody decided in time."
    CANCELLED = "cancelled", "The run ended before."


OPEN = (State.PENDING, State.APPROVED)


class Risk(models.TextChoices):
    """How much there is to lose, as the rule that asks says."""

    LOW = "low", "low"
    MEDIUM = "medium", "medium"
    HIGH = "high", "high"


class OnExpiry(models.TextChoices):
    """What happens when nobody decided in time."""

    DENY = "deny", "It must not happen."
    ESCALATE = "escalate", "More people are asked."
    WAIT = "wait", "It goes on waiting, with reminders."
    APPROVE = "approve", "It may happen. Only where the risk is low."


class Verdict(models.TextChoices):
    """What a vote says."""

    APPROVE = "approve", "May happen."
    REJECT = "reject", "Must not happen."


def new_request_id() -> str:
    """A name for a request that tells nothing about it."""
    return new_id("req")


class Request(models.Model):
    """Something a person has to decide.

    One row per step that asks (``key`` in its run) and ``round``: a new round begins when what was
    asked about is no longer true. The action itself stands in its revisions, newest last; votes
    belong to a revision. State changes under a lock on this row only, with a :class:`Record`, and
    with the message that wakes the run, in one transaction.
    """

    public_id = models.CharField(max_length=24, unique=True, default=new_request_id)
    kind = models.CharField(max_length=9, choices=Kind)
    state = models.CharField(max_length=10, choices=State, db_default=State.PENDING)
    # What was decided is remembered longer than the run, whose name is kept here too.
    run = models.ForeignKey(
        "runs.Run", on_delete=models.DO_NOTHING, db_constraint=False, related_name="requests"
    )
    run_public_id = models.CharField(max_length=24)
    key = models.TextField(db_collation="C")
    round = models.PositiveIntegerField(db_default=1)
    # Copies of what the run says, for lists and for the sight of owner and team.
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    team = models.ForeignKey("accounts.Team", null=True, on_delete=models.PROTECT, related_name="+")
    agent = models.TextField()
    # The tool; of attention, why the run cannot go on (``uncertain``, ``code_changed`` …).
    name = models.TextField()
    title = models.CharField(max_length=200)
    risk = models.CharField(max_length=6, choices=Risk, db_default=Risk.MEDIUM)

    # An approval: the rule that asks, as it was then, and its version. Of a question: its form.
    policy = models.ForeignKey(
        "approvals.PolicyVersion", null=True, on_delete=models.PROTECT, related_name="+"
    )
    rule = models.JSONField(default=dict)
    # Who has to agree: [{"role": "approver"} or {"team": "finance"}, each with "count"].
    factors = models.JSONField(default=list)
    schema = models.JSONField(null=True)
    # What the tool's preview told, to be shown; its etag is in the revision.
    preview = models.JSONField(null=True)
    # The model's words for why, plain and cut; never believed.
    reason = models.TextField(blank=True, db_default="")

    decide_by = models.DateTimeField(null=True)
    on_expiry = models.CharField(max_length=8, choices=OnExpiry, db_default=OnExpiry.DENY)
    # Seconds between the approval and its end, and before it may begin to count (undo).
    execute_seconds = models.PositiveIntegerField(db_default=900)
    undo_seconds = models.PositiveSmallIntegerField(db_default=0)
    ready_at = models.DateTimeField(null=True)
    execute_by = models.DateTimeField(null=True)

    decided_at = models.DateTimeField(null=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    # Feedback to the model, or why it was approved; the answer of a question.
    comment = models.TextField(blank=True, db_default="")
    answer = models.JSONField(null=True)
    # Rejected for good: the same action is not asked again in this run.
    for_good = models.BooleanField(db_default=False)
    consumed_at = models.DateTimeField(null=True)

    # Escalation: the chain as it was when it began, and when its next step is due.
    chain = models.JSONField(null=True)
    chain_step = models.PositiveSmallIntegerField(db_default=0)
    next_step_at = models.DateTimeField(null=True)
    acknowledged_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    acknowledged_at = models.DateTimeField(null=True)

    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "approval_request"
        constraints = [
            models.UniqueConstraint("run", "key", "kind", "round", name="request_once"),
            models.CheckConstraint(name="request_state_known", condition=Q(state__in=State.values)),
            models.CheckConstraint(
                name="request_expiry_approves_low_risk_only",
                condition=~Q(on_expiry="approve") | Q(risk="low"),
            ),
            models.CheckConstraint(
                name="request_decided_iff_not_pending",
                condition=Q(state="pending", decided_at__isnull=True)
                | (~Q(state="pending") & Q(decided_at__isnull=False)),
            ),
        ]
        indexes = [
            models.Index("decide_by", name="request_pending", condition=Q(state="pending")),
            models.Index("execute_by", name="request_approved", condition=Q(state="approved")),
            models.Index(
                "next_step_at", name="request_escalating", condition=Q(next_step_at__isnull=False)
            ),
            # What the sweep gives a chain.
            models.Index(
                "id", name="request_unchained", condition=Q(state="pending", chain__isnull=True)
            ),
            models.Index(F("created_at").desc(), F("id").desc(), name="request_newest"),
            models.Index("name", F("created_at").desc(), name="request_by_name"),
        ]

    def __str__(self) -> str:
        return f"{self.public_id} ({self.kind}, {self.state})"

    @property
    def is_open(self) -> bool:
        """Whether something may still come of it."""
        return self.state in OPEN


class Revision(models.Model):
    """The exact action: the canonical bytes of its envelope (RFC 8785) and their SHA-256.

    What runs is read from ``envelope``, and what people see too. Never changed: whoever edits the
    arguments makes the next revision.
    """

    request = models.ForeignKey(Request, on_delete=models.CASCADE, related_name="revisions")
    number = models.PositiveIntegerField()
    envelope = models.BinaryField()
    digest = models.BinaryField(max_length=32)
    # SHA-256 of tool and arguments alone: the same action asked again, in whatever step.
    action = models.BinaryField(max_length=32)
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    made_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "approval_revision"
        constraints = [
            models.UniqueConstraint("request", "number", name="revision_once"),
        ]
        indexes = [models.Index("action", name="revision_by_action")]

    def __str__(self) -> str:
        return f"revision {self.number} of {self.request_id}"


class Vote(models.Model):
    """What one person said of one revision. ``factor`` is the place in ``Request.factors``."""

    request = models.ForeignKey(Request, on_delete=models.CASCADE, related_name="votes")
    revision = models.ForeignKey(Revision, on_delete=models.CASCADE, related_name="votes")
    voter = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    # For whom, where somebody stands in.
    deputy = models.ForeignKey(
        "approvals.Deputy", null=True, on_delete=models.PROTECT, related_name="+"
    )
    factor = models.PositiveSmallIntegerField(null=True)
    verdict = models.CharField(max_length=7, choices=Verdict)
    comment = models.TextField(blank=True, db_default="")
    # SHA-256 of the envelope they were shown.
    shown = models.BinaryField(max_length=32)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "approval_vote"
        constraints = [
            models.UniqueConstraint("revision", "voter", name="vote_once"),
        ]

    def __str__(self) -> str:
        return f"{self.verdict} of {self.voter_id}"
