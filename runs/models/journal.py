"""The journal: what happened in a run, numbered without gaps, written once and never changed."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from runs.models.run import Run


class Phase(models.IntegerChoices):
    """What a journal row records about its key.

    A checkpoint is the *outcome* row of a step. The attempt ``n`` of a step is its *started*,
    *intent* and *failed* rows with that ``n``.
    """

    INTENT = 0, "Durable promise made before attempt n may act"
    OUTCOME = 1, "Recorded result or final error of a step; n is 0, so there can be one only"
    STARTED = 2, "Attempt n is under way (written for attempts that take a while)"
    FAILED = 3, "Attempt n failed and another one follows"
    NOTE = 4, "Something worth telling that no step returns"
    VOID = 5, "Intent n did not happen; a later attempt may act"


class Journal(models.Model):
    """One line of a run's history; the event stream and the replay read the same rows.

    ``seq`` runs 1, 2, 3 … per run, in the order of commit. ``codec`` says how ``data`` is stored:
    0 JSON, 1 JSON deflated with zlib, 2 the SHA-256 of a :class:`Blob`. ``meta`` is small,
    sanitised and safe to show to anyone who may see the run.
    """

    pk = models.CompositePrimaryKey("run_id", "key", "phase", "n")
    run = models.ForeignKey(Run, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False)
    key = models.TextField(db_collation="C")
    phase = models.SmallIntegerField(choices=Phase)
    # An attempt, or for a note whatever makes it unique, often an epoch: hence not a small integer.
    n = models.IntegerField(default=0, db_default=0)
    seq = models.IntegerField()
    epoch = models.IntegerField()
    kind = models.TextField()
    name = models.TextField()
    fingerprint = models.TextField(db_default="")
    codec = models.SmallIntegerField(null=True)
    data = models.BinaryField(null=True)
    # The arguments of the step, stored with the first row that is written of it.
    input_codec = models.SmallIntegerField(null=True)
    input = models.BinaryField(null=True)
    meta = models.JSONField(null=True)
    started_at = models.DateTimeField(null=True)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "journal"
        constraints = [
            # Numbers are never given twice; also the order of replay and of the event stream.
            models.UniqueConstraint("run", "seq", name="journal_seq_once"),
            # A step has one recorded outcome.
            models.CheckConstraint(
                name="journal_outcome_is_single", condition=~Q(phase=1) | Q(n=0)
            ),
        ]
        indexes = [
            # Blob collection: which stored values are still referred to.
            models.Index("data", name="journal_blob", condition=Q(codec=2)),
            models.Index("input", name="journal_input_blob", condition=Q(input_codec=2)),
        ]

    def __str__(self) -> str:
        return f"{self.run_id}:{self.seq} {self.kind} {self.key}"


class Inbox(models.Model):
    """What reached a run from outside: events, answers, results of children, late settlements.

    ``n`` is the run's ``signal_seq`` at arrival. A row is consumed when the journal says so.
    """

    pk = models.CompositePrimaryKey("run_id", "n")
    run = models.ForeignKey(Run, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False)
    n = models.IntegerField()
    name = models.TextField()
    dedup_key = models.TextField(null=True, db_collation="C")
    codec = models.SmallIntegerField(default=0)
    data = models.BinaryField()
    sender = models.TextField(blank=True, db_default="")
    at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "inbox"
        constraints = [
            # The same message twice counts once.
            models.UniqueConstraint(
                "run", "dedup_key", name="inbox_dedup", condition=Q(dedup_key__isnull=False)
            ),
        ]
        # Blob collection.
        indexes = [models.Index("data", name="inbox_blob", condition=Q(codec=2))]

    def __str__(self) -> str:
        return f"{self.run_id}:{self.n} {self.name}"


class Blob(models.Model):
    """A large value, stored once under its SHA-256 (``digest`` of the stored bytes)."""

    digest = models.BinaryField(primary_key=True, max_length=32)
    codec = models.SmallIntegerField()
    data = models.BinaryField()
    size = models.IntegerField()
    # Renewed whenever a row comes to refer to it, so that collection never races a writer.
    referenced_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "blob"
        indexes = [models.Index("referenced_at", name="blob_age")]

    def __str__(self) -> str:
        return f"blob of {self.size} bytes"
