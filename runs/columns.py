"""Which columns a list of runs can show, and by which it can be sorted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Column:
    """A column. ``sort`` names the order its head chooses, ``field`` what that order goes by."""

    name: str
    label: str
    sort: str = ""
    field: str = ""
    is_number: bool = False


COLUMNS = {
    column.name: column
    for column in (
        Column("status", "Status"),
        Column("agent", "Agent"),
        Column("title", "Title"),
        Column("for", "For"),
        Column("now", "Now"),
        Column("steps", "Steps", "steps", "steps", is_number=True),
        Column("time", "Time", is_number=True),
        Column("started", "Started", "started", "created_at"),
        Column("id", "Id"),
        Column("retries", "Retries", "retries", "retries", is_number=True),
        Column("worker", "Worker"),
        Column("by", "Started by"),
        Column("progress", "Last progress", "progress", "last_progress_at"),
        Column("reason", "Stop reason"),
        Column("parent", "Parent"),
        Column("version", "Version"),
        Column("team", "Team"),
        Column("queue", "Queue"),
        Column("tags", "Tags"),
    )
}
DEFAULT = ("status", "agent", "title", "for", "now", "steps", "time", "started", "id")
# Those without which a row says nothing.
FIXED = ("title",)
NEWEST_FIRST = "-started"
SORTS = {
    sign + column.sort: sign + column.field
    for column in COLUMNS.values()
    if column.sort
    for sign in ("", "-")
}


def chosen(names: str) -> tuple[Column, ...]:
    """The columns an address names, in its order; without any the usual ones."""
    known = [name for name in dict.fromkeys(names.split(",")) if name in COLUMNS]
    missing = [name for name in FIXED if known and name not in known]
    return tuple(COLUMNS[name] for name in [*known, *missing] or DEFAULT)


def written(columns: Iterable[Column]) -> str:
    """How an address names these columns; the usual ones are left out."""
    names = tuple(column.name for column in columns)
    return "" if names == DEFAULT else ",".join(names)


@dataclass(frozen=True, slots=True)
class Head:
    """A column's head: where pressing it leads, and how it stands now."""

    column: Column
    sort: str = ""
    aria: str = ""


@dataclass(frozen=True, slots=True)
class Edit:
    """What the column editor offers for one column: other lists of columns, as an address."""

    column: Column
    earlier: str | None = None
    later: str | None = None
    without: str | None = None


def heads(columns: Iterable[Column], sort: str) -> list[Head]:
    """The heads of a list sorted by ``sort``; pressing turns the order round."""
    sort = sort or NEWEST_FIRST
    made = []
    for column in columns:
        if not column.sort:
            made.append(Head(column))
            continue
        current = sort.lstrip("-") == column.sort
        turned = column.sort if sort == f"-{column.sort}" else f"-{column.sort}"
        aria = ("descending" if sort.startswith("-") else "ascending") if current else ""
        made.append(Head(column, turned, aria))
    return made


def edits(columns: tuple[Column, ...]) -> list[Edit]:
    """For each column in use: the lists with it moved or left out."""
    return [
        Edit(
            column,
            _moved(columns, at, -1) if at else None,
            _moved(columns, at, 1) if at + 1 < len(columns) else None,
            None if column.name in FIXED else written(c for c in columns if c != column),
        )
        for at, column in enumerate(columns)
    ]


def _moved(columns: tuple[Column, ...], at: int, by: int) -> str:
    order = list(columns)
    order.insert(at + by, order.pop(at))
    return written(order)


def more(columns: tuple[Column, ...]) -> list[tuple[Column, str]]:
    """The columns not in use, each with the list that has it too."""
    return [(c, written([*columns, c])) for c in COLUMNS.values() if c not in columns]
