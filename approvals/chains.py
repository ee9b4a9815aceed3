"""What an escalation chain says: who is told, how long is waited, what comes in the end. Pure.

A chain is a list of steps. ``{"tell": [...], "wait_minutes": 30, "times": 2}`` tells people and
waits, as often as it says; ``"urgent": true`` does not mind quiet hours. ``{"again": 1}`` begins
the steps above anew, so many times. ``{"then": "reject"}`` or ``{"then": "approve"}`` ends the
list: what happens when nobody decided.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from agentops.sdk.errors import AgentopsError

MOST_STEPS = 20
MOST_MINUTES = 7 * 24 * 60
MOST_TIMES = 20
MOST_AGAIN = 10
# However steps repeat, nobody is told more often.
MOST_TELLINGS = 100
THEN = ("reject", "approve")
_KEYS = {"tell", "wait_minutes", "times", "urgent"}
_NAMED = ("person", "team", "role", "rota")

Step = Mapping[str, object]
# Where nobody made a chain: whoever may decide, at once and then twice more.
USUAL: Sequence[Step] = ({"tell": [{"deciders": True}], "wait_minutes": 60, "times": 3},)


class InvalidChain(AgentopsError):
    """The chain cannot be read."""

    code = "invalid_chain"


@dataclass(frozen=True, slots=True)
class Target:
    """Who is told: a kind (``deciders``, ``person``, ``team``, ``role``, ``rota``) and a name."""

    kind: str
    name: str = ""

    @property
    def words(self) -> str:
        """The same for people."""
        if self.kind == "deciders":
            return "everybody who may decide"
        said = {"person": "", "team": "team ", "role": "everybody with the role ", "rota": "rota "}
        return f"{said[self.kind]}{self.name}"


@dataclass(frozen=True, slots=True)
class Telling:
    """One time that people are told, the wait after it, and where in the list it stands."""

    step: int
    time: int
    tell: tuple[Target, ...]
    wait: timedelta
    is_urgent: bool = False
    # Instead of telling: what happens in the end.
    then: str = ""


def plan(steps: object, *, more: int = 0) -> tuple[Telling, ...]:
    """Every telling of a chain in its order, repeats written out. Raises InvalidChain.

    ``more``: so many steps and tellings more than people may write, for those that time adds.
    """
    if not isinstance(steps, list | tuple):
        raise InvalidChain("steps: a list of steps is needed.")
    if len(steps) > MOST_STEPS + more:
        raise InvalidChain(f"steps: at most {MOST_STEPS}; use times or again to repeat.")
    found: list[Telling] = []
    for number, step in enumerate(steps, start=1):
        if found and found[-1].then:
            raise InvalidChain(f"step {number - 1}: then must be the last step.")
        found += _read(step, number, found)
        if len(found) > MOST_TELLINGS + more:
            raise InvalidChain(f"step {number}: the chain tells more than {MOST_TELLINGS} times.")
    return tuple(found)


def _read(step: object, number: int, above: list[Telling]) -> list[Telling]:
    if not isinstance(step, Mapping):
        raise InvalidChain(f"step {number}: an object with tell, again or then is needed.")
    if "again" in step:
        _only(step, {"again"}, number)
        times = _number(step, "again", number, least=1, most=MOST_AGAIN)
        if not above:
            raise InvalidChain(f"step {number}: again needs a step above it.")
        return above * times
    if "then" in step:
        _only(step, {"then"}, number)
        if step["then"] not in THEN:
            raise InvalidChain(f"step {number}: then is one of {', '.join(THEN)}.")
        if not above:
            raise InvalidChain(f"step {number}: then needs a step above it that tells somebody.")
        return [Telling(number, 1, (), timedelta(0), then=str(step["then"]))]
    return _tellings(step, number)


def _tellings(step: Step, number: int) -> list[Telling]:
    _only(step, _KEYS, number)
    named = step.get("tell")
    if not isinstance(named, list | tuple) or not named:
        raise InvalidChain(f"step {number}: tell needs at least one receiver.")
    targets = tuple(_target(one, number) for one in named)
    wait = timedelta(
        minutes=_number(step, "wait_minutes", number, least=1, most=MOST_MINUTES, usual=30)
    )
    times = _number(step, "times", number, least=1, most=MOST_TIMES, usual=1)
    urgent = step.get("urgent", False)
    if not isinstance(urgent, bool):
        raise InvalidChain(f"step {number}: urgent is true or false.")
    return [Telling(number, time, targets, wait, urgent) for time in range(1, times + 1)]


def _target(one: object, number: int) -> Target:
    if isinstance(one, Mapping) and len(one) == 1:
        ((kind, name),) = one.items()
        if kind == "deciders" and name is True:
            return Target("deciders")
        if kind in _NAMED and isinstance(name, str) and name.strip():
            return Target(kind, name.strip())
    raise InvalidChain(
        f'step {number}: a receiver is {{"deciders": true}}, or one of '
        f"{', '.join(_NAMED)} with a name."
    )


def _only(step: Step, keys: set[str], number: int) -> None:
    unknown = sorted(str(key) for key in step if key not in keys)
    if unknown:
        raise InvalidChain(f"step {number}: {unknown[0]} is not known; use {_listed(keys)}.")


def _listed(keys: set[str]) -> str:
    return ", ".join(sorted(keys))


def _number(
    step: Step, key: str, number: int, *, least: int, most: int, usual: int | None = None
) -> int:
    said = step.get(key, usual)
    if isinstance(said, bool) or not isinstance(said, int) or not least <= said <= most:
        raise InvalidChain(f"step {number}: {key} is a whole number from {least} to {most}.")
    return said


def words(telling: Telling) -> str:
    """A telling as a sentence without its end."""
    if telling.then:
        return f"nobody decided: {telling.then} it"
    who = " and ".join(target.words for target in telling.tell)
    return f"tell {who}"
