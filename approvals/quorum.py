"""Who is needed: factors, each with a count, and whether the votes there are fill them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

# What is asked for where a rule names nobody.
ANYBODY: tuple[Mapping[str, object], ...] = ({"role": "approver", "count": 1},)


def factors_of(said: Sequence[Mapping[str, object]]) -> Sequence[Mapping[str, object]]:
    """The factors of a request; one approver where it names none."""
    return said or ANYBODY


def count_of(factor: Mapping[str, object]) -> int:
    """How many people a factor wants, never fewer than one."""
    count = factor.get("count", 1)
    return max(1, count) if isinstance(count, int) else 1


def total(factors: Sequence[Mapping[str, object]]) -> int:
    """How many people have to agree."""
    return sum(map(count_of, factors_of(factors)))


def seated(
    able: Mapping[int, frozenset[int]], factors: Sequence[Mapping[str, object]]
) -> dict[int, int]:
    """A place for as many voters as there is place for: voter to factor.

    ``able`` says which factors each voter may stand for. Who could stand for several never takes
    the place of one who could stand for one only.
    """
    places = [(at, n) for at, one in enumerate(factors_of(factors)) for n in range(count_of(one))]
    taken: dict[tuple[int, int], int] = {}

    def finds(voter: int, tried: set[tuple[int, int]]) -> bool:
        for place in places:
            if place[0] in able[voter] and place not in tried:
                tried.add(place)
                if place not in taken or finds(taken[place], tried):
                    taken[place] = voter
                    return True
        return False

    for voter in sorted(able):
        finds(voter, set())
    return {voter: place[0] for place, voter in taken.items()}


def missing(seats: Mapping[int, int], factors: Sequence[Mapping[str, object]]) -> list[int]:
    """How many people each factor still wants."""
    filled = list(seats.values())
    return [count_of(one) - filled.count(at) for at, one in enumerate(factors_of(factors))]


def words(factors: Sequence[Mapping[str, object]]) -> str:
    """Who is asked, in words: ``1 approver and 2 of team finance``."""
    return " and ".join(map(_words, factors_of(factors)))


def _words(factor: Mapping[str, object]) -> str:
    who = f"of team {factor['team']}" if factor.get("team") else str(factor.get("role", "approver"))
    return f"{count_of(factor)} {who}"
