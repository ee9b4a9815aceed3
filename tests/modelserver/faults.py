"""Everything that can go wrong with a request to a model, by name.

========================  ======================================================================
Refusals                  see ``refusals``: a status and the words of each provider
``refused_in_stream``     the stream begins well, then the provider says that it is overloaded
``hang_up``               the request is read, the connection closed without an answer
``reset``                 the same, but reset
``silence``               the request is read and nothing ever comes
``stall``                 a stream stops in the middle; the connection stays
``trickle``               signs of life for ever, and no answer
``cut``                   the connection is closed in the middle of a stream
``cut_cleanly``           a stream ends in the middle as if that was all of it
``no_stream``             a stream without a single event
``garbage``               a page of a proxy instead of an answer
``garbage_in_stream``     an event that is not JSON
``odd_event``             JSON that is no event of the protocol
``slow_first_token``      nothing for ``seconds``, then a good answer
``empty``                 an answer without a word or a call
``no_usage``              an answer without a count of tokens
``length``                an answer that stops because it got too long
``length_in_call``        the same, in the middle of a call
``filtered``              an answer the provider broke off
``huge``                  an answer of two million letters
``not_json``              arguments of a call that are not JSON
``half_json``             arguments that stop half-way
``listed``                arguments that are a list
``unknown_tool``          a call of a tool that was not offered
``doubled_ids``           two calls with the same id
========================  ======================================================================
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.modelserver import anthropic, openai
from tests.modelserver.answers import Answer, Call
from tests.modelserver.asked import Asked
from tests.modelserver.plan import BEGINNING, End, Pause, Plan, chunk, stream, whole
from tests.modelserver.refusals import REFUSALS
from tests.modelserver.speaking import events, speak

TEXT = "The sky is blue today."
HUGE = "0123456789" * 200_000
TICK_SECONDS = 0.05
TICKS = 2000


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. ``seconds`` is how long to wait, where the fault says so."""

    name: str
    seconds: float = 7.0

    @classmethod
    def read(cls, text: str) -> Fault:
        """A fault from ``name`` or ``name:seconds``. Raises KeyError for unknown ones."""
        name, _, seconds = text.partition(":")
        FAULTS[name]
        return cls(name, float(seconds)) if seconds else cls(name)

    def plan(self, asked: Asked) -> Plan:
        """What goes over the wire."""
        return FAULTS[self.name](asked, self.seconds)


Make = Callable[[Asked, float], Plan]


def _says(answer: Answer) -> Make:
    return lambda asked, _: speak(asked, answer)


def _calls(*calls: Call, finish: str = "stop") -> Make:
    return _says(Answer(calls=calls, finish=finish))


def _half(asked: Asked) -> list[bytes]:
    """The beginning of a good stream: some of its text is there, its end is not."""
    if not asked.streams:
        return [whole(b'{"id": "' + b" " * 400)[:-200]]
    made = stream(events(asked, Answer(TEXT)))
    return made[: 6 if asked.protocol == "anthropic" else 4]


def _broken_off(end: End) -> Make:
    return lambda asked, _: [*_half(asked), end]


def _cut_cleanly(asked: Asked, _: float) -> Plan:
    if not asked.streams:
        return [*_half(asked), End.HANG_UP]
    return [*_half(asked), b"0\r\n\r\n"]


def _refused_in_stream(asked: Asked, _: float) -> Plan:
    if asked.protocol == "anthropic":
        said = anthropic.error("Overloaded", "overloaded_error")
        event = anthropic.event("error", error=said["error"])
    else:
        event = openai.event(openai.error("Overloaded", "overloaded", "server_is_overloaded"))
    return [*_half(asked), chunk(event), b"0\r\n\r\n"]


def _trickle(asked: Asked, _: float) -> Plan:
    alive = chunk(anthropic.event("ping") if asked.protocol == "anthropic" else b": alive\n\n")
    plan: list[bytes | Pause | End] = list(_half(asked))
    for _n in range(TICKS):
        plan += [Pause(TICK_SECONDS), alive]
    return plan


def _garbage(asked: Asked, _: float) -> Plan:
    return [whole(b"<html><body>Welcome to the hotel</body></html>", kind="text/html")]


def _garbage_in_stream(asked: Asked, _: float) -> Plan:
    return [*_half(asked), chunk(b"event: content_block_delta\ndata: {not json\n\n"), b"0\r\n\r\n"]


def _odd_event(asked: Asked, _: float) -> Plan:
    odd = b'event: message_delta\ndata: {"type": "message_delta", "choices": 7, "delta": []}\n\n'
    return [BEGINNING, chunk(odd), b"0\r\n\r\n"]


def _no_stream(asked: Asked, _: float) -> Plan:
    return stream([openai.DONE] if asked.protocol == "openai" else [])


def _slow(asked: Asked, seconds: float) -> Plan:
    plan = list(speak(asked, Answer(TEXT)))
    begun = 1 if asked.streams else 0
    return [*plan[:begun], Pause(seconds), *plan[begun:]]


FAULTS: dict[str, Make] = {
    **{name: refusal.plan for name, refusal in REFUSALS.items()},
    "refused_in_stream": _refused_in_stream,
    "hang_up": lambda asked, _: [End.HANG_UP],
    "reset": lambda asked, _: [End.RESET],
    "silence": lambda asked, _: [End.SILENCE],
    "stall": _broken_off(End.SILENCE),
    "trickle": _trickle,
    "cut": _broken_off(End.HANG_UP),
    "cut_cleanly": _cut_cleanly,
    "no_stream": _no_stream,
    "garbage": _garbage,
    "garbage_in_stream": _garbage_in_stream,
    "odd_event": _odd_event,
    "slow_first_token": _slow,
    "empty": _says(Answer()),
    "no_usage": _says(Answer(TEXT, tokens=None)),
    "length": _says(Answer(TEXT, finish="length")),
    "length_in_call": _calls(Call("look", '{"at": "th'), finish="length"),
    "filtered": _says(Answer("The sky", finish="filtered")),
    "huge": _says(Answer(HUGE, pieces=64)),
    "not_json": _calls(Call("look", "at the sky")),
    "half_json": _calls(Call("look", '{"at": "the sk')),
    "listed": _calls(Call("look", '["the sky"]')),
    "unknown_tool": _calls(Call("levitate", {"height": 3})),
    "doubled_ids": _calls(Call("look", {"at": "sky"}, "c1"), Call("look", {"at": "sea"}, "c1")),
}
