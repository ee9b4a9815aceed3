"""A run: one durable execution of an agent. Narrow, because the engine updates it in place."""

from __future__ import annotations

from datetime import UTC, datetime

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from runs.models.worker import Worker

# When a queued run is ready that would be one too many: not by time. See Note [Caps].
HELD_UNTIL = datetime(3000, 1, 1, tzinfo=UTC)


class RunStatus(models.TextChoices):
    """Where a run stands. The same word in database, API, events and console."""

    QUEUED = "queued", "Ready for a worker."
    RUNNING = "running", "A worker holds it."
    WAITING = "waiting", "Holds no worker; waiting_for says for what."
    SUCCEEDED = "succeeded", "The agent returned."
    FAILED = "failed", "It ended without a result; stop_reason says why."
    CANCELLED = "cancelled", "A person or a parent ended it."
    EXPIRED = "expired", "Its time to start or be answered ran out."

    @property
    def is_final(self) -> bool:
        return self in FINAL


FINAL = frozenset({RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.EXPIRED})


class WaitingFor(models.TextChoices):
    """What a waiting run waits for."""

    APPROVAL = "approval", "A person approves or denies an action."
    ANSWER = "answer", "A person answers a question."
    CREDENTIAL = "credential", "A person connects or repairs a credential."
    BUDGET = "budget", "Somebody raises a budget."
    TIMER = "timer", "A point in time."
    RETRY = "retry", "The back-off of a failed attempt."
    EVENT = "event", "A named event from outside."
    CHILD = "child", "A run it started."
    OPERATOR = "operator", "An operator settles something only a person can know."


# What nothing but a person ends, besides approvals and answers, which have their own requests.
PARKED = [WaitingFor.OPERATOR, WaitingFor.BUDGET, WaitingFor.CREDENTIAL]


class StopReason(models.TextChoices):
    """Why a final run ended."""

    COMPLETED = "completed", "The agent returned."
    MAX_STEPS = "max_steps", "It used all the steps it may."
    BUDGET = "budget", "A budget stopped it."
    LOOP = "loop", "It repeated itself."
    NO_PROGRESS = "no_progress", "It did nothing new for too long."
    TIMEOUT = "timeout", "Its working time ran out."
    TOOL_ERROR = "tool_error", "A tool failed for good."
    MODEL_ERROR = "model_error", "The model failed for good."
    AGENT_ERROR = "agent_error", "The agent's own code raised an error."
    RETRIES_EXHAUSTED = "retries_exhausted", "A step failed on every attempt it had."
    DENIED = "denied", "A person denied an action."
    APPROVAL_EXPIRED = "approval_expired", "Nobody decided in time."
    CANCELLED_BY_USER = "cancelled_by_user", "The person it ran for cancelled it."
    CANCELLED_BY_OPERATOR = "cancelled_by_operator", "An operator cancelled it."
    KILLED = "killed", "The kill switch stopped it."
    UNCERTAIN = "uncertain", "Stopped because nobody could tell whether an effect happened."
    CODE_CHANGED = "code_changed", "Stopped because the code no longer fits its record."
    CRASH_LOOP = "crash_loop", "It took its worker down again and again."


class Run(models.Model):
    """One durable execution.

    ``epoch`` is the fence: it rises with every claim and reclaim, and a write that carries an
    older one is refused. ``signal_seq`` counts arrivals in the inbox; a worker suspends a run only
    if it has seen them all. ``ready_at`` is when a worker may claim it (``NULL``: not by time).
    """

    public_id = models.CharField(max_length=24, unique=True, db_collation="C")
    agent = models.TextField()
    agent_version = models.TextField(blank=True, db_default="")
    title = models.TextField(blank=True, db_default="")
    queue = models.TextField(db_default="default")
    priority = models.SmallIntegerField(db_default=0)

    status = models.CharField(
        max_length=9, choices=RunStatus, default=RunStatus.QUEUED, db_default=RunStatus.QUEUED
    )
    waiting_for = models.CharField(max_length=10, choices=WaitingFor, blank=True, db_default="")
    stop_reason = models.CharField(max_length=21, choices=StopReason, blank=True, db_default="")
    # Why exactly, in a word of the code: "uncertain:send_mail#1", "code_changed", "crash_loop".
    waiting_detail = models.TextField(blank=True, db_default="")
    degraded = ArrayField(models.TextField(), default=list, db_default=models.Value("{}"))

    epoch = models.IntegerField(db_default=0)
    worker = models.ForeignKey(
        Worker, null=True, on_delete=models.SET_NULL, db_constraint=False, db_index=False
    )
    ready_at = models.DateTimeField(null=True, db_default=Now())
    signal_seq = models.IntegerField(db_default=0)
    cancel_requested_at = models.DateTimeField(null=True)
    cancel_reason = models.CharField(max_length=21, choices=StopReason, blank=True, db_default="")
    # Who wants it to stop at its next step boundary, until somebody lets it go on.
    pause_by = models.TextField(blank=True, db_default="")
    crash_count = models.SmallIntegerField(db_default=0)
    # Journal rows at the last claim: a crash without a new row counts towards the crash limit.
    claimed_seq = models.IntegerField(db_default=0)
    step_deadline_at = models.DateTimeField(null=True)
    # Working time only; waits do not count.
    timeout_seconds = models.FloatField(null=True)
    worked_ms = models.BigIntegerField(db_default=0)
    expires_at = models.DateTimeField(null=True)

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="runs"
    )
    team = models.ForeignKey(
        "accounts.Team", null=True, on_delete=models.PROTECT, related_name="runs", db_index=False
    )
    # A run a message began. Children and forks of it are not turns of the conversation.
    conversation = models.ForeignKey(
        "runs.Conversation",
        null=True,
        on_delete=models.PROTECT,
        related_name="runs",
        db_index=False,
    )
    started_by = models.TextField(blank=True, db_default="")
    idempotency_key = models.TextField(null=True, db_collation="C")
    # What the caller calls it. Null where nothing was said, which costs the hot row no byte.
    external_id = models.TextField(null=True, db_collation="C")
    tags = ArrayField(models.TextField(), null=True)
    metadata = models.JSONField(null=True)
    parent = models.ForeignKey(
        "self", null=True, on_delete=models.PROTECT, related_name="children", db_index=False
    )
    parent_key = models.TextField(blank=True, db_default="", db_collation="C")
    root = models.ForeignKey(
        "self", null=True, on_delete=models.PROTECT, related_name="descendants", db_index=False
    )
    forked_from = models.ForeignKey(
        "self", null=True, on_delete=models.SET_NULL, related_name="forks", db_index=False
    )
    forked_at_seq = models.IntegerField(null=True)

    # Kept by the owning worker in batches, for lists and for the stuck-run check.
    steps = models.IntegerField(db_default=0)
    retries = models.IntegerField(db_default=0)
    progress = models.TextField(blank=True, db_default="")
    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True)
    status_at = models.DateTimeField(db_default=Now())
    last_progress_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "run"
        indexes = [
            # The claim: due runs of a queue, most urgent first.
            models.Index(
                "queue",
                F("priority").desc(),
                "ready_at",
                "id",
                name="run_queued",
                condition=Q(status="queued"),
            ),
            # The claim: waiting runs whose time has come (timers, retries, deadlines of waits).
            models.Index(
                "queue",
                "ready_at",
                name="run_due",
                condition=Q(status="waiting", ready_at__isnull=False),
            ),
            # The claim under caps: what is held, by agent and by person.
            models.Index(
                "queue",
                "agent",
                F("priority").desc(),
                "id",
                name="run_held_by_agent",
                condition=Q(status="queued", ready_at=HELD_UNTIL),
            ),
            models.Index(
                "queue",
                "owner",
                F("priority").desc(),
                "id",
                name="run_held_by_person",
                condition=Q(status="queued", ready_at=HELD_UNTIL),
            ),
            # The sweep: runs that cannot go on without somebody, few among all that wait.
            models.Index(
                "status_at",
                name="run_parked",
                condition=Q(status="waiting", waiting_for__in=PARKED),
            ),
            # Reclaim and heartbeat: what a worker holds.
            models.Index("worker", name="run_held", condition=Q(status="running")),
            # The sweep: runs that expire.
            models.Index(
                "expires_at",
                name="run_expiring",
                condition=Q(expires_at__isnull=False, finished_at__isnull=True),
            ),
            # Retention.
            models.Index(
                "finished_at", name="run_finished", condition=Q(finished_at__isnull=False)
            ),
            # Families. Most runs have none, and each index costs every change of a run's status.
            models.Index("root", name="run_by_root", condition=Q(root__isnull=False)),
            models.Index(
                "forked_from", name="run_by_source", condition=Q(forked_from__isnull=False)
            ),
            # Lists: newest first, by status, by agent, by owner.
            models.Index(F("created_at").desc(), F("id").desc(), name="run_newest"),
            models.Index("status", F("created_at").desc(), name="run_by_status"),
            models.Index("agent", F("created_at").desc(), name="run_by_agent"),
            models.Index(
                "team",
                F("created_at").desc(),
                name="run_by_team",
                condition=Q(team__isnull=False),
            ),
            # The turns of a conversation.
            models.Index(
                "conversation",
                "id",
                name="run_by_conversation",
                condition=Q(conversation__isnull=False),
            ),
            # Lists: what callers wrote on their runs.
            GinIndex(fields=["tags"], name="run_tags", condition=Q(tags__isnull=False)),
            GinIndex(
                fields=["metadata"],
                name="run_metadata",
                opclasses=["jsonb_path_ops"],
                condition=Q(metadata__isnull=False),
            ),
        ]
        constraints = [
            # Idempotent start.
            models.UniqueConstraint(
                fields=["owner", "agent", "idempotency_key"],
                name="run_idempotency",
                condition=Q(idempotency_key__isnull=False),
                nulls_distinct=False,
            ),
            # One turn at a time: whoever starts a second live run of a conversation is refused.
            models.UniqueConstraint(
                "conversation",
                name="run_one_live_per_conversation",
                condition=Q(conversation__isnull=False, finished_at__isnull=True),
            ),
            # A caller's own name means one run.
            models.UniqueConstraint(
                fields=["owner", "external_id"],
                name="run_external_id",
                condition=Q(external_id__isnull=False),
                nulls_distinct=False,
            ),
            # One child per place in its parent.
            models.UniqueConstraint(
                "parent", "parent_key", name="run_child_once", condition=Q(parent__isnull=False)
            ),
            models.CheckConstraint(
                name="run_status_known", condition=Q(status__in=RunStatus.values)
            ),
            # Only a running run has a worker, and a running run always has one.
            models.CheckConstraint(
                name="run_worker_iff_running",
                condition=Q(status="running", worker__isnull=False)
                | (~Q(status="running") & Q(worker__isnull=True)),
            ),
            # A waiting run says what for; no other does.
            models.CheckConstraint(
                name="run_waits_for_something",
                condition=Q(status="waiting", waiting_for__in=WaitingFor.values)
                | (~Q(status="waiting") & Q(waiting_for="")),
            ),
            # A final run says why and when; no other does.
            models.CheckConstraint(
                name="run_final_says_why",
                condition=Q(
                    status__in=sorted(FINAL),
                    stop_reason__in=StopReason.values,
                    finished_at__isnull=False,
                )
                | (~Q(status__in=sorted(FINAL)) & Q(stop_reason="", finished_at__isnull=True)),
            ),
            # A queued run can always be claimed at some time.
            models.CheckConstraint(
                name="run_queued_is_claimable",
                condition=~Q(status="queued") | Q(ready_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.public_id} ({self.agent}, {self.status})"

    @property
    def is_final(self) -> bool:
        return RunStatus(self.status).is_final

    @property
    def is_held(self) -> bool:
        """Whether it would be one too many; ``waiting_detail`` says of what."""
        return self.status == RunStatus.QUEUED and self.ready_at == HELD_UNTIL


class RunPayload(models.Model):
    """What went in and what came out, kept off the hot row.

    ``codec`` and ``data`` are a pair as in :class:`runs.models.Journal`. ``input_digest`` is the
    SHA-256 of the canonical input, compared when an idempotency key comes again.
    """

    run = models.OneToOneField(
        Run, primary_key=True, on_delete=models.CASCADE, related_name="payload"
    )
    input_codec = models.SmallIntegerField(db_default=0)
    input = models.BinaryField()
    input_digest = models.BinaryField(max_length=32)
    output_codec = models.SmallIntegerField(null=True)
    output = models.BinaryField(null=True)
    # Encoded {"code", "message", "kind", "steps"} of a run that failed.
    error_codec = models.SmallIntegerField(null=True)
    error = models.BinaryField(null=True)
    # The W3C trace context of the request that started it.
    traceparent = models.CharField(max_length=55, null=True)

    class Meta:
        db_table = "run_payload"
        indexes = [
            # Blob collection.
            models.Index("input", name="payload_input_blob", condition=Q(input_codec=2)),
            models.Index("output", name="payload_output_blob", condition=Q(output_codec=2)),
        ]

    def __str__(self) -> str:
        return f"payload of run {self.run_id}"
