"""A conversation: what people say to one agent, and the runs that answer, one after the other."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from runs.models.run import Run


class Conversation(models.Model):
    """A dialogue with an agent. It holds no execution state: that is in its runs.

    ``said`` counts messages and numbers them, ``turns`` counts the runs that answered or do; both
    change only while the row is locked.
    """

    public_id = models.CharField(max_length=25, unique=True, db_collation="C")
    agent = models.TextField()
    title = models.TextField(blank=True, db_default="")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="conversations"
    )
    team = models.ForeignKey(
        "accounts.Team",
        null=True,
        on_delete=models.PROTECT,
        related_name="conversations",
        db_index=False,
    )
    started_by = models.TextField(blank=True, db_default="")
    idempotency_key = models.TextField(null=True, db_collation="C")
    said = models.IntegerField(db_default=0)
    turns = models.IntegerField(db_default=0)
    created_at = models.DateTimeField(db_default=Now())
    active_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "conversation"
        indexes = [
            # The list: the liveliest first, of a person, of a team.
            models.Index(F("active_at").desc(), F("id").desc(), name="conversation_active"),
            models.Index("owner", F("active_at").desc(), name="conversation_by_owner"),
            models.Index(
                "team",
                F("active_at").desc(),
                name="conversation_by_team",
                condition=Q(team__isnull=False),
            ),
        ]
        constraints = [
            # Idempotent creation.
            models.UniqueConstraint(
                fields=["owner", "idempotency_key"],
                name="conversation_idempotency",
                condition=Q(idempotency_key__isnull=False),
                nulls_distinct=False,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.public_id} ({self.agent})"


class Message(models.Model):
    """Something said to the agent: waiting for its turn, or the beginning of a run.

    A message is stored once. While it waits, ``codec`` and ``data`` are the input its run will
    have; from its turn on that is the run's, and the agent's answer is the run's output.
    ``text_in`` names the property of the input that carries a plain text, if it was one.
    """

    conversation = models.ForeignKey(
        Conversation, on_delete=models.CASCADE, related_name="messages", db_index=False
    )
    number = models.IntegerField()
    # An interrupting message goes before those that wait in line.
    urgent = models.BooleanField(db_default=False)
    text_in = models.TextField(blank=True, db_default="")
    codec = models.SmallIntegerField(null=True)
    data = models.BinaryField(null=True)
    digest = models.BinaryField(max_length=32)
    run = models.OneToOneField(Run, null=True, on_delete=models.DO_NOTHING, related_name="message")
    turn = models.IntegerField(null=True)
    sender = models.TextField(blank=True, db_default="")
    idempotency_key = models.TextField(null=True, db_collation="C")
    at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "message"
        indexes = [
            # Whose turn is next, and which conversations have somebody waiting.
            models.Index(
                "conversation",
                F("urgent").desc(),
                "number",
                name="message_waiting",
                condition=Q(run__isnull=True),
            ),
        ]
        constraints = [
            # Numbers are never given twice; also the order in which things were said.
            models.UniqueConstraint("conversation", "number", name="message_number_once"),
            models.UniqueConstraint(
                "conversation", "turn", name="message_turn_once", condition=Q(turn__isnull=False)
            ),
            # The same message sent twice counts once.
            models.UniqueConstraint(
                "conversation",
                "idempotency_key",
                name="message_idempotency",
                condition=Q(idempotency_key__isnull=False),
            ),
            # Either it waits and holds what was said, or it has its turn and the run holds it.
            models.CheckConstraint(
                name="message_waits_or_has_its_turn",
                condition=Q(run__isnull=True, turn__isnull=True, data__isnull=False)
                | Q(run__isnull=False, turn__isnull=False, data__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return f"message {self.number} of conversation {self.conversation_id}"


class Summary(models.Model):
    """What stands for the turns up to number ``through`` in requests to models.

    ``turn`` is the turn in which it was written: runs of earlier turns go on without it. The one
    that reaches furthest counts, of those the newest.
    """

    conversation = models.ForeignKey(
        Conversation, on_delete=models.CASCADE, related_name="summaries", db_index=False
    )
    through = models.IntegerField()
    turn = models.IntegerField()
    # The run that wrote it; a summary outlives it.
    run = models.ForeignKey(
        Run, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    codec = models.SmallIntegerField()
    data = models.BinaryField()
    at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "summary"
        indexes = [
            # The one that counts for a turn.
            models.Index("conversation", F("through").desc(), F("id").desc(), name="summary_last")
        ]

    def __str__(self) -> str:
        return f"summary of turns 1 to {self.through} of conversation {self.conversation_id}"
