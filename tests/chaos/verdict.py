"""What must be true when everything is over."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from tests.crash.plant import Plant

STEPS = 12
ONCE = 4
ONCE_TOOLS = ("pay ", "pay_checked ")

_OUTCOMES = """
SELECT count(*) FILTER (WHERE key NOT LIKE 'sleep%' AND phase = 1) AS steps,
       count(*) FILTER (WHERE key LIKE 'sleep%' AND phase = 1) AS timers,
       count(*) FILTER (WHERE kind IN ('run.succeeded', 'run.failed', 'run.cancelled')) AS endings,
       count(*) FILTER (WHERE kind = 'step.uncertain') AS uncertain,
       count(*) FILTER (WHERE meta->>'settled' = 'late') AS late,
       count(*) FILTER (WHERE kind = 'run.recovered') AS recovered
  FROM journal
"""
_GAPS = """
SELECT count(*) FROM (
    SELECT run_id FROM journal GROUP BY run_id
    HAVING count(*) <> max(seq) OR min(seq) <> 1) AS gaps
"""
_STALE = """
SELECT count(*) FROM (
    SELECT epoch < max(epoch) OVER (PARTITION BY run_id ORDER BY seq) AS stale FROM journal) AS s
 WHERE stale
"""
_WRONG = """
SELECT count(*) FROM (
    SELECT r.id FROM run r JOIN journal j ON j.run_id = r.id AND j.phase = 1
     GROUP BY r.id HAVING count(*) <> %s OR count(DISTINCT j.key) <> %s) AS wrong
"""
_RESULTS = """
SELECT count(*) FROM run r JOIN run_payload p ON p.run_id = r.id
 WHERE r.status = 'succeeded' AND convert_from(p.output, 'UTF8') = %s
"""


@dataclass(frozen=True)
class Verdict:
    """Counts, and what is wrong with them."""

    counts: dict[str, int]
    wrong: tuple[str, ...]


def judge(plant: Plant, wanted: int, effects: Counter[str]) -> Verdict:
    """Compare what is there with what must be there."""
    found = {name: int(n) for name, n in plant.rows(_OUTCOMES)[0].items()}
    once = {what: n for what, n in effects.items() if what.startswith(ONCE_TOOLS)}
    found |= {
        "runs": wanted,
        "succeeded": int(plant.value(_RESULTS, str(STEPS))),
        "once": len(once),
        "once_twice": sum(n > 1 for n in once.values()),
        "runs_with_gaps": int(plant.value(_GAPS)),
        "rows_of_old_epochs": int(plant.value(_STALE)),
        "runs_with_wrong_rows": int(plant.value(_WRONG, STEPS + 1, STEPS + 1)),
        "journal_rows": int(plant.value("SELECT count(*) FROM journal")),
    }
    expected = {
        "succeeded": wanted,
        "steps": wanted * STEPS,
        "timers": wanted,
        "endings": wanted,
        "once": wanted * ONCE,
        "once_twice": 0,
        "runs_with_gaps": 0,
        "rows_of_old_epochs": 0,
        "runs_with_wrong_rows": 0,
    }
    wrong = tuple(
        f"{name}: expected {should:,}, found {found[name]:,}"
        for name, should in expected.items()
        if found[name] != should
    )
    return Verdict(found, wrong)
