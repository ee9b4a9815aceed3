"""At most so many runs of an agent, or of a person, hold workers at once.

# Note [Caps]
What holds a worker is counted in the rows themselves, so a crash leaves no counter behind. Workers
with caps take turns at claiming: the lock is taken by a statement of its own, in the transaction
of the claim, because PostgreSQL counts as of the beginning of a statement. A queued run that would
be one too many is *held*: it stays queued, says why, and its time lies in a far year, so that
neither claims nor the wait for the next due run come across it again. It is found through indexes
that hold nothing else. Without caps none of this is asked for.

| what goes wrong | what happens |
|---|---|
| a worker dies with runs of a capped agent | its rows are given back, and count no more |
| it dies between taking its turn and its claim | the turn ends with its transaction |
| two workers claim in the same moment | one waits for the other's commit, then counts |
| a place becomes free as another worker holds a run | who had the place claims next |
| the bell for that is lost, or it serves other queues | every worker looks once a tick |
| a run waits for its child, a person, a timer | it is `waiting`, and does not count |
| parent and child are of an agent with one place | the parent waits without a place |
| a cap is lowered | what runs goes on; nothing begins until there is room |
| a cap is lifted, or its agent renamed | held runs are due again within a second |
| a held run is cancelled, expires or is paused | as any queued run; it is judged anew |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from agentops.sdk.catalog import catalog
from runs.engine import pgwire
from runs.engine.pgwire import Value
from runs.engine.statements import CLAIMABLE, CLAIMING, Statement
from runs.engine.stopped import free
from runs.models import HELD_UNTIL

Query = Callable[..., list[tuple[Any, ...]]]

HELD = f"status = 'queued' AND ready_at = '{HELD_UNTIL.isoformat()}'"
# Among the advisory locks of this product: nobody else uses this number.
TURN = 7_305_006
RELEASED_AT_ONCE = 500

_TURN = Statement(b"claim_turn", f"SELECT pg_advisory_xact_lock({TURN})".encode())

# $1 queue, $2 how many, $3 worker, $4 agents, $5 how many of each, $6 how many of a person or 0.
# What is due or queued and would be one too many is held. Of what is held comes first what its
# agent, or else its person, has room for. Lookups by arrays and OFFSET 0 keep the planner, which
# cannot know how few rows there are, from reading the whole table.
CLAIM_CAPPED = Statement(
    b"claim_capped",
    f"""
WITH RECURSIVE {CLAIMABLE}, running AS MATERIALIZED (
    SELECT agent, owner_id, count(*)::int AS n FROM run WHERE status = 'running' GROUP BY 1, 2
), agents AS MATERIALIZED (
    SELECT c.agent, c.most,
           c.most - coalesce((SELECT sum(n) FROM running r WHERE r.agent = c.agent), 0)::int AS room
      FROM unnest($4::text[], $5::int[]) AS c(agent, most)
), people AS MATERIALIZED (
    SELECT owner_id, $6::int - sum(n)::int AS room FROM running
     WHERE $6::int > 0 AND owner_id IS NOT NULL GROUP BY owner_id
), owners AS (
    (SELECT owner_id FROM run WHERE {HELD} AND queue = $1::text AND owner_id IS NOT NULL
        AND $6::int > 0 ORDER BY owner_id LIMIT 1)
    UNION ALL
    SELECT (SELECT r.owner_id FROM run r WHERE {HELD} AND r.queue = $1::text
               AND r.owner_id > o.owner_id ORDER BY r.owner_id LIMIT 1)
      FROM owners o WHERE o.owner_id IS NOT NULL
), kept AS MATERIALIZED (
    SELECT h.id FROM agents a CROSS JOIN LATERAL (
        SELECT r.id FROM run r
         WHERE {HELD} AND r.queue = $1::text AND r.agent = a.agent AND {free("r")}
           AND NOT EXISTS (SELECT 1 FROM people p WHERE p.owner_id = r.owner_id AND p.room <= 0)
         ORDER BY r.priority DESC, r.id LIMIT greatest(0, least(a.room, $2::int))
           FOR NO KEY UPDATE SKIP LOCKED) h
    UNION ALL
    SELECT h.id FROM owners o LEFT JOIN people p ON p.owner_id = o.owner_id CROSS JOIN LATERAL (
        SELECT r.id FROM run r
         WHERE {HELD} AND r.queue = $1::text AND r.owner_id = o.owner_id AND {free("r")}
           AND NOT EXISTS (SELECT 1 FROM agents a WHERE a.agent = r.agent)
         ORDER BY r.priority DESC, r.id
         LIMIT greatest(0, least(coalesce(p.room, $6::int), $2::int))
           FOR NO KEY UPDATE SKIP LOCKED) h
), candidates AS MATERIALIZED (
    SELECT r.id, r.agent, r.owner_id, r.ready_at <> '{HELD_UNTIL.isoformat()}' AS is_new,
           a.most, a.room, coalesce(p.room, nullif($6::int, 0)) AS room_of_person,
           row_number() OVER (ORDER BY r.status DESC, r.priority DESC,
                              r.ready_at = '{HELD_UNTIL.isoformat()}' DESC, r.ready_at, r.id)
               AS place
      FROM (SELECT id FROM due UNION SELECT id FROM queued UNION SELECT id FROM kept) c
      CROSS JOIN LATERAL (SELECT * FROM run WHERE run.id = c.id OFFSET 0) r
      LEFT JOIN agents a ON a.agent = r.agent LEFT JOIN people p ON p.owner_id = r.owner_id
), of_agents AS (
    SELECT c.*, row_number() OVER (PARTITION BY agent ORDER BY place) AS nth FROM candidates c
     WHERE coalesce(room, 1) > 0
       AND (owner_id IS NULL OR room_of_person IS NULL OR room_of_person > 0)
), of_people AS (
    SELECT o.*, row_number() OVER (PARTITION BY owner_id ORDER BY place) AS nth_of_person
      FROM of_agents o WHERE room IS NULL OR nth <= room
), fitting AS MATERIALIZED (
    SELECT id, place FROM of_people
     WHERE owner_id IS NULL OR room_of_person IS NULL OR nth_of_person <= room_of_person
), spare AS MATERIALIZED (
    SELECT id, CASE
               WHEN room <= 0 OR room IS NOT NULL AND coalesce(room_of_person, 1) > 0
               THEN format('waits for %s other%s of %s', most,
                           CASE most WHEN 1 THEN '' ELSE 's' END, agent)
               ELSE format('waits for %s other%s of the same person', $6::int,
                           CASE $6::int WHEN 1 THEN '' ELSE 's' END) END AS reason
      FROM candidates WHERE is_new AND id NOT IN (SELECT id FROM fitting)
), hold AS (
    UPDATE run r
       SET status = 'queued', waiting_for = '', ready_at = '{HELD_UNTIL.isoformat()}',
           status_at = CASE WHEN r.status = 'waiting' THEN clock_timestamp() ELSE r.status_at END,
           waiting_detail = (SELECT s.reason FROM spare s WHERE s.id = r.id)
     WHERE r.id = ANY(ARRAY(SELECT id FROM spare)) AND r.status IN ('queued', 'waiting')
    RETURNING r.id
), chosen AS MATERIALIZED (
    SELECT unnest(ARRAY(SELECT id FROM fitting ORDER BY place LIMIT $2::int)) AS id
), claimed AS ({CLAIMING})
SELECT h.held, claimed.* FROM (SELECT count(*)::int AS held FROM hold) h
  LEFT JOIN claimed ON true
""".encode(),
    _TURN,
)

_KNOWN = "SELECT agent, max_running FROM agent_limit"

# What no cap holds any more.
_RELEASE = f"""
UPDATE run SET ready_at = clock_timestamp(), waiting_detail = ''
 WHERE id IN (SELECT id FROM run
               WHERE {HELD} AND queue = ANY($1::text[]) AND agent <> ALL($2::text[])
                 AND ($3::int = 0 OR owner_id IS NULL)
               LIMIT {RELEASED_AT_ONCE} FOR NO KEY UPDATE SKIP LOCKED)
RETURNING 1
"""


class Caps:
    """The caps as this process knows them: declared, set in the admin, and of a person."""

    def __init__(self, queues: tuple[str, ...], most_per_person: int) -> None:
        self._queues, self._person = queues, most_per_person
        self._known: dict[str, int] | None = None
        self._to_release = True

    @property
    def exist(self) -> bool:
        """Whether anything is limited at all."""
        return bool(self._known) or self._person > 0

    @property
    def values(self) -> list[Value]:
        """The caps as the claim takes them."""
        known = self._known or {}
        return [
            pgwire.texts(list(known)),
            pgwire.int4s(list(known.values())),
            pgwire.int4(self._person),
        ]

    def share(self, query: Query) -> bool:
        """Learn what operators set. Called by the keeper; whether runs may have become free."""
        known = in_force({row[0]: row[1] for row in query(_KNOWN)})
        changed = known != self._known
        self._known = known
        if not (changed or self._to_release):
            return False
        freed = query(_RELEASE, list(self._queues), list(known), self._person)
        self._to_release = len(freed) == RELEASED_AT_ONCE
        return True


def in_force(overrides: Mapping[str, int | None]) -> dict[str, int]:
    """How many runs of each agent may hold workers: as declared, unless an operator says else."""
    declared = {agent.name: agent.max_running for agent in catalog().agents()}
    return {name: most for name, most in (declared | dict(overrides)).items() if most is not None}
