"""One form of log line for everything: an event, key-values, and the request it belongs to."""

from __future__ import annotations

import logging.config
from typing import Any

import structlog
from structlog.types import EventDict, Processor, WrappedLogger

_SHARED: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.StackInfoRenderer(),
]
# Every request is told once, when it ends.
_TOLD_AT_THE_END = frozenset({"request_started"})


def configuration(form: str, level: str) -> dict[str, Any]:
    """Django's LOGGING, after telling structlog to pass its lines the same way."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            _drop_beginnings,
            *_SHARED,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": _formatter, "form": form}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # Libraries that bring handlers of their own pass their lines on instead.
            **{name: {"handlers": [], "propagate": True} for name in ("uvicorn", "django")},
            "django.server": {"handlers": [], "propagate": True},
            "uvicorn.error": {"handlers": [], "propagate": True},
            # Told by the request's own line.
            "django.request": {"level": "ERROR"},
            "uvicorn.access": {"handlers": [], "propagate": False},
            "celery": {"level": "WARNING"},
            "kombu": {"level": "WARNING"},
            "django_celery_beat": {"level": "WARNING"},
            "axes": {"level": "WARNING"},
        },
    }


def _formatter(form: str) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_SHARED, structlog.stdlib.ExtraAdder()],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            *(_as_text() if form == "text" else _as_json()),
        ],
    )


def _as_text() -> list[Processor]:
    return [
        structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=True),
        structlog.processors.EventRenamer("event"),
        structlog.dev.ConsoleRenderer(
            colors=False,
            pad_event_to=0,
            pad_level=False,
            # The pretty one shows local variables, and with them secrets.
            exception_formatter=structlog.dev.plain_traceback,
        ),
    ]


def _as_json() -> list[Processor]:
    return [
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(
            structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        ),
        structlog.processors.JSONRenderer(),
    ]


def _drop_beginnings(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    if event.get("event") in _TOLD_AT_THE_END:
        raise structlog.DropEvent
    return event
