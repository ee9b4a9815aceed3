"""Which models there are, and which of them a route asks."""

from __future__ import annotations

import re

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.db.models.functions import Now

_NAME = RegexValidator(
    r"^[a-z][a-z0-9-]{0,39}$", "Small letters, digits and dashes; a letter first."
)


def is_no_key(value: str) -> None:
    """Refuse what looks like a key rather than like the name of a variable, without quoting it."""
    parts = value.split("_")
    named = re.fullmatch(r"[A-Z][A-Z0-9_]*", value)
    if not named or any(len(p) >= 16 and any(c.isdigit() for c in p) for p in parts):
        raise ValidationError(
            "That is no name of a variable. Write a name such as OPENAI_API_KEY here and set the "
            "key in the environment of the workers. If it was a key, replace it at its provider."
        )


class ModelProtocol(models.TextChoices):
    """What an endpoint speaks; see ``agentops.providers.endpoints``."""

    OPENAI = "openai", "OpenAI chat completions (OpenAI, Ollama, vLLM, …)"
    ANTHROPIC = "anthropic", "Anthropic messages"
    GOOGLE = "google", "Google Gemini"
    SCRIPTED = "scripted", "Scripted: no model, for trying things"


class ModelEndpoint(models.Model):
    """Where models are served, with which key and at which pace.

    ``key_variable`` names the environment variable of the workers that holds the key. The limits
    are those of the provider for this key; empty means that none is known.
    """

    name = models.CharField(max_length=40, unique=True, validators=[_NAME])
    protocol = models.CharField(max_length=16, choices=ModelProtocol)
    base_url = models.URLField(blank=True, help_text="Empty: the provider's own address.")
    key_variable = models.CharField(
        max_length=80,
        blank=True,
        validators=[is_no_key],
        help_text="Environment variable of the workers that holds the key. Never the key itself.",
    )
    requests_per_minute = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)]
    )
    tokens_per_minute = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)]
    )
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "model_endpoint"
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class RouteVersion(models.Model):
    """What a route asks, since ``made_at``. Versions are added, never changed.

    ``candidates`` is an ordered list as ``runs.routing`` reads it.
    """

    route = models.CharField(max_length=40, validators=[_NAME])
    number = models.PositiveIntegerField()
    candidates = models.JSONField()
    note = models.CharField(max_length=200, blank=True)
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    made_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "route_version"
        ordering = ["route", "-number"]
        constraints = [
            models.UniqueConstraint("route", "number", name="route_version_once"),
        ]

    def __str__(self) -> str:
        return f"{self.route} v{self.number}"


class LimitBucket(models.Model):
    """A token bucket: what may still be taken now, and how fast it fills again."""

    key = models.TextField(primary_key=True)
    level = models.FloatField()
    changed_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "limit_bucket"

    def __str__(self) -> str:
        return f"{self.key}: {self.level:g}"


class AgentLimit(models.Model):
    """How many runs of an agent hold workers at once, whatever its author declared.

    Empty means as many as there are.
    """

    agent = models.CharField(max_length=200, unique=True)
    max_running = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)]
    )

    class Meta:
        db_table = "agent_limit"

    def __str__(self) -> str:
        return f"{self.agent}: {self.max_running or 'no limit'}"
