"""Named places in the engine where a test may kill, freeze or delay the process.

``AGENTOPS_FAULTS="writer.after_send:3:exit,effect.before/pay:1:stop,effect.after:2:sleep=5"``
reads: die without a word at the third arrival at the first place; freeze at the first arrival at
the second one whose subject is ``pay``; and so on. Each rule acts once. Without the variable a
call costs one look at an empty tuple.
"""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import NamedTuple


class _Rule(NamedTuple):
    place: str
    at: int
    action: str
    arrivals: Iterator[int]


def _rules(text: str) -> tuple[_Rule, ...]:
    fields = [rule.strip().split(":") for rule in text.split(",") if rule.strip()]
    return tuple(_Rule(place, int(at), action, itertools.count(1)) for place, at, action in fields)


_RULES = _rules(os.environ.get("AGENTOPS_FAULTS", ""))


def fault(point: str, subject: str = "") -> None:
    """Do what the environment asks for at ``point``; ``subject`` is the step, if one is known."""
    for rule in _RULES:
        if rule.place in (point, f"{point}/{subject}") and next(rule.arrivals) == rule.at:
            _act(rule.action)


def _act(action: str) -> None:
    verb, _, seconds = action.partition("=")
    if verb == "exit":
        os._exit(137)
    elif verb == "stop":
        # To this very thread: one sent to the process may leave it running for a while.
        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
    elif verb == "sleep":
        time.sleep(float(seconds or 1))
    else:
        raise ValueError(f"AGENTOPS_FAULTS knows exit, stop and sleep=SECONDS, not {action!r}")
