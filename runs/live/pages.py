"""Draws what changed on the page of a run, as frames for the browser."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.template.loader import get_template
from django.utils import timezone

from runs import drawing, settling
from runs.bars import Scale
from runs.drawing import BLOCK, Block, RunDrawing
from runs.lens import Fold
from runs.live.audience import Audience, Frame
from runs.models import Run
from runs.timeline import Line, Step, Timeline
from runs.tools import Tools

# Above so many lines a page that was away reads itself again instead of catching up.
MOST_CAUGHT_UP = 300
# The minimap of a run with more steps than this changes little from one event to the next.
LONG, MAP_EVERY = 1_000, timedelta(seconds=5)


def draw(template: str, **context: Any) -> str:
    """A partial, as the first paint draws it."""
    return get_template(template).render(context)


@dataclass(slots=True)
class Before:
    """What the last frames said, to send only what differs.

    ``numbers`` are the steps a timeline shows, in order; ``None`` if that is not known.
    """

    title: str = ""
    head: str = ""
    consequences: str = ""
    state: tuple[object, ...] = ()
    totals: tuple[int, int] = (0, 0)
    scale: Scale | None = None
    minimap: str = ""
    mapped_at: datetime | None = None
    tools: str = ""
    numbers: list[int] | None = None
    folds: Mapping[int, Fold] = field(default_factory=dict)


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
    uncertain = drawn.uncertain
    key = uncertain.key if uncertain else ""
    return run.status, run.waiting_for, run.cancel_requested_at, run.pause_by, key


def before_of(news: News, audience: Audience) -> Before:
    """What a page shows that was loaded when the run stood like this."""
    return replace(_now(_drawn(news, audience), audience, Before()), head="")


def before_missing(news: News, audience: Audience) -> Before:
    """What a page shows that was loaded at an earlier event: only its steps are known."""
    drawn = _drawn(news, audience)
    early = [step.number for step in drawn.shown.steps if step.first_seq <= news.after]
    return Before(numbers=None if audience.lens.is_filter else early)


def changes(news: News, audience: Audience, before: Before) -> tuple[list[Frame], Before]:
    """The frames that bring a page from ``before`` to now, and what it then shows."""
    drawn = _drawn(news, audience)
    topic = f"run:{news.run.public_id}"
    now = _now(drawn, audience, before)
    frames: list[Frame] = []
    if now.head != before.head:
        frames.append(_place("morph", "run-head", now.head))
    if audience.view == "timeline":
        frames += _timeline(drawn, news.changed, before, now)
    elif audience.view == "journal":
        frames += _journal(news.lines)
    elif audience.view == "conversation":
        frames.append(_stale("view"))
    frames += _rest(drawn, before, now)
    for frame in frames:
        frame["topic"] = topic
        frame["seq"] = news.timeline.seq
    return [_number(topic, news), *frames], now


def _drawn(news: News, audience: Audience) -> RunDrawing:
    return RunDrawing(news.run, news.timeline, timezone.now(), audience.lens)


def _now(drawn: RunDrawing, audience: Audience, before: Before) -> Before:
    """Everything of a page that frames are compared by."""
    made = Before(
        title=f"{drawn.heading} · {settings.AGENTOPS_INSTANCE}",
        head=draw("runs/_head.html", drawing=drawn, run=drawn.run, now=drawn.now),
        consequences=_consequences(drawn),
        state=state_of(drawn),
        totals=(len(drawn.timeline.steps), drawn.timeline.seq),
    )
    if audience.view == "timeline":
        made.scale = drawn.scale
        made.minimap, made.mapped_at = _minimap(drawn, before)
        made.tools = draw("runs/_tools.html", drawing=drawn, tools=Tools(drawn))
        made.numbers = [step.number for step in drawn.shown.steps]
        made.folds = drawn.shown.folds
    return made


def _number(topic: str, news: News) -> Frame:
    """The head of a message: which events it brings.

    A page that does not stand at ``after`` missed something, or has it all already.
    """
    return {"do": "news", "topic": topic, "after": news.after, "seq": news.timeline.seq}


def _place(how: str, id: str, html: str) -> Frame:
    return {"do": "place", "how": how, "id": id, "html": html}


def _minimap(drawn: RunDrawing, before: Before) -> tuple[str, datetime]:
    """The minimap; that of a long run while it lives is drawn every few seconds only."""
    is_long = len(drawn.timeline.steps) > LONG and not drawn.run.is_final
    if is_long and before.mapped_at and drawn.now - before.mapped_at < MAP_EVERY:
        return before.minimap, before.mapped_at
    return draw("runs/_minimap.html", drawing=drawn), drawn.now


def _timeline(
    drawn: RunDrawing, changed: Iterable[Step], before: Before, now: Before
) -> list[Frame]:
    old, new = before.numbers, now.numbers or []
    if not new and not old:
        return [_stale("view")] if now.state != before.state else []
    if not old or new[: len(old)] != old:
        return [_stale("view")]
    frames = []
    if now.minimap != before.minimap:
        frames.append(_place("morph", "minimap", now.minimap))
    if now.tools != before.tools:
        frames.append(_place("morph", "tools", now.tools))
    if now.scale == before.scale:
        return frames + _rows(drawn, _touched(drawn, changed, before), len(old))
    frames.append(_place("morph", "axis", draw("runs/_axis.html", drawing=drawn)))
    if len(new) <= BLOCK:
        return frames + _rows(drawn, drawn.shown.steps, len(old))
    return frames + _blocks(drawn, len(old))


def _touched(drawn: RunDrawing, changed: Iterable[Step], before: Before) -> list[Step]:
    """The shown steps that changed, and those whose branch did."""
    numbers = {step.number for step in changed}
    folds = drawn.shown.folds
    numbers |= {number for number, fold in folds.items() if before.folds.get(number) != fold}
    seen = drawn.shown.steps
    if len(seen) == len(drawn.timeline.steps):
        return [drawn.timeline.steps[number - 1] for number in sorted(numbers)]
    return [step for step in seen if step.number in numbers]


def _blocks(drawn: RunDrawing, had: int) -> list[Frame]:
    """All of a long timeline is drawn anew: its blocks are read again, new ones when looked at."""
    first = -(-had // BLOCK)
    new = range(first, -(-len(drawn.shown.steps) // BLOCK))
    places = [_block(drawn, drawing.block(drawn, number, rows=False)) for number in new]
    return [_stale(*(f"block-{number}" for number in range(first))), *places]


def _rows(drawn: RunDrawing, steps: Sequence[Step], had: int) -> list[Frame]:
    """Steps that changed in place, and behind the ``had`` known ones those that are new."""
    seen = drawn.shown.steps
    places = {step.number: at for at, step in enumerate(seen[had:], had)}
    return [_row(drawn, step, places.get(step.number)) for step in steps]


def _row(drawn: RunDrawing, step: Step, place: int | None) -> Frame:
    row = drawn.row(step)
    if place is not None and place % BLOCK == 0:
        return _block(drawn, Block(place // BLOCK, [row], 1))
    html = draw("runs/_step_row.html", drawing=drawn, row=row, now=drawn.now)
    if place is not None:
        return _place("append", f"block-{place // BLOCK}", html)
    return _place("morph", f"s{step.number}", html)


def _block(drawn: RunDrawing, block: Block) -> Frame:
    html = draw("runs/_block.html", drawing=drawn, run=drawn.run, now=drawn.now, block=block)
    return _place("append", "timeline", html)


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


def _consequences(drawn: RunDrawing) -> str:
    """What the dialog to cancel says; nothing once there is none."""
    if drawn.run.is_final:
        return ""
    return draw("runs/_consequences.html", consequences=settling.consequences(drawn))


def _stale(*ids: str) -> Frame:
    return {"do": "stale", "ids": list(ids)}
