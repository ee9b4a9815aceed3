"""A scripted operator who settles uncertain outcomes by looking at the outside world."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import Any

from psycopg.rows import tuple_row

from agentops.sdk.codec import encode
from runs.engine import store
from runs.engine.store import Verdict
from tests.crash.plant import Plant

_PARKED = "SELECT id, public_id, waiting_detail FROM run WHERE waiting_for = 'operator'"
# The attempt in doubt, and whether it can act no more.
_INTENT = """
SELECT i.n, w.exited_at IS NOT NULL
            OR (i.meta->>'deadline_at')::timestamptz < clock_timestamp() - interval '6 s' AS over
  FROM journal i LEFT JOIN worker w ON w.id = (i.meta->>'worker')::bigint
 WHERE i.run_id = %s AND i.key = %s AND i.phase = 0 ORDER BY i.n DESC LIMIT 1
"""


class Ledger:
    """What happened in the outside world, read as it grows."""

    def __init__(self, plant: Plant) -> None:
        self._path = plant.world.folder / "effects"
        self._read = 0
        self._rest = b""
        self.effects: Counter[str] = Counter()

    def update(self) -> Counter[str]:
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._read)
                new = file.read()
            self._read += len(new)
            *lines, self._rest = (self._rest + new).split(b"\n")
            self.effects.update(line.rpartition(b"\t")[0].decode() for line in lines)
        return self.effects


class Operator:
    """Keeps the quarantine: is the old attempt over, and only then what does the world say."""

    def __init__(self, plant: Plant, ledger: Ledger) -> None:
        self._plant, self._ledger = plant, ledger
        self.answers: Counter[str] = Counter()

    def look(self) -> None:
        """Settle what can be settled now."""
        for row in self._plant.rows(_PARKED):
            detail = str(row["waiting_detail"])
            if detail.startswith("uncertain:"):
                self._settle(row, detail.removeprefix("uncertain:"))
            else:
                self._resume(row["id"], detail)

    def _settle(self, run: dict[str, Any], key: str) -> None:
        intents = self._plant.rows(_INTENT, run["id"], key)
        if not intents:
            return
        n, over = intents[0]["n"], intents[0]["over"]
        tool = key.rpartition("/")[2].partition("#")[0]
        happened = self._ledger.update()[f"{tool} {run['public_id']}/{key}"] > 0
        if happened:
            self._say(run["id"], key, n, Verdict.HAPPENED)
        elif over:
            self._say(run["id"], key, n, Verdict.DID_NOT_HAPPEN)
        else:
            self.answers["in quarantine"] += 1

    def _say(self, run: int, key: str, n: int, verdict: Verdict) -> None:
        said = store.Settlement(key, verdict, "script", encode("settled"), attempt=n)
        refusals = (store.InQuarantine, store.NotUncertain, store.RunIsBusy, store.RunIsFinal)
        with suppress(*refusals), self._plant.connection().transaction():
            store.settle(self._cursor(), run, said, grace_seconds=1.0)
            self.answers[verdict] += 1

    def _resume(self, run: int, detail: str) -> None:
        refusals = (store.RunIsFinal, store.NotParked, store.NeedsSettlement)
        with suppress(*refusals), self._plant.connection().transaction():
            store.resume(self._cursor(), run, by="script")
            self.answers[f"resumed after {detail}"] += 1

    def _cursor(self) -> Any:
        return self._plant.connection().cursor(row_factory=tuple_row)
