"""Which models there are, and which of them a route asks."""

from __future__ import annotations

from django.conf import settings
from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.db.models.functions import Now

_NAME = RegexValidator(
    r"^[a-z][a-z0-9-]{0,39}$", "Small letters, digits and dashes; a letter first."
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
        validators=[RegexValidator(r"^[A-Z][A-Z0-9_]*$", "The name of a variable, not a key.")],
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
