"""The kill switch: what must not happen until somebody lets it go on."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from agentops.sdk.ids import new_id


class StopScope(models.TextChoices):
    """What a stop is about."""

    EVERYTHING = "everything", "Everything."
    AGENT = "agent", "An agent, by name."
    AGENT_VERSION = "agent_version", "A version of an agent, as name@version."
    TOOL = "tool", "A tool, by name."
    CREDENTIAL = "credential", "A credential, by its id."
    PERSON = "person", "Runs for a person, by user name."
    RUN = "run", "A run, by its id."


def new_stop_id() -> str:
    """A name for a stop."""
    return new_id("stp")


_ABOUT = {
    StopScope.EVERYTHING: "everything",
    StopScope.AGENT: "agent {}",
    StopScope.AGENT_VERSION: "version {}",
    StopScope.TOOL: "tool {}",
    StopScope.CREDENTIAL: "credential {}",
    StopScope.PERSON: "runs for {}",
    StopScope.RUN: "run {}",
}


def about(scope: str, target: str) -> str:
    """What a stop stops, as a sentence says it."""
    return _ABOUT[StopScope(scope)].format(target)


class Stop(models.Model):
    """A stop that was thrown, with its reason; it holds while ``lifted_at`` is null."""

    public_id = models.CharField(max_length=24, unique=True, default=new_stop_id)
    scope = models.CharField(max_length=13, choices=StopScope)
    target = models.TextField(blank=True, db_collation="C")
    reason = models.TextField()
    thrown_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    # As records call them.
    by = models.TextField()
    thrown_at = models.DateTimeField(db_default=Now())
    # Lifting a stop of everything needs two people: the first one's word waits here.
    first_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    first_reason = models.TextField(blank=True, db_default="")
    first_at = models.DateTimeField(null=True)
    lifted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    lifted_reason = models.TextField(blank=True, db_default="")
    lifted_at = models.DateTimeField(null=True)
    # When what it had frozen went on: until then no deadline of it passes.
    thawed_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "stop"
        indexes = [
            # What is frozen: asked by every sweep.
            models.Index("id", name="stop_frozen", condition=Q(thawed_at__isnull=True)),
        ]
        constraints = [
            models.UniqueConstraint(
                "scope", "target", name="stop_once", condition=Q(lifted_at__isnull=True)
            ),
            models.CheckConstraint(name="stop_says_why", condition=~Q(reason="")),
            models.CheckConstraint(
                name="stop_names_its_target",
                condition=Q(scope="everything", target="")
                | (~Q(scope="everything") & ~Q(target="")),
            ),
        ]

    def __str__(self) -> str:
        return f"stop of {self.about}"

    @property
    def about(self) -> str:
        """What is stopped, as a sentence says it."""
        return about(self.scope, self.target)


class TakeOver(models.Model):
    """A run that a person does by hand, until they give it back."""

    run = models.OneToOneField(
        "runs.Run", on_delete=models.DO_NOTHING, db_constraint=False, related_name="taken_over"
    )
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    since = models.DateTimeField(db_default=Now())
    # Let go by itself, so that nobody's holiday keeps a run.
    until = models.DateTimeField()

    class Meta:
        db_table = "take_over"

    def __str__(self) -> str:
        return f"run {self.run_id} by {self.person_id}"
