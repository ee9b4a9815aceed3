"""What is old goes: runs with all their rows, blobs nobody refers to, workers long gone."""

from __future__ import annotations

from runs.engine.store.sql import Cursor

# What goes with the runs that are ``doomed``, whatever they go for. The journal is named by the
# primary key of its runs, so the deletes walk one index each.
_WITH_RUNS = """
journal_gone AS (
    DELETE FROM journal j USING doomed d WHERE j.run_id = d.id
), inbox_gone AS (
    DELETE FROM inbox i USING doomed d WHERE i.run_id = d.id
), payload_gone AS (
    DELETE FROM run_payload p USING doomed d WHERE p.run_id = d.id
), forks_freed AS (
    UPDATE run SET forked_from_id = NULL FROM doomed d
     WHERE run.forked_from_id = d.id AND run.id NOT IN (SELECT id FROM doomed)
)"""

# A conversation is forgotten as a whole: its runs go when the last of them is old and nobody
# waits for an answer. Leaves of a family go first; a later batch takes what started them.
_FORGET = f"""
WITH doomed AS MATERIALIZED (
    SELECT r.id FROM run r
     WHERE r.finished_at < clock_timestamp() - make_interval(days => %(days)s)
       AND NOT EXISTS (SELECT 1 FROM run c WHERE c.parent_id = r.id)
       AND NOT EXISTS (SELECT 1 FROM run c WHERE c.root_id = r.id AND c.id <> r.id)
       AND (r.conversation_id IS NULL OR NOT EXISTS (
            SELECT 1 FROM run s WHERE s.conversation_id = r.conversation_id
               AND (s.finished_at IS NULL
                    OR s.finished_at >= clock_timestamp() - make_interval(days => %(days)s)))
           AND NOT EXISTS (SELECT 1 FROM message m
                            WHERE m.conversation_id = r.conversation_id AND m.run_id IS NULL))
     ORDER BY r.finished_at LIMIT %(batch)s FOR UPDATE SKIP LOCKED
), {_WITH_RUNS}, message_gone AS (
    DELETE FROM message m USING doomed d WHERE m.run_id = d.id
)
DELETE FROM run USING doomed d WHERE run.id = d.id RETURNING run.public_id
"""


def forget_runs(cursor: Cursor, *, days: int, batch: int = 500) -> list[str]:
    """Delete a batch of runs that ended more than ``days`` days ago. Returns which ones went."""
    cursor.execute(_FORGET, {"days": days, "batch": batch})
    return [row[0] for row in cursor.fetchall()]


_FORGET_CONVERSATIONS = """
WITH old AS MATERIALIZED (
    SELECT c.id FROM conversation c
     WHERE c.active_at < clock_timestamp() - make_interval(days => %(days)s)
       AND NOT EXISTS (SELECT 1 FROM run r WHERE r.conversation_id = c.id)
       AND NOT EXISTS (SELECT 1 FROM message m WHERE m.conversation_id = c.id)
), summary_gone AS (
    DELETE FROM summary s USING old o WHERE s.conversation_id = o.id
)
DELETE FROM conversation c USING old o WHERE c.id = o.id
"""


def forget_conversations(cursor: Cursor, *, days: int) -> int:
    """Delete conversations in which nothing happened for ``days`` days. Returns how many went."""
    cursor.execute(_FORGET_CONVERSATIONS, {"days": days})
    return cursor.rowcount


# A conversation is abandoned when nothing was said in it for a while, no run of it or started by
# it is live, and nobody waits.
_ABANDONED = """
SELECT c.id FROM conversation c
 WHERE c.active_at < clock_timestamp() - make_interval(days => %(days)s)
   AND NOT EXISTS (SELECT 1 FROM message m WHERE m.conversation_id = c.id AND m.run_id IS NULL)
   AND NOT EXISTS (SELECT 1 FROM run r WHERE r.conversation_id = c.id
                      AND (r.finished_at IS NULL
                           OR EXISTS (SELECT 1 FROM run f WHERE f.root_id = r.id
                                         AND f.finished_at IS NULL)))
 ORDER BY c.active_at LIMIT %(batch)s FOR UPDATE SKIP LOCKED
"""


def abandoned(cursor: Cursor, *, days: int, batch: int = 20) -> list[int]:
    """Conversations without a message for ``days`` days, locked until the transaction ends."""
    cursor.execute(_ABANDONED, {"days": days, "batch": batch})
    return [row[0] for row in cursor.fetchall()]


# The caller has locked the conversations and seen that no run of theirs is live.
_ERASE = f"""
WITH turn AS MATERIALIZED (
    SELECT id FROM run WHERE conversation_id = ANY(%(ids)s::bigint[])
), doomed AS MATERIALIZED (
    SELECT id FROM turn UNION SELECT r.id FROM run r JOIN turn t ON r.root_id = t.id
), {_WITH_RUNS}, message_gone AS (
    DELETE FROM message m WHERE m.conversation_id = ANY(%(ids)s::bigint[])
), summary_gone AS (
    DELETE FROM summary s WHERE s.conversation_id = ANY(%(ids)s::bigint[])
), conversation_gone AS (
    DELETE FROM conversation c WHERE c.id = ANY(%(ids)s::bigint[])
)
DELETE FROM run USING doomed d WHERE run.id = d.id RETURNING run.public_id
"""


def erase_conversations(cursor: Cursor, ids: list[int]) -> list[str]:
    """Delete conversations with all their runs and what these started. Returns which runs went."""
    cursor.execute(_ERASE, {"ids": ids})
    return [row[0] for row in cursor.fetchall()]


# Whoever writes a reference renews `referenced_at` in the same transaction, which locks the blob;
# so a blob that is neither locked nor renewed, and that no row names, is nobody's. One that is
# still named is renewed here, and looked at again only a day later.
_COLLECT = """
WITH old AS MATERIALIZED (
    SELECT digest FROM blob WHERE referenced_at < clock_timestamp() - interval '1 day'
     ORDER BY referenced_at LIMIT %(batch)s FOR UPDATE SKIP LOCKED
), named AS MATERIALIZED (
    SELECT digest FROM old o
     WHERE EXISTS (SELECT 1 FROM journal WHERE codec = 2 AND data = o.digest)
        OR EXISTS (SELECT 1 FROM journal WHERE input_codec = 2 AND input = o.digest)
        OR EXISTS (SELECT 1 FROM run_payload WHERE input_codec = 2 AND input = o.digest)
        OR EXISTS (SELECT 1 FROM run_payload WHERE output_codec = 2 AND output = o.digest)
        OR EXISTS (SELECT 1 FROM inbox WHERE codec = 2 AND data = o.digest)
), renewed AS (
    UPDATE blob SET referenced_at = clock_timestamp() FROM named n WHERE blob.digest = n.digest
)
DELETE FROM blob USING old o
 WHERE blob.digest = o.digest AND o.digest NOT IN (SELECT digest FROM named)
"""


def collect_blobs(cursor: Cursor, *, batch: int = 100) -> int:
    """Delete stored values nothing refers to any more. Returns how many went."""
    cursor.execute(_COLLECT, {"batch": batch})
    return cursor.rowcount


_FORGET_WORKERS = """
DELETE FROM worker WHERE state = 'dead'
   AND heartbeat_at < clock_timestamp() - make_interval(days => %(days)s)
"""


def forget_workers(cursor: Cursor, *, days: int) -> int:
    """Delete dead workers nobody has heard of for ``days`` days. Returns how many went."""
    cursor.execute(_FORGET_WORKERS, {"days": days})
    return cursor.rowcount


# The row is looked at again under its lock, so one that was written over meanwhile stays.
_FORGET_MEMORIES = """
DELETE FROM memory WHERE id IN (
    SELECT id FROM memory WHERE expires_at <= clock_timestamp()
     ORDER BY expires_at LIMIT %(batch)s FOR UPDATE SKIP LOCKED)
"""


def forget_memories(cursor: Cursor, *, batch: int = 1000) -> int:
    """Delete a batch of memory whose time is over. Returns how many entries went."""
    cursor.execute(_FORGET_MEMORIES, {"batch": batch})
    return cursor.rowcount
