"""What can be read about runs. Nothing here writes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from django.db.models import QuerySet

from agentops.accounts.access import Action, Actor, NotFound, authorize, visible_to
from runs.models import Journal, Phase, Run, RunPayload
from runs.values import load_all

MOST_EVENTS = 1000
NOTHING: Mapping[str, str] = MappingProxyType({})
_PUBLIC_ID = re.compile(r"run_[0-9a-z]{20}")


def list_runs(
    *,
    viewer: Actor,
    status: str = "",
    stop_reason: str = "",
    agent: str = "",
    owner: str = "",
    team: str = "",
    tag: Sequence[str] = (),
    metadata: Mapping[str, str] = NOTHING,
    external_id: str = "",
    waiting_for: str = "",
    conversation: str = "",
    parent: str = "",
    created_at__gte: datetime | None = None,
    created_at__lte: datetime | None = None,
) -> QuerySet[Run]:
    """The runs ``viewer`` may see, newest first; a filter that is not given lets all through.

    ``owner`` and ``team`` are names, ``conversation`` and ``parent`` ids. Several tags or pairs of
    metadata are all wanted.
    """
    wanted = {
        "status": status,
        "stop_reason": stop_reason,
        "agent": agent,
        "owner__username": owner,
        "team__name": team,
        "tags__contains": list(tag),
        "metadata__contains": dict(metadata),
        "external_id": external_id,
        "waiting_for": waiting_for,
        "conversation__public_id": conversation,
        "parent__public_id": parent,
        "created_at__gte": created_at__gte,
        "created_at__lte": created_at__lte,
    }
    runs = visible_to(viewer, Run.objects.select_related("owner", "team"))
    chosen = runs.filter(**{name: value for name, value in wanted.items() if value})
    return chosen.order_by("-created_at", "-id")


def with_names(runs: QuerySet[Run]) -> QuerySet[Run]:
    """The same runs, read together with what they name: whom a list of them shows."""
    return runs.select_related("owner", "team", "parent", "forked_from", "conversation")


def get_run(*, public_id: str, viewer: Actor, action: Action = Action.VIEW) -> Run:
    """The run called ``public_id``. Raises NotFound unless ``viewer`` may do ``action`` with it."""
    run = None
    if _PUBLIC_ID.fullmatch(public_id):
        run = Run.objects.select_related("owner", "team").filter(public_id=public_id).first()
    if run is None:
        raise NotFound(f"There is no run {public_id[:40]}, or it is not yours to see.")
    authorize(viewer, action, run)
    return run


def events(
    *,
    run: Run,
    after: int = 0,
    limit: int = 100,
    types: Iterable[str] = (),
    created_at__gte: datetime | None = None,
) -> list[Journal]:
    """Up to ``limit`` lines of the journal above number ``after``, in order."""
    rows = Journal.objects.filter(run=run, seq__gt=after).order_by("seq")
    if created_at__gte is not None:
        rows = rows.filter(at__gte=created_at__gte)
    kinds = list(types)
    if kinds:
        rows = rows.filter(kind__in=kinds)
    return list(rows.defer("data", "input")[: min(limit, MOST_EVENTS)])


@dataclass(frozen=True)
class StepValues:
    """What went into a step and what came out; None for what is not there (yet)."""

    input: object
    output: object


def step_values(*, run: Run, key: str) -> StepValues:
    """The recorded arguments and outcome of one step, decoded."""
    given: tuple[int | None, bytes | memoryview | None] = (None, None)
    returned = given
    rows = Journal.objects.filter(run=run, key=key).order_by("seq")
    for row in rows.only("phase", "input_codec", "input", "codec", "data"):
        given = (row.input_codec, row.input) if row.input_codec is not None else given
        returned = (row.codec, row.data) if row.phase == Phase.OUTCOME else returned
    return StepValues(*load_all((given, returned)))


@dataclass(frozen=True)
class Payload:
    """What went into a run and what came out."""

    input: object
    output: object
    error: object
    traceparent: str | None = None


def payload(*, run: Run) -> Payload:
    """Input, output and error of a run, decoded; None for what is not there (yet)."""
    row = RunPayload.objects.get(run=run)
    pairs = (
        (row.input_codec, row.input),
        (row.output_codec, row.output),
        (row.error_codec, row.error),
    )
    given, returned, error = load_all(pairs)
    return Payload(given, returned, error, row.traceparent)
