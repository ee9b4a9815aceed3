"""Runs of agents: their record, engine and doors."""

from __future__ import annotations

from django.apps import AppConfig
from django.conf import settings

from agentops.sdk import catalog


class RunsConfig(AppConfig):
    name = "runs"
    verbose_name = "Runs"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Name the authors' modules; they are imported on first use."""
        catalog.configure(tuple(settings.AGENTOPS_AGENTS))
