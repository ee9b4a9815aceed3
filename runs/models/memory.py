"""What agents remember, in the name of an agent, a person or a team."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector, SearchVectorField
from django.db import models
from django.db.models import F, Func, Q, Value
from django.db.models.functions import Now

from agentops.sdk.ids import new_id


def new_memory_id() -> str:
    """A fresh public id of an entry."""
    return new_id("mem")


class MemoryKind(models.TextChoices):
    """Whose memory it is."""

    AGENT = "agent", "The agent's own, whoever it works for"
    PERSON = "person", "A person's, whichever agent works for them"
    TEAM = "team", "A team's, shared by its members' runs"


class Memory(models.Model):
    """An entry. Written only by ``runs.engine.memories``.

    ``codec`` and ``data`` are the value, ``text`` is what it is found by. ``run`` and ``step`` name
    what wrote it last and stay when the run is gone; ``written_by`` is the agent or the person.
    Every write raises ``revision`` by one. An entry whose time is over is as good as deleted.
    """

    public_id = models.CharField(
        max_length=24, unique=True, db_collation="C", default=new_memory_id
    )
    kind = models.CharField(max_length=6, choices=MemoryKind)
    agent = models.TextField(blank=True, db_default="")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.CASCADE,
        related_name="memories",
        db_index=False,
    )
    team = models.ForeignKey(
        "accounts.Team", null=True, on_delete=models.CASCADE, related_name="memories"
    )
    key = models.TextField(db_collation="C")
    codec = models.SmallIntegerField()
    data = models.BinaryField()
    text = models.TextField(blank=True, db_default="")
    found_by = models.GeneratedField(
        # The words of a key count, not the marks between them.
        expression=SearchVector(
            Func(
                F("key"),
                Value("_-./:"),
                Value("     "),
                function="translate",
                output_field=models.TextField(),
            ),
            weight="A",
            config="simple",
        )
        + SearchVector("text", weight="B", config="simple"),
        output_field=SearchVectorField(),
        db_persist=True,
    )
    revision = models.IntegerField(db_default=1)
    expires_at = models.DateTimeField(null=True)
    run = models.CharField(max_length=25, blank=True, db_default="", db_collation="C")
    step = models.TextField(blank=True, db_default="")
    written_by = models.TextField(blank=True, db_default="")
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "memory"
        verbose_name_plural = "memories"
        indexes = [
            # Search by words.
            GinIndex(fields=["found_by"], name="memory_found_by"),
            # What the sweep deletes.
            models.Index(
                fields=["expires_at"], name="memory_expiry", condition=Q(expires_at__isnull=False)
            ),
            # All of a person: their page, and their erasure.
            models.Index(
                fields=["owner"], name="memory_by_owner", condition=Q(owner__isnull=False)
            ),
        ]
        constraints = [
            # A key means one entry of its namespace; what two writers at once meet at.
            models.UniqueConstraint(
                fields=["kind", "agent", "owner", "team", "key"],
                name="memory_key_once",
                nulls_distinct=False,
            ),
            # A namespace is an agent, a person or a team, and nothing else besides.
            models.CheckConstraint(
                name="memory_is_somebodys",
                condition=Q(kind="agent", owner__isnull=True, team__isnull=True) & ~Q(agent="")
                | Q(kind="person", owner__isnull=False, team__isnull=True, agent="")
                | Q(kind="team", owner__isnull=True, team__isnull=False, agent=""),
            ),
            models.CheckConstraint(name="memory_revision_counts", condition=Q(revision__gte=1)),
        ]

    def __str__(self) -> str:
        return f"{self.public_id} ({self.kind}: {self.key})"
