"""The Celery application: it carries bells, never state."""

from __future__ import annotations

import os

from celery import Celery
from celery.signals import setup_logging, worker_ready

from agentops import announce

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentops.settings")

app = Celery("agentops")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect
def _leave_logging_alone(**_: object) -> None:
    """Having a receiver keeps Celery from replacing what the settings configured."""


@worker_ready.connect
def _tell_the_launcher(**_: object) -> None:
    announce.ready()
