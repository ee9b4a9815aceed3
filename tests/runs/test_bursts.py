"""One thing is handed over at once; many in a moment are handed over together."""

from __future__ import annotations

import threading
import time

from runs.bursts import Burst


class Receiver:
    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.again = threading.Event()

    def __call__(self, things: list[int]) -> None:
        self.calls.append(things)
        if len(self.calls) > 1:
            self.again.set()


def test_the_first_is_handed_over_before_add_returns() -> None:
    receiver = Receiver()

    Burst(receiver, seconds=60).add([1])

    assert receiver.calls == [[1]]


def test_what_follows_within_the_moment_comes_together_and_nothing_is_lost() -> None:
    receiver = Receiver()
    burst = Burst(receiver, seconds=0.05)

    for n in range(100):
        burst.add([n])

    assert receiver.again.wait(5)
    assert receiver.calls[0] == [0]
    assert len(receiver.calls) < 20
    until = time.monotonic() + 5
    while sum(map(len, receiver.calls)) < 100 and time.monotonic() < until:
        time.sleep(0.01)
    assert [n for call in receiver.calls for n in call] == list(range(100))


def test_after_a_quiet_moment_the_next_is_at_once_again() -> None:
    now = [0.0]
    receiver = Receiver()
    burst = Burst(receiver, seconds=1, clock=lambda: now[0])
    burst.add([1])

    now[0] = 1.5
    burst.add([2])

    assert receiver.calls == [[1], [2]]


def test_adding_nothing_hands_over_nothing() -> None:
    receiver = Receiver()

    Burst(receiver, seconds=1).add([])

    assert receiver.calls == []


def test_things_added_by_many_threads_all_arrive() -> None:
    receiver = Receiver()
    burst = Burst(receiver, seconds=0.01)

    threads = [threading.Thread(target=lambda n=n: burst.add([n])) for n in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    until = time.monotonic() + 5
    while sum(map(len, receiver.calls)) < 50 and time.monotonic() < until:
        time.sleep(0.01)
    assert sorted(n for call in receiver.calls for n in call) == list(range(50))
