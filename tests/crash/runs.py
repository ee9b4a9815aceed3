"""Runs of a plant: started, looked at and judged from outside."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from psycopg.rows import tuple_row

from agentops.sdk.codec import canonical, decode, encode
from runs.engine import store
from runs.engine.store import Verdict
from runs.models import RunStatus
from tests.crash.plant import Plant, until

FINAL = ("succeeded", "failed", "cancelled", "expired")


@dataclass(frozen=True)
class Seen:
    """A run as a test sees it."""

    plant: Plant
    id: int
    public_id: str

    @property
    def row(self) -> dict[str, Any]:
        return self.plant.rows("SELECT * FROM run WHERE id = %s", self.id)[0]

    @property
    def status(self) -> str:
        return str(self.row["status"])

    @property
    def journal(self) -> list[dict[str, Any]]:
        return self.plant.rows("SELECT * FROM journal WHERE run_id = %s ORDER BY seq", self.id)

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        return [row for row in self.journal if row["kind"] == kind]

    @property
    def output(self) -> object:
        row = self.plant.rows(
            "SELECT output_codec, output FROM run_payload WHERE run_id = %s", self.id
        )[0]
        return decode(row["output_codec"], bytes(row["output"]))

    # -- waiting

    def until_final(self) -> Seen:
        until(lambda: self.status in FINAL, f"{self.public_id} ends: {self.row}")
        return self

    def until_waiting(self, detail: str) -> Seen:
        def waits() -> bool:
            row = self.row
            return row["status"] == "waiting" and str(row["waiting_detail"]).startswith(detail)

        until(waits, f"{self.public_id} waits for {detail}")
        return self

    def until_held(self) -> Seen:
        until(lambda: self.status == "running", f"{self.public_id} is claimed")
        return self

    def until_not_running(self) -> Seen:
        until(lambda: self.status != "running", f"{self.public_id} is taken from its worker")
        return self

    def until_recorded(self, kind: str, times: int = 1) -> Seen:
        until(lambda: len(self.of_kind(kind)) >= times, f"{kind} is in the journal")
        return self

    # -- doing

    def move_to(self, queue: str) -> Seen:
        """Let workers of another queue have it."""
        self.plant.execute("UPDATE run SET queue = %s WHERE id = %s", queue, self.id)
        return self

    def settle(self, key: str, verdict: Verdict, result: object = None) -> None:
        said = store.Settlement(key, verdict, "opal", encode(result))
        with self.plant.connection().transaction():
            store.settle(_cursor(self.plant), self.id, said, grace_seconds=store.GRACE_SECONDS)

    def signal(self, name: str, payload: object, dedup_key: str | None = None) -> bool | None:
        with self.plant.connection().transaction():
            arrival = store.signal(
                _cursor(self.plant),
                run_id=self.id,
                name=name,
                payload=encode(payload),
                sender="test",
                dedup_key=dedup_key,
            )
        return None if arrival is None else arrival.accepted

    # -- judging

    def check(self) -> None:
        """What holds for every run at every moment."""
        journal = self.journal
        assert [row["seq"] for row in journal] == list(range(1, len(journal) + 1)), journal
        outcomes = [row["key"] for row in journal if row["phase"] == 1]
        assert len(outcomes) == len(set(outcomes)), outcomes
        epochs = [row["epoch"] for row in journal]
        assert epochs == sorted(epochs), "a row of an old epoch after one of a newer"
        endings = [row for row in journal if row["kind"].removeprefix("run.") in FINAL]
        assert len(endings) == (1 if self.status in FINAL else 0), endings

    def succeeded(self, output: object) -> None:
        """It ended well, with this result and a sound journal."""
        self.until_final()
        assert (self.status, self.output) == (RunStatus.SUCCEEDED, output), self.row
        self.check()


def _cursor(plant: Plant) -> Any:
    return plant.connection().cursor(row_factory=tuple_row)


def start(plant: Plant, agent: str, *, queue: str = "default", **given: object) -> Seen:
    """Start a run without ringing any bell: somebody has to find it."""
    new = store.NewRun(
        agent=agent,
        agent_version="",
        input=encode(given or None),
        input_digest=hashlib.sha256(canonical(given)).digest(),
        owner_id=None,
        started_by="test",
        queue=queue,
    )
    run = store.start(_cursor(plant), new)
    assert run is not None
    return Seen(plant, run.pk, run.public_id)


def told(row: dict[str, Any]) -> str:
    """A journal row's meta, to search in."""
    return json.dumps(row["meta"])
