"""What ``manage.py check`` says about this installation, each with what to do about it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004
from django.utils.module_loading import import_string

import agentops
from agentops.sdk.catalog import catalog

_QUEUE_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")


@register()
def our_package_is_ours(**_: Any) -> list[CheckMessage]:
    """Another product has the import name of our package."""
    found: list[CheckMessage] = []
    if Path(agentops.__file__).resolve().parent.parent != settings.BASE_DIR:
        found.append(
            Error(
                f"The package agentops is imported from {agentops.__file__}, which is another "
                "product of that name.",
                hint="Run commands from the project's folder, or put it first on PYTHONPATH.",
                id="agentops.E001",
            )
        )
    if _is_installed("agentops"):
        found.append(
            Warning(
                "Another product called agentops is installed in this environment. Where the "
                "project's folder is not first on the path, it is imported instead of ours.",
                hint="Uninstall it: .venv/bin/uv pip uninstall agentops.",
                id="agentops.W001",
            )
        )
    return found


@register()
def author_modules_import(**_: Any) -> list[CheckMessage]:
    """A module of AGENTOPS_AGENTS that is broken is left out; the others work."""
    return [
        Warning(
            problem.sentence,
            hint=f"Repair the module, or take {problem.module} out of AGENTOPS_AGENTS. "
            "Other modules are not affected.",
            id="agentops.W002",
        )
        for problem in catalog().problems()
    ]


@register()
def engine_settings_fit(**_: Any) -> list[CheckMessage]:
    """Times and names that would make a worker lose its runs, or never find one."""
    found: list[CheckMessage] = []
    if settings.AGENTOPS_HEARTBEAT_SECONDS * 2 > settings.AGENTOPS_LEASE_SECONDS:
        found.append(
            Error(
                f"A lease of {settings.AGENTOPS_LEASE_SECONDS:g} s with a heartbeat every "
                f"{settings.AGENTOPS_HEARTBEAT_SECONDS:g} s ends after one late heartbeat.",
                hint="Make AGENTOPS_LEASE_SECONDS at least twice AGENTOPS_HEARTBEAT_SECONDS.",
                id="agentops.E002",
            )
        )
    found += [
        Error(
            f"“{name}” cannot be the name of a queue.",
            hint="In AGENTOPS_QUEUES use lower-case letters, digits, dots, dashes and "
            "underscores, separated by commas.",
            id="agentops.E003",
        )
        for name in settings.AGENTOPS_QUEUES
        if not _QUEUE_NAME.fullmatch(name)
    ]
    return found


@register()
def duties_import(**_: Any) -> list[CheckMessage]:
    """A duty that is not there fails in every sweep."""
    found: list[CheckMessage] = []
    for name in settings.AGENTOPS_DUTIES:
        try:
            import_string(name)
        except ImportError as error:
            found.append(
                Error(
                    f"The duty {name} cannot be imported: {error}",
                    hint="Repair the name in AGENTOPS_DUTIES, or take it out.",
                    id="agentops.E004",
                )
            )
    return found


@register()
def unruled_is_known(**_: Any) -> list[CheckMessage]:
    """A misspelt word denies everything, which is safe and of no use."""
    if settings.AGENTOPS_UNRULED in {"allow", "ask", "deny"}:
        return []
    return [
        Error(
            f"AGENTOPS_UNRULED says “{settings.AGENTOPS_UNRULED}”, which nobody understands; until "
            "a policy is saved every call that changes something is denied.",
            hint="Set it to allow, ask or deny.",
            id="agentops.E005",
        )
    ]


@register(Tags.security, deploy=True)
def production_is_reachable_safely(**_: Any) -> list[CheckMessage]:
    """What a production would miss."""
    rules: Sequence[tuple[Callable[[], bool], str, str, str]] = (
        (
            lambda: not settings.AGENTOPS_PUBLIC_URL.startswith("https://"),
            "AGENTOPS_PUBLIC_URL is not an https:// address, so cookies travel in the clear.",
            "Put a TLS proxy in front and set AGENTOPS_PUBLIC_URL to the address people use.",
            "agentops.W003",
        ),
        (
            lambda: not settings.AGENTOPS_FIELD_KEYS,
            "AGENTOPS_FIELD_KEYS is not set: what is sealed now cannot be read after a restart.",
            "Set it, and keep a copy apart from the database's backups.",
            "agentops.W004",
        ),
    )
    return [Warning(said, hint=hint, id=ident) for applies, said, hint, ident in rules if applies()]


def _is_installed(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True
