"""What the filter field of a list can go on with, for what was typed so far."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models import QuerySet

from agentops.sdk.catalog import catalog
from runs.listing import Filter
from runs.models import Run, RunStatus, StopReason, WaitingFor

MOST = 12
LOOKED_AT = 2_000
_PERIODS = ("30m", "24h", "7d", "30d")


def completions(runs: QuerySet[Run], typed: str) -> list[str]:
    """Whole values for the field: what stands there, with its last word completed."""
    before, _, word = typed.rpartition(" ")
    before = f"{before} " if before else ""
    name, mark, begun = word.partition(":")
    if mark and name in Filter.writable():
        found = [f"{name}:{value}" for value in _values(runs, name, begun)]
    else:
        found = [f"{name}:" for name in Filter.writable() if name.startswith(word)]
    return [before + item for item in found if item != word][:MOST]


def _values(runs: QuerySet[Run], name: str, begun: str) -> Iterable[str]:
    match name:
        case "status":
            known: Iterable[str] = RunStatus.values
        case "waiting_for":
            known = WaitingFor.values
        case "stop_reason":
            known = StopReason.values
        case "since" | "ended":
            known = _PERIODS
        case "agent":
            known = [agent.name for agent in catalog().agents()]
            known = sorted({*known, *_there(runs, "agent")})
        case "tag":
            known = sorted({tag for tags in _newest(runs, "tags") for tag in tags or ()})
        case "metadata":
            pairs = [pair for given in _newest(runs, "metadata") for pair in (given or {}).items()]
            known = sorted({f"{key}:{value}" for key, value in pairs})
        case "owner" | "team":
            known = sorted(_there(runs, {"owner": "owner__username", "team": "team__name"}[name]))
        case _:
            known = ()
    return [value for value in known if value.startswith(begun) and " " not in value]


def _there(runs: QuerySet[Run], field: str) -> set[str]:
    """The values among the newest runs somebody sees."""
    return {str(value) for value in _newest(runs, field) if value}


def _newest(runs: QuerySet[Run], field: str) -> Iterable[Any]:
    return runs.order_by("-created_at", "-id").values_list(field, flat=True)[:LOOKED_AT]
