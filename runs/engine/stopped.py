"""What a stop keeps from being claimed, as conditions of SQL.

# Note [Stops]
A stop is a row. Whoever claims a run reads the rows in the statement that claims, and whoever is
about to begin an attempt knows rows that are at most a second old, or reads them. So a stop needs
no message to anybody: it holds for all workers from its commit on, with the broker down, too.

| what goes wrong | what happens |
|---|---|
| the broker is down, or every bell is lost | nothing else: stops are read, never told |
| the database cannot be reached | no attempt begins; what cannot be looked up is not permitted |
| a worker claims in the moment of the commit | its first attempt asks, and is held |
| an attempt was permitted, and acts later | it looks again before it acts: Note [The last look] |
| an effect is under way already | it ends, and is recorded; nothing can take it back |
| a worker freezes after its last look | its effect may begin late; only the outside can refuse it |
| a stopped agent has 100,000 queued runs | the sweep parks them; claims do not wade in them |
| a run parks itself in the moment of the lift | the sweep lets go on whose stop is lifted |
| the process that lifts dies in between | the lift is committed; the sweep does the rest |
| two people throw the same stop at once | a unique index: one stop, both are told of it |
| one person lifts a stop of everything twice | refused: the second word is another person's |
| a stop is thrown while another holds | both hold; a run goes on when none does |
| a run is cancelled, or expires, while it is held | it ends, as any run that holds no worker |
| somebody resumes a held run | refused, with the stop to lift |
| a person says an approval during a stop | refused: what is frozen is not decided |
"""

from __future__ import annotations

# The stops that hold, and the runs below a run that is stopped. To stand in a WITH RECURSIVE;
# nothing of it is looked at, but the index of stops that hold, while there is none.
STOPS = """
stops AS MATERIALIZED (
    SELECT s.id, s.public_id, s.scope, s.target, u.id AS person
      FROM stop s LEFT JOIN accounts_user u ON s.scope = 'person' AND u.username = s.target
     WHERE s.lifted_at IS NULL
), stopped_runs(stop, id) AS (
    SELECT s.public_id, r.id FROM stops s JOIN run r ON r.public_id = s.target
     WHERE s.scope = 'run'
    UNION
    SELECT p.stop, c.id FROM stopped_runs p JOIN run c ON c.parent_id = p.id
)"""

# Whether a stop is about a run; of a tool, its calls ask.
CONCERNS = """
       s.scope = 'everything'
    OR s.scope = 'agent' AND s.target = {run}.agent
    OR s.scope = 'agent_version' AND s.target = {run}.agent || '@' || {run}.agent_version
    OR s.person = {run}.owner_id
    OR s.scope = 'run' AND (s.public_id, {run}.id) IN (SELECT stop, id FROM stopped_runs)
"""


def free(run: str) -> str:
    """The condition that no stop is about ``run``.

    The first two halves are decided once per statement. The last is a subquery inside an OR, which
    the planner neither turns into a join nor asks of any row while there is no stop.
    """
    return f"""
    (SELECT NOT EXISTS (SELECT 1 FROM stops WHERE scope = 'everything'))
    AND (NOT EXISTS (SELECT 1 FROM stops)
         OR NOT EXISTS (SELECT 1 FROM stops s WHERE {CONCERNS.format(run=run)}))"""
