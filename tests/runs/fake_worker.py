"""A worker as the database sees one: claims, appends, suspends, finishes, falls silent."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
from django.db import connection
from django.db.models import Max
from django.utils import timezone

from runs.models import Journal, Phase, Run, RunStatus, Worker, WorkerState


@dataclass
class FakeWorker:
    """Holds runs without running them."""

    row: Worker

    @classmethod
    def born(cls) -> FakeWorker:
        row = Worker.objects.create(
            machine="m", hostname="h", pid=1, pid_started=1, queues=["default"], capacity=1
        )
        return cls(row)

    def claims(self, run: Run) -> Run:
        last = self.last_seq(run)
        Run.objects.filter(pk=run.pk).update(
            status=RunStatus.RUNNING,
            waiting_for="",
            waiting_detail="",
            worker=self.row,
            epoch=run.epoch + 1,
            claimed_seq=last,
            ready_at=None,
        )
        run.refresh_from_db()
        return run

    def appends(
        self,
        run: Run,
        key: str,
        phase: Phase = Phase.OUTCOME,
        *,
        n: int = 0,
        kind: str = "step.completed",
        value: object = None,
        meta: dict[str, Any] | None = None,
    ) -> int:
        seq = self.last_seq(run) + 1
        Journal.objects.create(
            run=run,
            key=key,
            phase=phase,
            n=n,
            seq=seq,
            epoch=run.epoch,
            kind=kind,
            name=key.partition("#")[0],
            codec=0 if phase == Phase.OUTCOME else None,
            data=json.dumps(value).encode() if phase == Phase.OUTCOME else None,
            meta=meta,
        )
        return seq

    def intends(
        self, run: Run, key: str, *, n: int = 1, deadline_at: datetime | None = None
    ) -> int:
        deadline = deadline_at or timezone.now() + timedelta(minutes=1)
        return self.appends(
            run,
            key,
            Phase.INTENT,
            n=n,
            kind="step.intended",
            meta={
                "type": "tool",
                "effect": "once",
                "attempt": n,
                "worker": self.row.pk,
                "deadline_at": deadline.isoformat(),
            },
        )

    def is_unsure(self, run: Run, key: str) -> int:
        """Promises to act, and does not know whether it did."""
        self.intends(run, key)
        return self.appends(
            run, f"@step.uncertain/{key}", Phase.NOTE, n=self.last_seq(run), kind="step.uncertain"
        )

    def suspends(self, run: Run, waiting_for: str, detail: str = "") -> Run:
        Run.objects.filter(pk=run.pk).update(
            status=RunStatus.WAITING,
            waiting_for=waiting_for,
            waiting_detail=detail,
            worker=None,
            ready_at=None,
        )
        run.refresh_from_db()
        return run

    def finishes(self, run: Run, output: object = None) -> Run:
        Run.objects.filter(pk=run.pk).update(
            status=RunStatus.SUCCEEDED,
            stop_reason="completed",
            worker=None,
            finished_at=timezone.now(),
        )
        run.payload.output_codec, run.payload.output = 0, json.dumps(output).encode()
        run.payload.save()
        run.refresh_from_db()
        return run

    def fails(self, run: Run, message: str = "no") -> Run:
        """Ends the run as one whose own code raised."""
        self.appends(run, "@run.failed", Phase.NOTE, n=run.epoch, kind="run.failed")
        Run.objects.filter(pk=run.pk).update(
            status=RunStatus.FAILED,
            stop_reason="agent_error",
            worker=None,
            finished_at=timezone.now(),
        )
        error = {"code": "agent_error", "message": message, "steps": []}
        run.payload.error_codec, run.payload.error = 0, json.dumps(error).encode()
        run.payload.save()
        run.refresh_from_db()
        return run

    def spawns(self, parent: Run, key: str, **fields: Any) -> Run:
        from runs import services

        child = services.start_run(
            agent="anything", input={}, owner=parent.owner, started_by=parent.public_id
        ).run
        root = parent.root or parent
        Run.objects.filter(pk=child.pk).update(parent=parent, parent_key=key, root=root, **fields)
        child.refresh_from_db()
        return child

    def falls_silent(self, seconds: float = 3600) -> None:
        self.row.heartbeat_at = timezone.now() - timedelta(seconds=seconds)
        self.row.save(update_fields=["heartbeat_at"])

    def exits(self) -> None:
        self.row.state = WorkerState.DEAD
        self.row.exited_at = timezone.now()
        self.row.save(update_fields=["state", "exited_at"])

    @staticmethod
    def last_seq(run: Run) -> int:
        found = Journal.objects.filter(run=run).aggregate(last=Max("seq"))["last"]
        return int(found or 0)


def kinds(run: Run) -> list[str]:
    """Event kinds of a run in order; fails if the numbers are not dense."""
    rows = list(Journal.objects.filter(run=run).order_by("seq").values_list("seq", "kind"))
    assert [seq for seq, _ in rows] == list(range(1, len(rows) + 1))
    return [kind for _, kind in rows]


def connect() -> psycopg.Connection[Any]:
    """A connection of its own to the test database, in autocommit mode like a worker's."""
    known = connection.get_connection_params()
    names = ("dbname", "user", "password", "host", "port")
    return psycopg.connect(**{n: known[n] for n in names if known.get(n)}, autocommit=True)
