"""Start-up of the project's own app."""

from __future__ import annotations

from django.apps import AppConfig
from django.conf import settings
from django.contrib.admin.apps import AdminConfig as DjangoAdminConfig


class AgentopsConfig(AppConfig):
    """Loads the Celery app, which the façade must not do: it runs before settings exist."""

    name = "agentops"
    verbose_name = "Agent operations"

    def ready(self) -> None:
        from agentops import celery, checks
        from agentops.providers import foreign
        from agentops.sdk import catalog

        # Names them only: modules of authors are imported on first use.
        catalog.configure(tuple(settings.AGENTOPS_AGENTS))
        catalog.recognise(foreign.find)


class AdminConfig(DjangoAdminConfig):
    """The Django admin, with a site of our own."""

    default_site = "agentops.views.administration.Site"
