"""Reads what the pages of runs and the live hub show. Rows come without their values here."""

from __future__ import annotations

import json
import threading
import zlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.models import Max

from agentops.sdk import codec
from agentops.sdk.errors import PayloadError
from runs.models import Blob, Journal, Phase, Run, RunPayload
from runs.timeline import ENDS, Line, Timeline
from runs.values import Stored, load, load_all

_COLUMNS = ("seq", "key", "phase", "n", "kind", "name", "meta", "started_at", "at")
SHOWN_BYTES = 32 * 1024


def lines(run: Run, *, after: int = 0, limit: int | None = None) -> list[Line]:
    """The journal of ``run`` after event ``after``, in order."""
    rows = Journal.objects.filter(run=run, seq__gt=after).order_by("seq").values_list(*_COLUMNS)
    return [_line(*row) for row in (rows[:limit] if limit else rows)]


# Folded timelines of long runs that were looked at last. Nobody changes what is in here.
_KEPT = 8
_LONG = 300
_kept: OrderedDict[str, Timeline] = OrderedDict()
_lock = threading.Lock()


def timeline(run: Run) -> Timeline:
    """The steps of ``run`` as they are now. Of a long run only what is new is read each time."""
    with _lock:
        known = _kept.get(run.public_id, Timeline())
    new = lines(run, after=known.seq)
    if not new:
        return known
    fresh = known.copy()
    fresh.apply(new)
    if len(fresh.steps) > _LONG:
        with _lock:
            _kept[run.public_id] = fresh
            _kept.move_to_end(run.public_id)
            while len(_kept) > _KEPT:
                _kept.popitem(last=False)
    return fresh


def last_seq(run_id: int) -> int:
    """The number of the newest event of a run."""
    return int(Journal.objects.filter(run=run_id).aggregate(last=Max("seq"))["last"] or 0)


def is_over(run_id: int, seq: int) -> bool:
    """Whether the run has ended and event ``seq`` is its last: one that failed may have gone on."""
    ended = Run.objects.filter(pk=run_id, finished_at__isnull=False).exists()
    return ended and last_seq(run_id) == seq


def lines_of_step(run: Run, key: str) -> list[Line]:
    """Every line about one step."""
    rows = Journal.objects.filter(run=run, key=key).order_by("seq").values_list(*_COLUMNS)
    return [_line(*row) for row in rows]


def ending(run: Run) -> list[Line]:
    """The line with which a run ended; none while it is live."""
    rows = Journal.objects.filter(run=run).order_by("-seq").values_list(*_COLUMNS)[:1]
    return [line for line in (_line(*row) for row in rows) if line.kind in ENDS]


_NEW_LINES = """
    SELECT j.run_id, j.seq, j.key, j.phase, j.n, j.kind, j.name, j.meta::text, j.started_at, j.at
    FROM unnest(%s::bigint[], %s::int[]) AS seen (run_id, seq)
    JOIN journal j ON j.run_id = seen.run_id AND j.seq > seen.seq
    ORDER BY j.run_id, j.seq
"""


def new_lines(seen: dict[int, int]) -> dict[int, list[Line]]:
    """What was recorded of several runs after the event seen of each, in one query."""
    found: dict[int, list[Line]] = {}
    if not seen:
        return found
    with connection.cursor() as cursor:
        cursor.execute(_NEW_LINES, [list(seen), list(seen.values())])
        for run_id, *row in cursor.fetchall():
            found.setdefault(run_id, []).append(_line(*row))
    return found


def _line(
    seq: int, key: str, phase: int, n: int, kind: str, name: str, meta: Any, *when: Any
) -> Line:
    if isinstance(meta, str):
        meta = codec.decode(codec.JSON, meta.encode())
    return Line(seq, key, phase, n, kind, name, meta if isinstance(meta, dict) else {}, *when)


@dataclass(frozen=True, slots=True)
class Value:
    """A stored value as text. ``cut`` bytes are left out; ``problem``: why there is no text."""

    text: str = ""
    size: int = 0
    cut: int = 0
    problem: str = ""


def readable(value: object) -> Value:
    """A value as indented JSON, or as it is when it is a text; at most 32 KB of it."""
    text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    raw = text.encode(errors="replace")
    shown = raw[:SHOWN_BYTES].decode(errors="ignore")
    return Value(text=shown, size=len(raw), cut=len(raw) - len(shown.encode()))


def _read(pairs: list[Stored]) -> list[Value | None]:
    """Stored values as text; one that is gone or broken says so and spoils no other."""
    try:
        loaded = load_all(pairs)
    except (PayloadError, KeyError, ValueError, zlib.error) as error:
        problem = Value(problem=f"The value cannot be read ({type(error).__name__}).")
        return [problem if stored is not None else None for stored, _ in pairs]
    return [
        readable(value) if stored is not None else None
        for value, (stored, _) in zip(loaded, pairs, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class StepValues:
    """What went into a step and what came out."""

    input: Value | None = None
    output: Value | None = None
    # The same as values, where they can be read.
    given: object = None
    returned: object = None


def step_values(run: Run, key: str) -> StepValues:
    """The recorded arguments and outcome of one step."""
    rows = Journal.objects.filter(run=run, key=key).order_by("seq")
    nothing: Stored = (None, None)
    given, returned = nothing, nothing
    for row in rows.only("phase", "input_codec", "input", "codec", "data"):
        given = (row.input_codec, row.input) if row.input_codec is not None else given
        returned = (row.codec, row.data) if row.phase == Phase.OUTCOME else returned
    try:
        values = load_all([given, returned])
    except (PayloadError, KeyError, ValueError, zlib.error):
        values = [None, None]
    return StepValues(*_read([given, returned]), *values)


@dataclass(frozen=True, slots=True)
class RunValues:
    """What a run was given, what it returned, or the error it ended with."""

    input: Value | None = None
    output: Value | None = None
    error: dict[str, str] | None = None


def run_values(run: Run) -> RunValues:
    """The payload of ``run`` in readable form."""
    payload = RunPayload.objects.filter(run=run).first()
    if payload is None:
        return RunValues()
    given, returned = _read(
        [(payload.input_codec, payload.input), (payload.output_codec, payload.output)]
    )
    return RunValues(given, returned, _error(payload))


def _error(payload: RunPayload) -> dict[str, str] | None:
    if payload.error_codec is None:
        return None
    try:
        error = load(payload.error_codec, payload.error)
    except (PayloadError, Blob.DoesNotExist, ValueError, zlib.error) as broken:
        return {"code": "unreadable", "message": str(broken)}
    fields = error if isinstance(error, dict) else {"message": str(error)}
    return {str(name): "" if text is None else str(text) for name, text in fields.items()}
