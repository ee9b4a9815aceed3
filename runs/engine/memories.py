"""The statements that read and write memory. Nothing else writes the table.

# Note [Whose memory]
Every statement is about one namespace, which its caller has found to be theirs; or about one entry
by its public id, which its caller was authorised for. An entry whose time is over by the clock of
the database is as good as deleted, whether or not the sweep has come by.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.postgres.search import SearchQueryField
from django.db import connection
from django.db.models import BooleanField, F, FloatField, Func, IntegerField, Q, QuerySet, Value
from django.db.models.functions import Now

from agentops.sdk import codec
from agentops.sdk.codec import Encoded
from agentops.sdk.memory import Note, Remembered
from runs.models.memory import Memory, MemoryKind, new_memory_id

ALIVE = "(m.expires_at IS NULL OR m.expires_at > clock_timestamp())"


@dataclass(frozen=True, slots=True)
class Namespace:
    """An agent, a person or a team, as the one whose memory is meant."""

    kind: MemoryKind
    agent: str = ""
    owner: int | None = None
    team: int | None = None

    @property
    def rows(self) -> QuerySet[Memory]:
        """The entries of this namespace whose time is not over."""
        mine = Memory.objects.filter(
            kind=self.kind, agent=self.agent, owner=self.owner, team=self.team
        )
        return alive(mine)

    @property
    def values(self) -> dict[str, Any]:
        """Its columns, as the statements name them."""
        return {"kind": self.kind, "agent": self.agent, "owner": self.owner, "team": self.team}


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes: a step of a run, or a person."""

    name: str
    run: str = ""
    step: str = ""


@dataclass(frozen=True, slots=True)
class Written:
    """An entry that was written."""

    public_id: str
    revision: int


def alive(rows: QuerySet[Memory]) -> QuerySet[Memory]:
    """Those of ``rows`` whose time is not over."""
    return rows.filter(Q(expires_at__isnull=True) | Q(expires_at__gt=Now()))


def get(space: Namespace, key: str) -> Memory | None:
    """The entry called ``key``, unless its time is over."""
    return space.rows.filter(key=key).first()


# The row is locked by the statement that changes it: of two writers the last wins, and revisions
# have no gap. An entry whose time is over begins anew, as if the sweep had come before.
_PUT = """
INSERT INTO memory AS m (public_id, kind, agent, owner_id, team_id, key, codec, data, text,
                         expires_at, run, step, written_by)
VALUES (%(public_id)s, %(kind)s, %(agent)s, %(owner)s, %(team)s, %(key)s, %(codec)s, %(data)s,
        %(text)s, {expires}, %(run)s, %(step)s, %(by)s)
ON CONFLICT (kind, agent, owner_id, team_id, key) DO UPDATE SET
    public_id = CASE WHEN {alive} THEN m.public_id ELSE excluded.public_id END,
    revision = CASE WHEN {alive} THEN m.revision + 1 ELSE 1 END,
    created_at = CASE WHEN {alive} THEN m.created_at ELSE clock_timestamp() END,
    codec = excluded.codec, data = excluded.data, text = excluded.text,
    expires_at = excluded.expires_at, run = excluded.run, step = excluded.step,
    written_by = excluded.written_by, updated_at = clock_timestamp()
{only}
RETURNING m.public_id, m.revision
"""
_LASTS = "clock_timestamp() + make_interval(secs => %(ttl)s)"


def put(space: Namespace, note: Note, writer: Writer) -> Written:
    """Write an entry over whatever is there."""
    sql = _PUT.format(expires=_LASTS, alive=ALIVE, only="")
    (row,) = _rows(sql, _put_values(space, note, writer) | {"ttl": note.ttl})
    return Written(*row)


def add(
    space: Namespace, note: Note, writer: Writer, expires_at: datetime | None
) -> Written | None:
    """Write an entry unless there is one; then None."""
    sql = _PUT.format(expires="%(expires_at)s", alive=ALIVE, only=f"WHERE NOT {ALIVE}")
    rows = _rows(sql, _put_values(space, note, writer) | {"expires_at": expires_at})
    return Written(*rows[0]) if rows else None


def _put_values(space: Namespace, note: Note, writer: Writer) -> dict[str, Any]:
    return {
        **space.values,
        "public_id": new_memory_id(),
        "key": note.key,
        "codec": note.value.codec,
        "data": note.value.data,
        "text": note.text,
        "run": writer.run,
        "step": writer.step,
        "by": writer.name,
    }


_REVISE = f"""
UPDATE memory AS m SET revision = m.revision + 1, codec = %(codec)s, data = %(data)s,
       text = %(text)s, expires_at = %(expires_at)s, run = '', step = '', written_by = %(by)s,
       updated_at = clock_timestamp()
 WHERE m.public_id = %(public_id)s AND m.revision = %(revision)s AND {ALIVE}
RETURNING m.revision
"""


def revise(
    public_id: str,
    revision: int,
    *,
    value: Encoded,
    text: str,
    expires_at: datetime | None,
    by: str,
) -> int | None:
    """Change an entry that still has this revision; the new one. None if it has not."""
    rows = _rows(
        _REVISE,
        {"public_id": public_id, "revision": revision, "codec": value.codec, "data": value.data,
         "text": text, "expires_at": expires_at, "by": by},
    )  # fmt: skip
    return rows[0][0] if rows else None


def delete(space: Namespace, key: str) -> bool:
    """Delete an entry; whether there was one."""
    deleted, _ = space.rows.filter(key=key).delete()
    return deleted > 0


def remove(public_id: str, revision: int | None) -> bool:
    """Delete an entry by its id, if it still has this revision; whether it was there."""
    sql = f"""
        DELETE FROM memory m WHERE m.public_id = %(id)s AND {ALIVE}
           AND (%(revision)s::int IS NULL OR m.revision = %(revision)s) RETURNING 1
    """
    return bool(_rows(sql, {"id": public_id, "revision": revision}))


def erase_person(owner: int) -> int:
    """Delete all of a person's memory, expired or not; how many entries there were."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM memory WHERE owner_id = %s", [owner])
        return int(cursor.rowcount)


# -- searching -----------------------------------------------------------------------------------

# Words are compared as they are written ('simple'): nobody knows the language of a memory.
_SOME = "replace(plainto_tsquery('simple', %(expressions)s)::text, ' & ', ' | ')::tsquery"
_HITS = """cardinality(ARRAY(
    SELECT unnest(tsvector_to_array(found_by)) INTERSECT
    SELECT unnest(tsvector_to_array(to_tsvector('simple', %(expressions)s)))))"""
_HOLDS = "position(lower(%(expressions)s) IN lower(key || ' ' || text)) > 0"


def search(rows: QuerySet[Memory], query: str, limit: int) -> list[Memory]:
    """Those of ``rows`` that have most words of ``query``; without any, those that hold its text.

    The second finds parts of words, and what is written without spaces. An empty query finds the
    newest.
    """
    wanted = query.strip()
    newest = ("-updated_at", "-id")
    if not wanted:
        return list(rows.order_by(*newest)[:limit])
    asked = Value(wanted)
    some = Func(asked, template=_SOME, output_field=SearchQueryField())
    matches = Func(F("found_by"), some, template="(%(expressions)s)", arg_joiner=" @@ ",
                   output_field=BooleanField())  # fmt: skip
    hits = Func(asked, template=_HITS, output_field=IntegerField())
    rank = Func(F("found_by"), some, function="ts_rank", output_field=FloatField())
    found = list(rows.filter(matches).order_by(hits.desc(), rank.desc(), *newest)[:limit])
    holds = Func(asked, template=_HOLDS, output_field=BooleanField())
    return found or list(rows.filter(holds).order_by(*newest)[:limit])


def remembered(row: Memory) -> Remembered:
    """The entry as agents see it."""
    value = codec.decode(row.codec, bytes(row.data))
    return Remembered(
        row.key, value, row.text, row.kind, row.revision, row.run, row.step, row.written_by,
        row.updated_at, row.expires_at,
    )  # fmt: skip


def _rows(sql: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return list(cursor.fetchall())
