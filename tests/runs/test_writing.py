"""What is shown of text in passing: whatever is lost, late or doubled, never a wrong word."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from runs.live.text import Change, Delta, Done, Piece, Reset, Writing
from runs.models import Phase
from runs.timeline import Line


def line(kind: str, key: str = "", n: int = 0) -> Line:
    phase = Phase.OUTCOME if kind in {"step.completed", "step.failed"} else Phase.NOTE
    name = key.partition("#")[0]
    return Line(1, key or f"@{kind}", phase, n, kind, name, {}, None, timezone.now())


def piece(text: str, at: int = 0, attempt: int = 1, epoch: int = 1, step: str = "a#1") -> Piece:
    return Piece(step, attempt, epoch, at, text)


def test_pieces_add_up() -> None:
    writing = Writing()
    assert writing.take(piece("Hel")) == [Delta("a#1", 1, 0, "Hel")]
    assert writing.take(piece("lo", 3)) == [Delta("a#1", 1, 3, "lo")]


def test_a_whole_brings_only_what_was_missed() -> None:
    writing = Writing()
    writing.take(piece("Hel"))
    assert writing.take(piece("!", 5)) == []
    assert writing.take(piece("Hello!")) == [Delta("a#1", 1, 3, "lo!")]
    assert writing.take(piece("Hello!")) == []


def test_who_comes_late_waits_for_the_whole() -> None:
    writing = Writing()
    assert writing.take(piece("lo", 3)) == []
    assert writing.take(piece("Hello")) == [Delta("a#1", 1, 0, "Hello")]


def test_another_attempt_voids_the_one_before() -> None:
    writing = Writing()
    writing.take(piece("Half a"))
    assert writing.take(piece("A", attempt=2)) == [Reset("a#1", 1), Delta("a#1", 2, 0, "A")]
    assert writing.take(piece("late", 6, attempt=1)) == []


def test_a_recorded_failure_voids_its_attempt_and_what_comes_late_of_it() -> None:
    writing = Writing()
    writing.take(piece("Half a"))
    assert writing.settle([line("step.retrying", "a#1", n=1)]) == [Reset("a#1", 1)]
    assert writing.take(piece("Half a sentence")) == []
    assert writing.take(piece("A", attempt=2)) == [Delta("a#1", 2, 0, "A")]
    assert writing.settle([line("step.retrying", "a#1", n=1)]) == []


def test_the_recorded_outcome_takes_the_place_of_the_text_for_good() -> None:
    writing = Writing()
    writing.take(piece("Hello"))
    assert writing.settle([line("step.completed", "a#1")]) == [Done("a#1", 1)]
    assert writing.take(piece("Hello, you")) == []
    assert writing.take(piece("Hello", attempt=2, epoch=2)) == []


def test_an_outcome_of_one_step_leaves_the_others() -> None:
    writing = Writing()
    writing.take(piece("A", step="a#1"))
    writing.take(piece("B", step="b#1"))
    writing.settle([line("step.completed", "a#1")])
    assert list(writing.texts) == ["b#1"]


def test_a_new_owner_voids_what_the_lost_worker_wrote() -> None:
    writing = Writing()
    writing.take(piece("Half a", epoch=1))
    assert writing.settle([line("run.recovered", n=2)]) == [Reset("a#1", 1)]
    assert writing.take(piece("Half a sen", epoch=1)) == []
    # The same attempt once more, by the new owner.
    assert writing.take(piece("Anew", epoch=2)) == [Delta("a#1", 1, 0, "Anew")]


def test_a_piece_of_the_new_owner_is_enough_to_know() -> None:
    writing = Writing()
    writing.take(piece("Half a", epoch=1))
    changes = writing.take(piece("Anew", epoch=2))
    assert changes == [Reset("a#1", 1), Delta("a#1", 1, 0, "Anew")]


def test_a_run_that_waits_or_ends_shows_nothing() -> None:
    for ends in (line("run.waiting", n=1), line("run.cancelled", n=0)):
        writing = Writing()
        writing.take(piece("Half a", epoch=1))
        assert writing.settle([ends]) == [Reset("a#1", 1)]
    assert writing.texts == {}


def test_what_comes_after_the_end_is_nothing_until_the_run_is_opened_again() -> None:
    writing = Writing()
    writing.settle([line("run.failed")])
    assert writing.take(piece("A late echo", epoch=1)) == []
    writing.settle([line("run.reopened", n=2)])
    assert writing.take(piece("A late echo", epoch=2)) == []
    assert writing.take(piece("Anew", epoch=3, step="a#2")) == [Delta("a#2", 1, 0, "Anew")]


def test_old_lines_do_not_void_new_text() -> None:
    writing = Writing()
    writing.take(piece("Now", epoch=3))
    before = [line("run.started", n=1), line("run.waiting", n=1), line("run.waiting", n=2)]
    assert writing.settle(before) == []
    assert writing.texts["a#1"].text == "Now"


def test_what_is_no_piece_is_nothing() -> None:
    for data in (b"", b"null", b"[1]", b'{"step": "a"}', b"\xff", b'{"step":1,"attempt":"x"}'):
        assert Piece.read(data) is None


def shown(texts: dict[str, str], changes: list[Change]) -> None:
    """What a reader does with changes."""
    for change in changes:
        if isinstance(change, Delta):
            assert len(texts.get(change.step, "")) == change.at
            texts[change.step] = texts.get(change.step, "") + change.text
        else:
            texts.pop(change.step, None)


SENT = st.lists(st.tuples(st.text("ab", min_size=1, max_size=4), st.booleans()), max_size=12)


@given(attempts=st.lists(SENT, max_size=4), fate=st.data())
def test_losses_and_repetitions_never_show_a_wrong_word(attempts: Any, fate: Any) -> None:
    writing, texts = Writing(), dict[str, str]()
    for number, pieces in enumerate(attempts, start=1):
        whole = ""
        for text, is_whole in pieces:
            at = 0 if is_whole else len(whole)
            whole += text
            for _ in range(fate.draw(st.integers(0, 2))):
                shown(texts, writing.take(piece(whole[at:], at, attempt=number)))
            known = texts.get("a#1", "")
            if writing.texts and writing.texts["a#1"].attempt == number:
                assert whole.startswith(known)
        if fate.draw(st.booleans()):
            shown(texts, writing.settle([line("step.retrying", "a#1", n=number)]))
            assert texts == {}
    shown(texts, writing.settle([line("step.completed", "a#1")]))
    assert texts == {}
