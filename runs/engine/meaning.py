"""Search by meaning: vectors of what is remembered, beside the entries.

Everything here may be missing or fail: the extension, the table, the route, its provider. Then a
search goes by words alone. See docs/decisions/0030-memory-is-rows.md.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

import structlog
from django.db import DatabaseError, connection, transaction
from django.db.models import QuerySet

from agentops.providers.endpoints import Endpoint
from runs.models.memory import Memory

if TYPE_CHECKING:
    from runs.engine.models import Models

log = structlog.get_logger(__name__)

ROUTE = "embed"
BATCH = 64
TIMEOUT_SECONDS = 10.0
# After a failure words alone are searched for so long.
REST_SECONDS = 60.0
LOOK_AGAIN_SECONDS = 30.0
# How much a place in one of the two orders counts (reciprocal rank fusion).
_FLAT = 60
_TABLE = """
CREATE TABLE IF NOT EXISTS memory_vector (
    memory_id bigint PRIMARY KEY REFERENCES memory (id) ON DELETE CASCADE,
    model text NOT NULL, digest bytea NOT NULL, meaning vector NOT NULL)
"""
_STALE = """
SELECT m.id, m.key || ' ' || m.text FROM memory m LEFT JOIN memory_vector v ON v.memory_id = m.id
 WHERE (m.expires_at IS NULL OR m.expires_at > clock_timestamp())
   AND (v.memory_id IS NULL OR v.model <> %(model)s
        OR v.digest <> sha256(convert_to(m.key || ' ' || m.text, 'UTF8')))
 ORDER BY m.id LIMIT %(limit)s
"""
# An entry that was deleted meanwhile gets no vector, and holds up none of the others.
_KEEP = """
INSERT INTO memory_vector (memory_id, model, digest, meaning)
SELECT id, %(model)s, %(digest)s, %(meaning)s::vector FROM memory WHERE id = %(id)s FOR KEY SHARE
ON CONFLICT (memory_id) DO UPDATE SET model = excluded.model, digest = excluded.digest,
    meaning = excluded.meaning
"""
# A vector of an older text or another model says nothing.
_NEAREST = """
SELECT m.id FROM memory m JOIN memory_vector v ON v.memory_id = m.id
 WHERE m.id = ANY(%(ids)s) AND v.model = %(model)s
   AND v.digest = sha256(convert_to(m.key || ' ' || m.text, 'UTF8'))
   AND vector_dims(v.meaning) = %(dims)s
 ORDER BY v.meaning <=> %(meaning)s::vector, m.id LIMIT %(limit)s
"""
# Of a larger namespace only the newest entries are compared by meaning.
MOST_COMPARED = 20_000


class Meaning:
    """Vectors as this worker can make and compare them. Used in threads."""

    def __init__(self, models: Models) -> None:
        self._models = models
        self._rests_until = 0.0
        self._looked_at = 0.0
        self._there = False

    def ranked(self, rows: QuerySet[Memory], by_words: list[Memory], query: str, limit: int
               ) -> list[Memory]:  # fmt: skip
        """The entries found by words and those near in meaning, the best of both first."""
        route = self._route()
        if route is None or not query.strip():
            return by_words
        try:
            (vector,) = self._embed(*route, [query])
            ids = nearest(rows, route[1], vector, limit)
        except Exception as error:  # noqa: BLE001 - words are found without it
            self._rest(error)
            return by_words
        found = {row.pk: row for row in rows.filter(pk__in=ids)} | {r.pk: r for r in by_words}
        order = fused([row.pk for row in by_words], ids)
        return [found[pk] for pk in order if pk in found][:limit]

    def catch_up(self) -> int:
        """Embed some of the texts that have no vector yet. Returns how many."""
        route = self._route()
        if route is None:
            return 0
        try:
            todo = stale(route[1])
            vectors = self._embed(*route, [text for _, text in todo]) if todo else []
            keep(route[1], todo, vectors)
        except Exception as error:  # noqa: BLE001 - the next sweep goes on
            self._rest(error)
            return 0
        return len(todo)

    def _route(self) -> tuple[Endpoint, str] | None:
        now = time.monotonic()
        if now < self._rests_until:
            return None
        route = self._models.embedding(ROUTE)
        if route is not None and now - self._looked_at > LOOK_AGAIN_SECONDS:
            self._looked_at, self._there = now, is_prepared()
        return route if self._there else None

    def _rest(self, error: Exception) -> None:
        self._rests_until = time.monotonic() + REST_SECONDS
        log.warning("memory.no_meaning", error=type(error).__name__)

    def _embed(self, endpoint: Endpoint, model: str, texts: list[str]) -> list[list[float]]:
        module = import_module("agentops.providers.embedding")
        vectors: list[list[float]] = asyncio.run(
            module.embed(endpoint, model, texts, timeout=TIMEOUT_SECONDS)
        )
        return vectors


def fused(*orders: Sequence[int]) -> list[int]:
    """One order of several: what stands high in any of them, best what does in all."""
    score: dict[int, float] = {}
    for order in orders:
        for place, pk in enumerate(order):
            score[pk] = score.get(pk, 0.0) + 1 / (_FLAT + place)
    return sorted(score, key=lambda pk: (-score[pk], pk))


def prepare() -> str:
    """Make extension and table. Returns why they cannot be had, or nothing."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("CREATE EXTENSION IF NOT EXISTS vector")
            cursor.execute(_TABLE)
    except DatabaseError as error:
        return str(error).strip().split("\n")[0]
    return ""


def is_prepared() -> bool:
    """Whether there is a table for vectors."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('memory_vector') IS NOT NULL")
        return bool(cursor.fetchone()[0])


def stale(model: str, limit: int = BATCH) -> list[tuple[int, str]]:
    """Entries whose text has no vector of this model, with that text."""
    with connection.cursor() as cursor:
        cursor.execute(_STALE, {"model": model, "limit": limit})
        return [(pk, text) for pk, text in cursor.fetchall()]


def keep(model: str, todo: Sequence[tuple[int, str]], vectors: Sequence[Sequence[float]]) -> None:
    """Store the vectors of these texts."""
    with connection.cursor() as cursor:
        for (pk, text), vector in zip(todo, vectors, strict=True):
            digest = hashlib.sha256(text.encode()).digest()
            said: dict[str, Any] = {
                "id": pk,
                "model": model,
                "digest": digest,
                "meaning": _literal(vector),
            }
            cursor.execute(_KEEP, said)


def nearest(rows: QuerySet[Memory], model: str, vector: Sequence[float], limit: int) -> list[int]:
    """Ids of those of ``rows`` whose texts mean most nearly the same, the nearest first."""
    ids = list(rows.order_by("-updated_at").values_list("pk", flat=True)[:MOST_COMPARED])
    with connection.cursor() as cursor:
        said: dict[str, Any] = {
            "ids": ids,
            "model": model,
            "dims": len(vector),
            "meaning": _literal(vector),
        }
        cursor.execute(_NEAREST, {**said, "limit": limit})
        return [pk for (pk,) in cursor.fetchall()]


def _literal(vector: Sequence[float]) -> str:
    return "[" + ",".join(map(repr, map(float, vector))) + "]"
