"""The judge of the live workload sees what did not come, what came late and what differed."""

from __future__ import annotations

import json

from benchmarks.ours.live import Seen, judge
from benchmarks.ours.tabs import Tab, found
from benchmarks.rig.result import Result

# Events 4, 5 and 6, a tenth of a second apart.
AFTER, RECORDED = 3, [10.0, 10.1, 10.2]


def message(after: int, *numbers: int) -> str:
    head = {"do": "news", "topic": "run:x", "after": after, "seq": numbers[-1]}
    rows = [{"do": "place", "html": f'<tr class="x" id="e{number}"></tr>'} for number in numbers]
    return json.dumps([head, *rows], separators=(",", ":"))


def tab(*messages: str, keeps: bool = False) -> Tab:
    made = Tab(AFTER, keeps=keeps)
    for text in messages:
        made.take(text)
    return made


def judged(*tabs: Tab) -> Result:
    result = Result("W9", 1.0)
    seen = json.loads(json.dumps(found(tabs)))
    for each in seen:
        each["came"] = [(first, last, 10.3) for first, last, _ in each["came"]]
    judge(result, Seen(seen, {"web": 0.2}), RECORDED, AFTER)
    return result


def test_every_event_in_every_tab_is_a_delivery_with_its_own_latency() -> None:
    all_of_it = message(3, 4, 5, 6)

    result = judged(tab(all_of_it, keeps=True), tab(all_of_it))

    assert result.counts["complete"] == 1
    assert result.counts["deliveries"] == 6
    assert result.metrics["undelivered"] == 0
    assert round(result.metrics["live_p50_ms"]) == 200
    assert round(result.metrics["live_max_ms"]) == 300
    assert result.metrics["web_cores"] == 0.2


def test_an_event_that_one_tab_did_not_get_is_missed() -> None:
    result = judged(tab(message(3, 4, 5, 6), keeps=True), tab(message(3, 4, 5)))

    assert result.counts["complete"] == 0
    assert result.metrics["undelivered"] == 1


def test_a_message_that_does_not_follow_is_a_gap_and_no_delivery() -> None:
    lost = tab(message(3, 4), message(5, 6))

    assert lost.gaps == 1
    assert [came[:2] for came in lost.came] == [(4, 4)]


def test_a_message_that_comes_twice_counts_once() -> None:
    doubled = tab(message(3, 4), message(3, 4))

    assert [came[:2] for came in doubled.came] == [(4, 4)]


def test_numbers_without_their_rows_are_not_taken_for_events() -> None:
    result = judged(tab(message(3, 6), keeps=True))

    assert result.metrics["undelivered"] == 0
    assert result.counts["complete"] == 0


def test_a_tab_that_was_told_something_else_is_found() -> None:
    result = judged(tab(message(3, 4, 5, 6), keeps=True), tab(message(3, 4, 4, 6)))

    assert result.counts["deliveries"] == 6
    assert result.counts["complete"] == 0
