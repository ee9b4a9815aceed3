"""Makes runs with journals of every kind, as a worker would have left them."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from agentops.accounts.models import User
from runs.models import Journal, Phase, Run, RunPayload, RunStatus, Worker

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
TOOL: dict[str, Any] = {"type": "tool", "effect": "read"}
ONCE: dict[str, Any] = {"type": "tool", "effect": "once"}


def public_id() -> str:
    return "run_" + "".join(secrets.choice(_ALPHABET) for _ in range(20))


def worker(**fields: Any) -> Worker:
    """A worker process that is alive."""
    known = {"machine": "m1", "hostname": "worker-1", "pid": 4211, "pid_started": 1}
    return Worker.objects.create(**{**known, "queues": ["default"], "capacity": 64, **fields})


def run(owner: User | None = None, **fields: Any) -> Run:
    """A run with its payload and no journal."""
    now = timezone.now()
    status = fields.get("status", RunStatus.QUEUED)
    known: dict[str, Any] = {
        "public_id": public_id(),
        "agent": "invoice-clerk",
        "agent_version": "14",
        "owner": owner,
        "started_by": owner.get_username() if owner else "system",
        "created_at": now,
        "status_at": now,
        "last_progress_at": now,
        "ready_at": now,
    }
    if RunStatus(status).is_final:
        known |= {"finished_at": now, "ready_at": None}
    if status == RunStatus.RUNNING and "worker" not in fields:
        known["worker"] = worker()
    made = Run.objects.create(**{**known, **fields})
    RunPayload.objects.create(run=made, input=b'{"month": "2026-11"}', input_digest=b"")
    return made


@dataclass
class Story:
    """Writes a run's journal line by line, with a clock of its own."""

    run: Run
    clock: datetime
    seq: int = 0
    lines: list[Journal] = field(default_factory=list)

    @classmethod
    def of(cls, run: Run, started: datetime | None = None) -> Story:
        return cls(run, started or run.created_at)

    def wait(self, seconds: float) -> Story:
        self.clock += timedelta(seconds=seconds)
        return self

    def note(self, kind: str, n: int | None = None, *, key: str = "", **meta: Any) -> Story:
        """A line that no step returns."""
        at = self.seq + 1 if n is None else n
        return self.add(key or f"@{kind}", Phase.NOTE, kind, n=at, name=kind, **meta)

    def add(
        self,
        key: str,
        phase: Phase,
        kind: str,
        *,
        n: int = 0,
        name: str = "",
        value: object = None,
        input: object = None,
        took: float | None = None,
        **meta: Any,
    ) -> Story:
        """One line, now."""
        self.seq += 1
        outcome = phase == Phase.OUTCOME
        line = Journal(
            run=self.run,
            key=key,
            phase=phase,
            n=n,
            seq=self.seq,
            epoch=max(self.run.epoch, 1),
            kind=kind,
            name=name or key.rpartition("/")[2].partition("#")[0],
            codec=0 if outcome else None,
            data=json.dumps(value).encode() if outcome else None,
            input_codec=None if input is None else 0,
            input=None if input is None else json.dumps(input).encode(),
            meta=meta or None,
            started_at=None if took is None else self.clock - timedelta(seconds=took),
            at=self.clock,
        )
        self.lines.append(line)
        return self

    def call(self, key: str, seconds: float, value: object = None, **given: Any) -> Story:
        """A read that worked at once."""
        self.wait(seconds)
        return self.add(
            key,
            Phase.OUTCOME,
            "step.completed",
            value=value,
            took=seconds,
            attempt=1,
            **{**TOOL, **given},
        )

    def fails_once(self, key: str, seconds: float, message: str, pause: float = 1.0) -> Story:
        """An attempt that fails; the next one begins after ``pause``."""
        began = self.clock
        n = 1 + sum(1 for line in self.lines if line.key == key and line.phase == Phase.FAILED)
        self.wait(seconds)
        due = (self.clock + timedelta(seconds=pause)).isoformat()
        self.add(
            key,
            Phase.FAILED,
            "step.retrying",
            n=n,
            attempt=n,
            next_at=due,
            error={"code": "timeout", "message": message},
            **TOOL,
        )
        self.lines[-1].started_at = began
        return self.wait(pause)

    def save(self) -> Run:
        """Write what was told so far; may be called again after more."""
        known = set(Journal.objects.filter(run=self.run).values_list("seq", flat=True))
        Journal.objects.bulk_create([line for line in self.lines if line.seq not in known])
        steps = {line.key for line in self.lines if not line.key.startswith("@")}
        failed = [line for line in self.lines if line.phase == Phase.FAILED]
        Run.objects.filter(pk=self.run.pk).update(
            steps=len(steps), retries=len(failed), last_progress_at=self.clock
        )
        self.run.refresh_from_db()
        return self.run

    def fields(self, **fields: Any) -> Story:
        """Columns of the run's row."""
        Run.objects.filter(pk=self.run.pk).update(**fields)
        self.run.refresh_from_db()
        return self

    def ends(self, status: RunStatus, reason: str, **payload: Any) -> Story:
        """The run is over, by its row and its last line."""
        error = payload.get("error")
        meta = {"stop_reason": reason} | ({"error": error} if error else {})
        self.note(f"run.{status}", **meta)
        self.fields(
            status=status,
            stop_reason=reason,
            waiting_for="",
            waiting_detail="",
            worker=None,
            finished_at=self.clock,
            status_at=self.clock,
            ready_at=None,
        )
        if error:
            columns: dict[str, Any] = {"error_codec": 0, "error": json.dumps(error).encode()}
        else:
            columns = {"output_codec": 0, "output": json.dumps(payload.get("output")).encode()}
        RunPayload.objects.filter(run=self.run).update(**columns)
        return self


def begun(owner: User | None, *, ago: float, title: str, **fields: Any) -> Story:
    """A run that a worker took, ``ago`` seconds back, with the same first calls as its like."""
    started = timezone.now() - timedelta(seconds=ago)
    fields = {"created_at": started, "started_at": started, "status_at": started, **fields}
    story = Story.of(run(owner, title=title, **fields), started)
    story.note("run.created", 0, by=owner.get_username() if owner else "system")
    story.wait(0.04).note("run.started", 1, worker=fields.get("worker_id", 7))
    pages = [{"number": 4411 + i, "amount": "120.00"} for i in range(3)]
    story.call("list_invoices#1", 1.9, pages, input={"month": "2026-11"})
    story.call("plan#1", 3.2, {"steps": 4}, type="step", effect="read")
    return story


def running(owner: User | None = None, *, ago: float = 40) -> Run:
    """At work: calls done, a retry behind it, one call and a branch under way."""
    story = begun(
        owner,
        ago=ago,
        title="Reconcile November invoices",
        status=RunStatus.RUNNING,
        progress="Matching 31 of 48 invoices",
    )
    for n in range(1, 6):
        story.call(f"~1/fetch_page#{n}", 0.7 + 0.4 * n, {"page": n})
    story.fails_once("match#1", 2.5, "No result within 2.5 s.", 1.5)
    story.wait(1.8).add(
        "match#1", Phase.OUTCOME, "step.completed", value=31, took=1.8, attempt=2, **TOOL
    )
    story.note("run.progress", 1, text="Matching 31 of 48 invoices")
    story.wait(2).add("match#2", Phase.STARTED, "step.started", n=1, attempt=1, **TOOL)
    story.wait(1).add("ledger_page#1", Phase.STARTED, "step.started", n=1, attempt=1, **TOOL)
    return story.fields(worked_ms=15_000, progress="Matching 31 of 48 invoices").save()


def sleeping(owner: User | None = None) -> Run:
    """Waiting for a point in time."""
    story = begun(owner, ago=900, title="Remind overdue customers", status=RunStatus.RUNNING)
    story.call("overdue#1", 2.2, ["Acme", "Initech"])
    story.add("sleep#1", Phase.STARTED, "timer.started", n=1, type="timer", name="sleep")
    story.note("run.waiting", 1, waiting_for="timer")
    due = timezone.now() + timedelta(hours=2)
    return story.fields(
        status=RunStatus.WAITING,
        waiting_for="timer",
        worker=None,
        ready_at=due,
        status_at=story.clock,
        worked_ms=7_400,
    ).save()


def waiting_for_event(owner: User | None = None) -> Run:
    """Waiting for an event, after a long pause that the timeline collapses."""
    story = begun(owner, ago=1500, title="Order 7731: wait for payment", status=RunStatus.RUNNING)
    story.add("paid#1", Phase.STARTED, "event.awaited", n=1, type="event", name="payment")
    story.wait(720).add(
        "paid#1", Phase.OUTCOME, "event.received", value={"ok": True}, type="event", name="payment"
    )
    story.call("book#1", 3.1, {"booked": True})
    story.call("pack#1", 12.4, {"parcels": 2})
    story.wait(0.2).add(
        "shipped#1", Phase.STARTED, "event.awaited", n=1, type="event", name="order.shipped"
    )
    story.note("run.waiting", 1, waiting_for="event")
    return story.fields(
        status=RunStatus.WAITING,
        waiting_for="event",
        worker=None,
        ready_at=None,
        waiting_detail="event:order.shipped",
        status_at=story.clock,
        worked_ms=21_000,
    ).save()


def retrying(owner: User | None = None) -> Run:
    """Between two attempts."""
    story = begun(
        owner, ago=70, title="Enrich 48 leads", status=RunStatus.RUNNING, agent="lead-enricher"
    )
    story.fails_once("geocode#1", 10, "No result within 10 s.", 8)
    story.fails_once("geocode#1", 10, "503 from maps.example: try later.", 0)
    due = timezone.now() + timedelta(seconds=18)
    story.note("run.waiting", 1, waiting_for="retry")
    return story.fields(
        status=RunStatus.WAITING,
        waiting_for="retry",
        worker=None,
        ready_at=due,
        waiting_detail="geocode",
        status_at=story.clock,
        worked_ms=25_000,
    ).save()


def uncertain(owner: User | None = None, *, quarantined: bool = False) -> Run:
    """A worker was lost in the middle of an effect."""
    story = begun(owner, ago=1320, title="Pay invoice 4411", status=RunStatus.RUNNING)
    lost = worker(state="dead")
    ends = (
        timezone.now() + timedelta(minutes=3)
        if quarantined
        else story.clock + timedelta(seconds=15)
    )
    story.call("check_balance#1", 0.8, {"balance": "9120.00"})
    story.wait(0.1).add(
        "send_payment#1",
        Phase.INTENT,
        "step.intended",
        n=1,
        attempt=1,
        worker=lost.pk,
        deadline_at=ends.isoformat(),
        input={"invoice": 4411, "amount": "120.00", "to": "Acme"},
        **ONCE,
    )
    story.wait(31).note("run.recovered", 2, worker=9)
    story.wait(0.2).note(
        "step.uncertain",
        key="@step.uncertain/send_payment#1",
        error={"code": "uncertain", "message": "The worker was lost during the call."},
        **ONCE,
    )
    story.note("run.waiting", 2, waiting_for="operator")
    return story.fields(
        status=RunStatus.WAITING,
        waiting_for="operator",
        worker=None,
        waiting_detail="uncertain:send_payment#1",
        ready_at=None,
        crash_count=1,
        status_at=story.clock,
        worked_ms=6_200,
    ).save()


def failed(owner: User | None = None) -> Run:
    """A step failed on every attempt."""
    story = begun(owner, ago=7200, title="Reconcile October invoices", status=RunStatus.RUNNING)
    for n in range(1, 4):
        story.call(f"fetch_page#{n}", 1.1, {"page": n})
    message = "400 from erp.example: field “period” is not open."
    story.fails_once("post_entries#1", 2, message, 2).fails_once("post_entries#1", 2.4, message, 4)
    error = {"code": "tool_error", "message": message}
    story.wait(2.2).add(
        "post_entries#1",
        Phase.OUTCOME,
        "step.failed",
        value=error,
        took=2.2,
        attempt=3,
        error=error,
        input={"period": "2026-10", "entries": [{"account": 4400, "amount": "1204.00"}]},
        **TOOL,
    )
    told = {
        "code": "tool_error",
        "message": f"post_entries: {message}",
        "kind": "ToolError",
        "step": "post_entries#1",
    }
    return (
        story.ends(RunStatus.FAILED, "retries_exhausted", error=told)
        .fields(worked_ms=23_000)
        .save()
    )


def succeeded(owner: User | None = None, *, ago: float = 5400, **fields: Any) -> Run:
    """Done, with a result."""
    story = begun(
        owner,
        ago=ago,
        title="Audit licences of the web image",
        status=RunStatus.RUNNING,
        agent="dependency-audit",
        agent_version="src-9f1c2b7a0d34",
    )
    for n in range(1, 9):
        story.call(f"~1/read_metadata#{n}", 0.3 + n / 9, {"name": f"package-{n}", "licence": "MIT"})
    story.add("report#1", Phase.INTENT, "step.intended", n=1, attempt=1, worker=7, **ONCE)
    story.wait(0.6).add(
        "report#1", Phase.OUTCOME, "step.completed", value="report.md", took=0.6, attempt=1, **ONCE
    )
    story.ends(
        RunStatus.SUCCEEDED,
        "completed",
        output={"packages": 143, "conflicts": 0, "report": "report.md"},
    )
    return story.fields(worked_ms=12_400, **fields).save()


def cancelled(owner: User | None = None) -> Run:
    """Ended by its owner while a step was under way."""
    story = begun(owner, ago=10_000, title="Import the whole archive", status=RunStatus.RUNNING)
    story.add("import_all#1", Phase.STARTED, "step.started", n=1, attempt=1, **TOOL)
    story.wait(44).note("run.cancel_requested", 1, by="ana")
    return (
        story.wait(0.4)
        .ends(RunStatus.CANCELLED, "cancelled_by_user")
        .fields(worked_ms=49_000)
        .save()
    )


def every_status(owner: User | None = None) -> dict[str, Run]:
    """One run of each kind, and a parent with a child and a fork."""
    runs = {
        "succeeded": succeeded(owner),
        "failed": failed(owner),
        "cancelled": cancelled(owner),
        "uncertain": uncertain(owner),
        "event": waiting_for_event(owner),
        "sleeping": sleeping(owner),
        "retrying": retrying(owner),
        "running": running(owner),
        "queued": run(owner, title="Weekly digest", agent="digest"),
    }
    runs["reduced"] = succeeded(owner, ago=300, degraded=["geocoder"])
    child = succeeded(owner, ago=200, title="Collect attachments")
    Run.objects.filter(pk=child.pk).update(
        parent=runs["running"], parent_key="collect#1", root=runs["running"]
    )
    fork = succeeded(owner, ago=100, title="Audit licences, corrected")
    Run.objects.filter(pk=fork.pk).update(forked_from=runs["succeeded"], forked_at_seq=5)
    return runs


def long_run(owner: User | None = None, *, steps: int = 10_000) -> Run:
    """A finished run with many steps."""
    story = begun(owner, ago=9000, title="Crawl the catalogue", status=RunStatus.RUNNING)
    for n in range(1, steps - 1):
        story.call(f"fetch#{n}", 0.2)
    return story.ends(RunStatus.SUCCEEDED, "completed", output=steps).save()
