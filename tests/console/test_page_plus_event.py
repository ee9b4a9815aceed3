"""For every event kind: the page before, plus what is pushed, equals the page loaded again."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from agentops.accounts.models import User
from runs import reading, telling
from runs.live.audience import Audience
from runs.live.reader import Reader
from runs.models import Phase, Run, RunStatus
from tests import factories
from tests.console import dom
from tests.factories import ONCE, TOOL, Story

Step = Callable[[Story], object]
BROKEN = {"code": "timeout", "message": "No result within 2 s."}


def happenings() -> Iterator[Step]:
    """What happens to a run, one line at a time: every kind at least once."""
    outcome, started = Phase.OUTCOME, Phase.STARTED
    yield lambda s: s.note("run.started", 1, worker=7)
    yield lambda s: s.wait(1).add("list#1", outcome, "step.completed", value=[1], took=1, **TOOL)
    yield lambda s: s.wait(2).add("slow#1", started, "step.started", n=1, attempt=1, **TOOL)
    yield lambda s: s.wait(2).add(
        "slow#1",
        Phase.FAILED,
        "step.retrying",
        n=1,
        next_at=s.clock.isoformat(),
        error=BROKEN,
        **TOOL,
    )
    yield lambda s: s.wait(1).add(
        "slow#1", outcome, "step.failed", value=BROKEN, took=1, attempt=2, error=BROKEN, **TOOL
    )
    yield lambda s: s.note("run.progress", 1, text="Half way").fields(progress="Half way")
    yield lambda s: s.wait(1).note("patch.marked", 1, key="@patch.marked/p1")
    yield lambda s: s.add("nap#1", started, "timer.started", n=1, type="timer")
    yield lambda s: s.note("run.waiting", 1, waiting_for="timer").fields(
        status="waiting", waiting_for="timer", worker=None, ready_at=s.clock + timedelta(hours=1)
    )
    yield (
        lambda s: (
            s.wait(9)
            .note("run.paused", 1, by="ana")
            .fields(
                waiting_for="operator", waiting_detail="paused:ana", pause_by="ana", ready_at=None
            )
        )
    )
    yield (
        lambda s: (
            s.wait(300)
            .note("run.resumed", 1)
            .fields(
                status="queued", waiting_for="", waiting_detail="", pause_by="", ready_at=s.clock
            )
        )
    )
    yield lambda s: s.note("run.started", 2, worker=8).fields(
        status="running", worker=factories.worker(), ready_at=None
    )
    yield lambda s: s.add("nap#1", outcome, "timer.fired", value=None, took=300, type="timer")
    yield lambda s: s.wait(1).add("paid#1", started, "event.awaited", n=1, type="event")
    yield lambda s: s.wait(9).add("paid#1", outcome, "event.received", value=1, type="event")
    yield from later_happenings()


def later_happenings() -> Iterator[Step]:
    """Children, uncertain outcomes, a failure after which the run goes on, a wish to stop."""
    outcome, started, intent = Phase.OUTCOME, Phase.STARTED, Phase.INTENT
    yield lambda s: s.add("kid#1", started, "child.started", n=1, type="child")
    yield lambda s: s.wait(4).add("kid#1", outcome, "child.finished", value=1, type="child")
    yield lambda s: s.add("kid#2", started, "child.started", n=1, type="child")
    yield lambda s: s.wait(4).add(
        "kid#2", outcome, "child.failed", value=BROKEN, error=BROKEN, took=4, type="child"
    )
    yield lambda s: s.add("late#1", started, "event.awaited", n=1, type="event")
    yield lambda s: s.wait(5).add(
        "late#1", outcome, "event.expired", value=BROKEN, error=BROKEN, took=5, type="event"
    )
    yield lambda s: s.note("run.diverged", 2, expected="paid#1 (number 17)", asked=["x#1"]).fields(
        status="waiting", waiting_for="operator", waiting_detail="code_changed", worker=None
    )
    yield lambda s: s.note("run.started", 3, worker=8).fields(
        status="running", waiting_for="", waiting_detail="", worker=factories.worker()
    )
    yield lambda s: s.wait(1).add(
        "pay#1", intent, "step.intended", n=1, attempt=1, worker=8, input={"to": "Acme"},
        deadline_at=(timezone.now() - timedelta(hours=1)).isoformat(), **ONCE,
    )  # fmt: skip
    yield lambda s: s.wait(31).note("run.recovered", 3, worker=9).fields(crash_count=1)
    yield lambda s: s.note("stop.held", key="@stop.held/pay#1", stop="stp_1", scope="tool")
    yield lambda s: s.note("step.uncertain", key="@step.uncertain/pay#1", **ONCE).fields(
        status="waiting", waiting_for="operator", waiting_detail="uncertain:pay#1", worker=None
    )
    yield (
        lambda s: (
            s.wait(60)
            .add("pay#1", outcome, "step.settled", value="ok", verdict="happened", by="ana", **ONCE)
            .fields(status="queued", waiting_for="", waiting_detail="", ready_at=s.clock)
        )
    )
    yield from people_happen()
    yield lambda s: s.wait(1).ends(RunStatus.FAILED, "tool_error", error=BROKEN)
    yield (
        lambda s: (
            s.wait(60)
            .note("run.reopened", 4, key="@reopened", by="ana")
            .fields(status="queued", stop_reason="", finished_at=None, ready_at=s.clock)
        )
    )
    yield lambda s: s.note("run.forked", 1, by="ana")
    yield lambda s: s.note("run.cancel_requested", 1, by="ana").fields(cancel_requested_at=s.clock)


def people_happen() -> Iterator[Step]:
    """People are asked about calls, and answer questions."""
    outcome, intent = Phase.OUTCOME, Phase.INTENT
    yield (
        lambda s: (
            s.wait(1)
            .note("approval.requested", key="@approval.requested/mail#1", rule="mails")
            .fields(status="waiting", waiting_for="approval", waiting_detail="req_1", worker=None)
        )
    )
    for kind in ("approval.decided", "approval.executed"):
        yield lambda s, kind=kind: s.wait(5).note(  # type: ignore[misc]
            kind, key=f"@{kind}/mail#1", state="consumed", by="ana"
        )
    yield lambda s: s.fields(
        status="running", waiting_for="", waiting_detail="", worker=factories.worker()
    ).add("mail#1", intent, "step.intended", n=1, attempt=1, worker=8, **ONCE)
    yield lambda s: s.wait(1).add("mail#1", outcome, "step.supplied", value=1, by="ana", **ONCE)
    yield lambda s: s.note("grant.used", key="@grant.used/mail#2", grant="grt_1")
    yield lambda s: s.note("policy.denied", key="@policy.denied/mail#3", rule="no")
    for number, kind in enumerate(("answered", "declined", "unanswered"), 1):
        key, said = f"ask#{number}", {} if kind == "answered" else {"error": BROKEN}
        yield lambda s, key=key: s.add(key, intent, "question.asked", n=1, type="ask")  # type: ignore[misc]
        yield lambda s, key=key, kind=kind, said=said: s.wait(3).add(  # type: ignore[misc]
            key, outcome, f"question.{kind}", value=1, took=3, type="ask", **said
        )


ENDINGS: dict[str, Step] = {
    "run.cancelled": lambda s: s.ends(RunStatus.CANCELLED, "cancelled_by_user"),
    "run.succeeded": lambda s: s.ends(RunStatus.SUCCEEDED, "completed", output={"ok": True}),
    "run.failed": lambda s: s.ends(RunStatus.FAILED, "tool_error", error=BROKEN),
    "run.expired": lambda s: s.ends(RunStatus.EXPIRED, "timeout"),
}


class Tab:
    """A browser tab on the page of a run."""

    def __init__(self, client: Client, run: Run, query: str) -> None:
        self._client, self._address = client, f"/runs/{run.public_id}/?{query}"
        self.page = self.load()

    def load(self) -> dom.Node:
        page = dom.parse(self._client.get(self._address).content.decode())
        root = dom.Node("#page")
        for name in ("title", "run"):
            found = page.find(name)
            assert found is not None
            root.append(found)
        return root

    def take(self, frames: list[dict[str, Any]]) -> None:
        dom.apply(self.page, frames, self.load)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("view", ["timeline", "journal", "conversation"])
def test_page_before_plus_event_is_page_reloaded(
    page: Client, ana: User, view: str, ending: str
) -> None:
    run = factories.run(ana, title="Everything", status=RunStatus.RUNNING)
    story = Story.of(run).note("run.created", 0, by="ana")
    story.save()
    reader, audience = Reader(), Audience("UTC", view)
    tab = Tab(page, run, "step=1" if view == "timeline" else f"view={view}")
    assert reader.join(run.pk, audience, after=1) == (1, [])
    for happen in [*happenings(), ENDINGS[ending]]:
        seen = story.seq
        happen(story)
        story.save()
        found = reader.look({run.pk: seen}, {run.pk: [audience]})
        tab.take(found.frames[run.pk, audience])
        kind = story.lines[-1].kind
        assert tab.page.canonical() == tab.load().canonical(), f"after {kind}"
    reader.close()


def test_every_kind_happens_above(ana: User) -> None:
    run = factories.run(ana, status=RunStatus.RUNNING)
    story = Story.of(run).note("run.created", 0)
    for happen in happenings():
        happen(story)
    kinds = {line.kind for line in story.lines} | set(ENDINGS)
    assert kinds == telling.KINDS


KIND = re.compile(r"\b(?:run|step|timer|event|child|patch)\.[a-z_]+\b")
WRITERS = [
    file
    for folder in ("agentops/execution", "runs/engine")
    for file in sorted((Path(__file__).parents[2] / folder).rglob("*.py"))
]


def recorded(source: str) -> set[str]:
    """The kinds that a module which writes journals names, in texts and in SQL, not in logs."""
    tree = ast.parse(source)
    logged = {
        id(argument)
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and ast.unparse(call.func).startswith("log.")
        for argument in call.args
    }
    texts = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in logged
    ]
    whole = {text for text in texts if KIND.fullmatch(text)}
    return whole | {name for text in texts for name in re.findall(r"'([a-z]+\.[a-z_]+)'", text)}


def test_every_kind_that_the_engine_can_record_has_its_sentence() -> None:
    kinds = set().union(*(recorded(file.read_text()) for file in WRITERS))
    assert len(kinds) > 20, "the engine's kinds were not found"
    assert kinds - telling.KINDS == set()


@pytest.mark.parametrize("view", ["timeline", "journal", "conversation"])
@pytest.mark.parametrize("away", [1, 5, 14])
def test_page_that_was_away_catches_up(page: Client, ana: User, view: str, away: int) -> None:
    run = factories.run(ana, title="Everything", status=RunStatus.RUNNING)
    story = Story.of(run).note("run.created", 0, by="ana")
    steps = list(happenings())
    for happen in steps[:-away]:
        happen(story)
    story.save()
    tab = Tab(page, run, "step=1" if view == "timeline" else f"view={view}")
    drawn_at = story.seq
    for happen in steps[-away:]:
        happen(story)
    story.save()
    _, frames = Reader().join(run.pk, Audience("UTC", view), after=drawn_at)
    tab.take(frames)
    assert tab.page.canonical() == tab.load().canonical()


def test_page_that_was_away_too_long_is_told_to_read_again(ana: User) -> None:
    run = factories.long_run(ana, steps=320)
    seq, frames = Reader().join(run.pk, Audience("UTC", "timeline"), after=2)
    assert seq == reading.last_seq(run.pk)
    assert frames == [{"do": "gap", "topic": f"run:{run.public_id}"}]
