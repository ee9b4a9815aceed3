"""Every partial in every status, for staff: what the console can look like, on one page."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from agentops.accounts.access import Action, allows
from agentops.accounts.actors import actor_of
from agentops.accounts.models import ApiToken
from agentops.views.people import drafts
from agentops.views.people.forms import TokenForm
from approvals.models import Kind, Request, Risk, State
from approvals.showing import Row
from runs import drawing, statuses, talks, troubles
from runs.conversations import OnConflict
from runs.dialogue import Said
from runs.drawing import RunDrawing, RunRow
from runs.models import Conversation, Message, Phase, Run, RunStatus, StopReason, WaitingFor
from runs.timeline import Line, Timeline
from runs.views.signing import signed_in

NOW = datetime(2026, 11, 23, 14, 2, 11, tzinfo=UTC)
LONG = "A title that is far too long for its column because somebody pasted a whole sentence " * 2
RIGHT_TO_LEFT = "تسوية فواتير نوفمبر"


# A rule of every kind, one that is long, and one that cannot be read.
_RULES = [
    {"id": "allow", "effect": "allow", "tools": ["send_reply"]},
    {
        "id": "ask", "effect": "ask", "agents": ["invoice-clerk"], "title": LONG[:120],
        "when": "double(arguments.amount) > 200.0 && " * 4 + "true", "decide_minutes": 60,
        "factors": [{"role": "approver", "count": 2}, {"team": "finance"}], "feedback": LONG,
    },
    {"id": "deny", "effect": "deny", "mode": "watch", "tools": ["delete*"]},
    {"id": "unclear", "effect": "maybe"},
]  # fmt: skip


@require_safe
@signed_in
def gallery(request: HttpRequest) -> HttpResponse:
    """Draw all there is, from made-up records that are stored nowhere."""
    if not allows(actor_of(request), Action.ADMINISTER):
        raise Http404("The gallery is for administrators.")
    drawn = RunDrawing(_run(status=RunStatus.RUNNING), Timeline(_lines()), NOW)
    context = {
        "now": NOW,
        "drawing": drawn,
        "rows": [RunRow(run, statuses.look(run, NOW)) for run in _runs()],
        "steps": drawn.rows(drawn.timeline.steps),
        "events": drawing.events(_lines()),
        "heads": [RunDrawing(run, Timeline(_lines()), NOW) for run in _runs()],
        "tokens": list(_tokens()),
        "wrong_form": TokenForm({"name": LONG * 2, "scopes": ["all"]}),
        "rules": drafts.rows(_RULES),
        "asks": [Row(made, NOW, made.pk != 3) for made in _requests()],
        "troubles": [troubles.explain(reason, {}) for reason in StopReason.values],
    }
    context |= _talk()
    return render(request, "system/gallery.html", context)


def _requests() -> Iterator[Request]:
    """A request of every kind, risk and state."""
    known: dict[str, Any] = {"agent": "invoice-clerk", "created_at": NOW - timedelta(minutes=12)}
    titles = ("send e-mail to 3 people", LONG, RIGHT_TO_LEFT, "pay \u202e001 to p\u0430ypal")
    due = {"decide_by": NOW + timedelta(minutes=9)}
    shapes: list[dict[str, Any]] = [
        *({"kind": Kind.APPROVAL, "risk": risk, **due} for risk in Risk),
        {"kind": Kind.QUESTION},
        *({"kind": Kind.ATTENTION, "name": name} for name in ("uncertain", "crash_loop", "budget")),
        *({"state": state, "decided_at": NOW, "risk": Risk.LOW} for state in State
          if state != State.PENDING),
    ]  # fmt: skip
    for number, shape in enumerate(shapes):
        made = {"kind": Kind.APPROVAL, "name": "gmail.send", "state": State.PENDING, **known}
        yield Request(pk=number, public_id=f"req_{number:020d}", title=titles[number % 4][:200],
                      **{**made, **shape})  # fmt: skip


def _tokens() -> Iterator[ApiToken]:
    """A token that was never used, one that is old, and one that has ended."""
    for number, (name, used, ends) in enumerate(
        (
            ("order desk", None, None),
            (LONG, NOW - timedelta(days=40), NOW + timedelta(days=3)),
            ("", NOW, NOW - timedelta(hours=1)),
        )
    ):
        yield ApiToken(
            public_id=f"tok_{number:020d}", name=name, token_key="agp_48cf05b41",  # noqa: S106
            last_used_at=used,
            created=NOW - timedelta(days=90), expiry=ends, scopes=["runs:read", "runs:write"],
        )  # fmt: skip


def _talk() -> dict[str, Any]:
    """A conversation with a turn in every status, and messages in line."""
    talk = Conversation(
        pk=1, public_id="conv_8fk2q0ab3m4n5p6q7r8s", agent="invoice-clerk", owner=None, turns=9,
        title="How much is still open?", created_at=NOW - timedelta(hours=2), active_at=NOW,
    )  # fmt: skip
    messages = ("How much is still open?", LONG, RIGHT_TO_LEFT, {"month": "2026-11", "net": True})
    runs = _runs()
    turns = [
        talks.drawn(_said(number, run, messages[number % 4]), RunDrawing(run, timeline, NOW))
        for number, run in enumerate(runs, 1)
        for timeline in [Timeline([] if run.is_final else _lines())]
    ]
    live = _run(status=RunStatus.RUNNING)
    line = [
        talks.Waiting(number, "ana", NOW, number == 2, talks.Words.of(LONG)) for number in (2, 3)
    ]
    looks = [statuses.look(live, NOW), talks.IDLE_LOOK]
    return {
        "conversation": talk,
        "turns": turns,
        "line": line,
        "talks": [talks.TalkRow(talk, look, 2, look is looks[0]) for look in looks],
        "consequences": talks.consequences(live, len(line)),
        "composer": talks.Composer(None, takes_text=True),
        "chosen": OnConflict.INTERRUPT,
    }


def _said(number: int, run: Run, content: object) -> Said:
    output = {"open": 31, "sum": "4,400.00"} if number % 2 else "31 invoices, 4,400.00 in all."
    message = Message(number=number, turn=number, sender="ana", at=NOW - timedelta(minutes=number))
    return Said(message, run, content, output, {"code": "timeout", "message": "Nobody answered."})


def _run(**fields: object) -> Run:
    run = Run(
        pk=1, public_id="run_8fk2q0ab3m4n5p6q7r8s", agent="invoice-clerk", agent_version="14",
        title="Reconcile November invoices", started_by="ana", steps=14, retries=2,
        worked_ms=242_000, progress="Matching 31 of 48 invoices", degraded=[], crash_count=0,
        waiting_detail="", stop_reason="", waiting_for="", owner=None, queue="default",
        created_at=NOW - timedelta(minutes=16), status_at=NOW - timedelta(minutes=12),
        last_progress_at=NOW - timedelta(minutes=1), ready_at=NOW + timedelta(seconds=18),
    )  # fmt: skip
    for name, value in fields.items():
        setattr(run, name, value)
    return run


def _runs() -> list[Run]:
    """A run in every status, each with an id of its own."""
    runs = list(_statuses())
    for number, run in enumerate(runs):
        run.public_id = f"run_{number:020d}"
    return runs


def _statuses() -> Iterator[Run]:
    yield _run(status=RunStatus.QUEUED, title=LONG, ready_at=NOW)
    yield _run(status=RunStatus.RUNNING, title=RIGHT_TO_LEFT)
    yield _run(status=RunStatus.RUNNING, cancel_requested_at=NOW)
    for reason in WaitingFor.values:
        yield _run(status=RunStatus.WAITING, waiting_for=reason, waiting_detail="uncertain:pay#1")
    for detail in ("code_changed", "crash_loop", "payload", "stop:stp_8fk2q0ab3m4n5p6q7r8s"):
        yield _run(status=RunStatus.WAITING, waiting_for="operator", waiting_detail=detail)
    for status, reason in (
        (RunStatus.SUCCEEDED, StopReason.COMPLETED),
        (RunStatus.FAILED, StopReason.RETRIES_EXHAUSTED),
        (RunStatus.CANCELLED, StopReason.CANCELLED_BY_USER),
        (RunStatus.EXPIRED, StopReason.TIMEOUT),
    ):
        yield _run(status=status, stop_reason=reason, finished_at=NOW)
    yield _run(status=RunStatus.SUCCEEDED, stop_reason="completed", finished_at=NOW,
               degraded=["geocoder"])  # fmt: skip


def _lines() -> list[Line]:
    """One step in every status a step can have."""
    made: list[Line] = []

    def add(second: float, key: str, phase: int, kind: str, n: int = 0, **meta: object) -> None:
        name = key.lstrip("@").partition("#")[0]
        at = NOW - timedelta(minutes=16) + timedelta(seconds=second)
        made.append(Line(len(made) + 1, key, phase, n, kind, name, dict(meta), None, at))

    tool: dict[str, Any] = {"type": "tool", "effect": "read"}
    failed: dict[str, Any] = {"error": {"code": "timeout", "message": "No result within 10 s."}}
    add(0, "@run.created", Phase.NOTE, "run.created", by="ana")
    add(0.1, "@run.started", Phase.NOTE, "run.started", 1, worker=7)
    add(4, "fetch_page#1", Phase.OUTCOME, "step.completed", attempt=1, duration_ms=3800, **tool)
    add(9, "match#1", Phase.FAILED, "step.retrying", 1, next_at=(NOW).isoformat(), **tool, **failed)
    add(13, "match#1", Phase.OUTCOME, "step.failed", attempt=2, **tool, **failed)
    add(14, "geocode#1", Phase.FAILED, "step.retrying", 1, **tool, **failed)
    add(15, "pay#1", Phase.INTENT, "step.intended", 1, type="tool", effect="once")
    add(16, "@step.uncertain/pay#1", Phase.NOTE, "step.uncertain", 1, type="tool", effect="once")
    add(17, "nap#1", Phase.STARTED, "timer.started", 1, type="timer")
    add(18, "paid#1", Phase.STARTED, "event.awaited", 1, type="event")
    add(19, "clerk#1", Phase.STARTED, "child.started", 1, type="child")
    add(20, "which_account#1", Phase.STARTED, "step.started", 1, type="ask")
    add(21, "send_mail#1", Phase.INTENT, "step.intended", 1, type="tool", effect="once")
    add(22, "send_mail#1", Phase.OUTCOME, "step.settled", verdict="happened", by="bo")
    add(23, "crawl/page#1", Phase.STARTED, "step.started", 1, **tool)
    return made
