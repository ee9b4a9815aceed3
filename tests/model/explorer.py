"""Breadth-first exploration of every state a model can reach."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

State = TypeVar("State", bound=Hashable)


class Model(Protocol[State]):
    """States, the moves between them, and what must never be."""

    def initial(self) -> State: ...

    def moves(self, state: State) -> Iterable[tuple[str, State]]:
        """Every move possible in ``state``, with a name to read, and the state it leads to."""

    def broken(self, state: State) -> str:
        """The promise this state breaks, as a sentence; empty if it keeps them all."""

    def is_end(self, state: State) -> bool: ...

    def canonical(self, state: State) -> Hashable:
        """The same for states that differ only in names: two workers swapped, say."""


@dataclass(frozen=True)
class Exploration:
    """What was found: ``path`` is the shortest way to the first broken or stuck state."""

    states: int
    moves: int
    failure: str = ""
    path: tuple[str, ...] = ()

    def __str__(self) -> str:
        size = f"{self.states:,} states, {self.moves:,} moves"
        if not self.failure:
            return f"{size}: every promise kept, every state can reach an end"
        steps = "\n".join(f"  {n:2}. {move}" for n, move in enumerate(self.path, 1))
        return f"{size}: {self.failure}\n{steps}"


class _Graph(Generic[State]):
    """The states found so far, in the order they were found, and the moves between them."""

    def __init__(self, model: Model[State]) -> None:
        self.canonical = model.canonical
        self.states: list[State] = [model.initial()]
        self.numbers: dict[Hashable, int] = {self.canonical(self.states[0]): 0}
        self.arrivals: list[tuple[int, str]] = [(-1, "")]
        self.sources: list[list[int]] = [[]]
        self.moves = 0

    def add(self, source: int, move: str, target: State) -> None:
        self.moves += 1
        number = self.numbers.setdefault(self.canonical(target), len(self.states))
        if number == len(self.states):
            self.states.append(target)
            self.arrivals.append((source, move))
            self.sources.append([])
        self.sources[number].append(source)

    def path(self, number: int) -> tuple[str, ...]:
        moves = []
        while number:
            number, move = self.arrivals[number]
            moves.append(move)
        return tuple(reversed(moves))

    def report(self, failure: str = "", number: int = 0) -> Exploration:
        return Exploration(len(self.states), self.moves, failure, self.path(number))


def explore(model: Model[State]) -> Exploration:
    """Visit every state; report the first that breaks a promise or from which no end is reached."""
    graph = _Graph(model)
    for number, state in _as_it_grows(graph.states):
        if failure := model.broken(state):
            return graph.report(failure, number)
        for move, target in model.moves(state):
            graph.add(number, move, target)
    stuck = _first_stuck(graph, model)
    if stuck is None:
        return graph.report()
    return graph.report("no end can be reached from here", stuck)


def _as_it_grows(states: list[State]) -> Iterator[tuple[int, State]]:
    number = 0
    while number < len(states):
        yield number, states[number]
        number += 1


def _first_stuck(graph: _Graph[State], model: Model[State]) -> int | None:
    ends = [number for number, state in enumerate(graph.states) if model.is_end(state)]
    hopeful = set(ends)
    while ends:
        for source in graph.sources[ends.pop()]:
            if source not in hopeful:
                hopeful.add(source)
                ends.append(source)
    return next((n for n in range(len(graph.states)) if n not in hopeful), None)
