"""Models hear what was said before, and nothing is stored twice for it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import OperationalError, connection

from agentops.sdk.messages import Role
from agentops.sdk.turns import Past
from runs import conversations, dialogue, modelsteps, recall, services
from runs.engine import store
from runs.engine.host import Host
from runs.models import Conversation, Journal, Phase, RouteVersion, Run, Summary, Worker
from tests.runs.engine import agents
from tests.runs.engine.conftest import ended, eventually, stands_at

TURNS = 200
ODD = "NUL \0, a lone surrogate \ud800, and NaN"


@pytest.fixture(autouse=True)
def _heard() -> Iterator[None]:
    agents.HEARD.clear()
    yield
    agents.HEARD.clear()


def begin(agent: str = "confides") -> Conversation:
    return conversations.begin(agent=agent, owner=None, started_by="test").conversation


def say(talk: Conversation, content: object) -> Run:
    posted = conversations.post_message(conversation=talk, content=content, sender="t")
    assert posted.message.run is not None
    return posted.message.run


def answer(talk: Conversation, content: object) -> Run:
    return ended(say(talk, content))


def model_rows(run: Run) -> list[dict[str, Any]]:
    rows = Journal.objects.filter(run=run, phase=Phase.OUTCOME).order_by("seq")
    return [row.meta for row in rows if row.meta and row.meta.get("type") == "model"]


def small_route(host: Host, tokens: int) -> None:
    candidates = [{"endpoint": "scripted", "model": "s", "context_tokens": tokens}]
    RouteVersion.objects.create(route="small", number=1, candidates=candidates)
    eventually(lambda: "small" in host.models._routes)


def bytes_of(talk: Conversation) -> list[int]:
    """What each turn of a conversation takes in all tables."""
    sql = """
        SELECT sum(pg_column_size(r.*)) + sum(pg_column_size(p.*)) + sum(pg_column_size(m.*))
               + sum((SELECT sum(pg_column_size(j.*)) FROM journal j WHERE j.run_id = r.id))
               + coalesce(sum((SELECT sum(b.size) FROM journal j JOIN blob b
                      ON b.digest IN (j.data, j.input) WHERE j.run_id = r.id)), 0)
          FROM run r JOIN run_payload p ON p.run_id = r.id JOIN message m ON m.run_id = r.id
         WHERE r.conversation_id = %s GROUP BY m.turn ORDER BY m.turn
    """
    with connection.cursor() as cursor:
        cursor.execute(sql, [talk.pk])
        return [int(row[0]) for row in cursor.fetchall()]


def test_a_conversation_of_200_turns_grows_with_its_length_and_replays_alone(
    make_host: Callable[..., Host],
) -> None:
    reads: list[int] = []

    def past(run_id: int) -> Past | None:
        reads.append(run_id)
        return recall.past(run_id=run_id)

    make_host(past=past)
    talk = begin()
    for n in range(TURNS - 1):
        answer(talk, f"message {n} " + "x" * 200)
    last = stands_at(say(talk, "wait " + "x" * 200), "waiting", "event")
    assert len(agents.HEARD[-1].messages) == 2 * (TURNS - 1) + 1
    assert reads.count(last.pk) == 1
    services.signal_run(run=last, name="go", payload=None, sender="t")
    assert ended(last).status == "succeeded"
    # The run was taken up again: its model step was replayed, and nobody's payload was read for it.
    assert last.epoch >= 2
    assert (reads.count(last.pk), len(agents.HEARD)) == (1, TURNS)
    sizes = bytes_of(talk)
    first, final = sum(sizes[:50]) / 50, sum(sizes[-51:-1]) / 50
    print(f"bytes per turn: {first:.0f} in the first 50 turns, {final:.0f} in the last 50")
    assert final <= 1.2 * first
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), sum(coalesce(octet_length(data), 0)) FROM journal WHERE run_id = %s",
            [last.pk],
        )
        rows, size = cursor.fetchone()
    print(f"the replay of turn {TURNS} reads {rows} rows with {size} bytes of values")
    assert size < 2_000


def test_what_does_not_fit_is_summarised_once_and_later_runs_use_it(host: Host) -> None:
    small_route(host, 1_500)
    talk = begin()
    runs = [answer(talk, {"message": f"{n} " + "x" * 400, "route": "small"}) for n in range(12)]
    assert {run.status for run in runs} == {"succeeded"}
    summaries = list(Summary.objects.filter(conversation=talk).order_by("pk"))
    assert summaries
    assert all(s.through < s.turn for s in summaries)
    compacting = [run for run in runs if len(model_rows(run)) > 1]
    assert len(compacting) == len(summaries)
    refused, summed, sent = model_rows(compacting[0])
    assert refused["error"]["code"] == "history_too_long"
    assert summed["history"]["summarised"] == [1, summaries[0].through]
    assert sent["history"]["summary"] == summaries[0].through
    after = [r for r in agents.HEARD if "THE-SUMMARY" in r.messages[0].text]
    assert len(after) >= 2
    assert after[0].messages[0].role is Role.USER


def test_where_summaries_are_forbidden_the_overflow_is_the_error(host: Host) -> None:
    small_route(host, 400)
    talk = begin("forgets-nothing")
    runs = [answer(talk, {"message": "x" * 400, "route": "small"}) for _ in range(4)]
    assert [run.status for run in runs[:1]] == ["succeeded"]
    failed = runs[-1]
    assert failed.status == "failed"
    [row] = model_rows(failed)
    assert row["error"]["code"] == "context_overflow"
    assert not Summary.objects.exists()


def test_a_fork_hears_what_its_source_heard(host: Host) -> None:
    talk = begin()
    for n in range(3):
        answer(talk, f"message {n}")
    source = Run.objects.get(message__conversation=talk, message__turn=2)
    fork = services.fork_run(run=source, at_seq=1, actor="t", owner=None).run
    ended(fork)
    heard = [m.text for m in agents.HEARD[-1].messages]
    assert heard == ["message 0", "heard-1", "message 1"]


def test_a_run_outside_of_a_conversation_reads_nothing(make_host: Callable[..., Host]) -> None:
    def past(run_id: int) -> Past | None:
        raise AssertionError(run_id)

    make_host(past=past)
    run = services.start_run(
        agent="confides", input={"message": "hi"}, owner=None, started_by="t"
    ).run
    assert ended(run).status == "succeeded"


def test_odd_characters_survive_in_messages_answers_and_requests(host: Host) -> None:
    talk = begin()
    answer(talk, ODD)
    answer(talk, "and now?")
    assert agents.HEARD[-1].messages[0].text == ODD
    said = dialogue.turns(conversation=talk)
    assert said[0].content == ODD


def test_a_worker_lost_in_the_middle_of_a_stream_leaves_one_answer(
    make_host: Callable[..., Host],
) -> None:
    first = make_host()
    talk = begin()
    answer(talk, "before")
    run = say(talk, "speak")
    eventually(lambda: len(agents.HEARD) == 2)
    Worker.objects.filter(pk=first.keeper.worker).update(state="dead")
    make_host()
    with connection.cursor() as cursor:
        store.reclaim(cursor, grace_seconds=0, crash_limit=5)
    assert ended(run).status == "succeeded"
    assert run.epoch >= 2
    assert [row["finish"] for row in model_rows(run)] == ["stop"]
    assert [len(r.messages) for r in agents.HEARD[1:]] == [3] * (len(agents.HEARD) - 1)
    assert dialogue.turns(conversation=talk)[-1].output == agents.SPEECH


def test_a_database_that_is_away_while_turns_are_read_costs_no_attempt(
    make_host: Callable[..., Host],
) -> None:
    failures = [OperationalError("away"), OperationalError("away")]

    def past(run_id: int) -> Past | None:
        if failures:
            raise failures.pop()
        return recall.past(run_id=run_id)

    make_host(past=past)
    run = answer(begin(), "hi")
    assert (run.status, run.retries) == ("succeeded", 0)


def test_a_summary_of_a_later_turn_does_not_change_what_an_earlier_one_heard(host: Host) -> None:
    talk = begin()
    runs = [answer(talk, f"message {n}") for n in range(4)]
    recall.keep_summary(run_id=runs[3].pk, through=2, text="later")
    assert recall.past(run_id=runs[2].pk) == dataclasses.replace(
        recall.past(run_id=runs[2].pk) or Past("", 1, ()), summary="", first=1
    )
    newest = recall.past(run_id=runs[3].pk)
    assert newest is not None
    assert (newest.first, newest.summary, len(newest.turns)) == (3, "later", 1)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"turns": [1, 41]}, "turns 1 to 41 of conv_x"),
        ({"turns": [21, 21], "summary": 20}, "a summary of turns 1 to 20, then turn 21 of conv_x"),
        (
            {"summarised": [1, 20]},
            "its answer replaces turns 1 to 20 of conv_x in requests from now on",
        ),
        ({}, ""),
    ],
)
def test_a_model_step_says_what_it_was_told_or_replaced(
    told: dict[str, object], words: str
) -> None:
    assert modelsteps._history({"conversation": "conv_x", **told}) == words
