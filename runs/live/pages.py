"""Draws what changed on the page of a run, as frames for the browser."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.template.loader import get_template
from django.utils import timezone

from runs import drawing, settling
from runs.bars import Scale
from runs.drawing import BLOCK, Block, RunDrawing
from runs.live.audience import Frame
from runs.models import Run
from runs.timeline import Line, Step, Timeline

# Above so many lines a page that was away reads itself again instead of catching up.
MOST_CAUGHT_UP = 300


def draw(template: str, **context: Any) -> str:
    """A partial, as the first paint draws it."""
    return get_template(template).render(context)


@dataclass(slots=True)
class Before:
    """What the last frames said, to send only what differs."""

    title: str = ""
    head: str = ""
    consequences: str = ""
    state: tuple[object, ...] = ()
    scale: Scale | None = None
    steps: int = 0
    totals: tuple[int, int] = (0, 0)


@dataclass(slots=True)
class News:
    """What one look at the database found for one run, after the event a page knows of."""

    run: Run
    timeline: Timeline
    after: int
    lines: list[Line] = field(default_factory=list)
    changed: list[Step] = field(default_factory=list)


def state_of(drawn: RunDrawing) -> tuple[object, ...]:
    """What decides which buttons and dialogs a page has."""
    run = drawn.run
    why = drawn.why
    uncertain = drawn.uncertain
    action = why.action if why else ""
    return run.is_final, run.cancel_requested_at, action, uncertain.key if uncertain else ""


def before_of(news: News) -> Before:
    """What a page shows that was loaded when the run stood like this."""
    drawn = RunDrawing(news.run, news.timeline, timezone.now())
    counts = (len(news.timeline.steps), news.timeline.seq)
    said = (_consequences(drawn), state_of(drawn), drawn.scale)
    return Before(_title(drawn), "", *said, counts[0], counts)


def changes(news: News, view: str, before: Before) -> tuple[list[Frame], Before]:
    """The frames that bring a page from ``before`` to now, and what it then shows."""
    drawn = RunDrawing(news.run, news.timeline, timezone.now())
    topic = f"run:{news.run.public_id}"
    head = draw("runs/_head.html", drawing=drawn, run=news.run, now=drawn.now)
    steps = len(news.timeline.steps)
    totals = (steps, news.timeline.seq)
    said = (_consequences(drawn), state_of(drawn), drawn.scale)
    now = Before(_title(drawn), head, *said, steps, totals)
    frames: list[Frame] = []
    if head != before.head:
        frames.append(_place("morph", "run-head", head))
    if view == "timeline":
        frames += _timeline(drawn, news.changed, before)
    elif view == "journal":
        frames += _journal(news.lines)
    frames += _rest(drawn, before, now)
    for frame in frames:
        frame["topic"] = topic
        frame["seq"] = news.timeline.seq
    return [_number(topic, news), *frames], now


def _number(topic: str, news: News) -> Frame:
    """The head of a message: which events it brings.

    A page that does not stand at ``after`` missed something, or has it all already.
    """
    return {"do": "news", "topic": topic, "after": news.after, "seq": news.timeline.seq}


def _place(how: str, id: str, html: str) -> Frame:
    return {"do": "place", "how": how, "id": id, "html": html}


def _timeline(drawn: RunDrawing, changed: Iterable[Step], before: Before) -> list[Frame]:
    steps = drawn.timeline.steps
    if not steps:
        return []
    if not before.steps:
        return [_stale("view")]
    frames = []
    if drawn.scale != before.scale:
        # The end of a run, or its going on after a failure, draws the whole anew.
        turned = before.scale is None or before.scale.live is not drawn.scale.live
        if len(steps) > BLOCK or turned or not drawn.scale.live:
            return [_stale("timeline")]
        changed = steps
        frames.append(_place("morph", "axis", draw("runs/_axis.html", drawing=drawn)))
    frames.append(_place("morph", "minimap", draw("runs/_minimap.html", drawing=drawn)))
    return frames + [_row(drawn, step, before) for step in changed]


def _row(drawn: RunDrawing, step: Step, before: Before) -> Frame:
    block, place = divmod(step.number - 1, BLOCK)
    row = drawn.row(step)
    if step.number > before.steps and place == 0:
        part = Block(block, [row], 1)
        html = draw("runs/_block.html", drawing=drawn, run=drawn.run, now=drawn.now, block=part)
        return _place("append", "timeline", html)
    html = draw("runs/_step_row.html", drawing=drawn, row=row, now=drawn.now)
    if step.number > before.steps:
        return _place("append", f"block-{block}", html)
    return _place("morph", f"s{step.number}", html)


def _journal(lines: Iterable[Line]) -> list[Frame]:
    return [
        _place("append", "journal-rows", draw("runs/_event.html", event=event, now=timezone.now()))
        for event in drawing.events(lines)
    ]


def _rest(drawn: RunDrawing, before: Before, now: Before) -> list[Frame]:
    """What every view of a run shows besides: totals, buttons, and what to say aloud."""
    frames: list[Frame] = []
    if now.title != before.title:
        frames.append({"do": "count", "id": "title", "text": now.title})
    if now.totals != before.totals:
        for name, total in zip(("timeline", "journal"), now.totals, strict=True):
            frames.append({"do": "count", "id": f"tally-{name}", "text": str(total)})
        frames.append({"do": "count", "id": "journal-total", "text": str(now.totals[1])})
    if now.consequences and now.consequences != before.consequences:
        frames.append(_place("morph", "consequences", now.consequences))
    if now.state != before.state:
        frames.append(_stale("run-actions", "run-dialogs", "run-outcome"))
        said = f"{drawn.title}: {drawn.look.word}"
        frames.append({"do": "say", "text": said, "urgent": drawn.look.family == "olive"})
    return frames


def _title(drawn: RunDrawing) -> str:
    return f"{drawn.heading} · {settings.AGENTOPS_INSTANCE}"


def _consequences(drawn: RunDrawing) -> str:
    """What the dialog to cancel says; nothing once there is none."""
    if drawn.run.is_final:
        return ""
    return draw("runs/_consequences.html", consequences=settling.consequences(drawn))


def _stale(*ids: str) -> Frame:
    return {"do": "stale", "ids": list(ids)}
