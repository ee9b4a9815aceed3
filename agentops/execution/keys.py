"""Step identity: scope path, name, occurrence - or an explicit id.

Counters are kept per scope and name, so that a step added in one branch does not renumber its
neighbours. A task or thread that the agent starts gets a scope of its own at its first step.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Iterator
from contextvars import ContextVar

from agentops.execution.records import printable
from agentops.sdk.errors import Misuse

# Keys are part of a primary key; PostgreSQL's indexes take entries of about 2,700 bytes.
LONGEST_PART_BYTES = 512
LONGEST_PATH = 256


class Scope:
    """A place in the agent that numbers the steps asked for in it."""

    __slots__ = ("_children", "_counts", "owner", "path")

    def __init__(self, path: str, owner: object) -> None:
        self.path = path if len(path) <= LONGEST_PATH else f"…{_digest(path)}/"
        self.owner = owner
        self._counts: dict[str, int] = {}
        self._children = 0

    def key(self, name: str, id: str | None = None) -> str:
        """The key of the next step called ``name`` here, or of the one with this ``id``."""
        name = shortened(name)
        if id is not None:
            return f"{self.path}{name}:{shortened(str(id))}"
        count = self._counts.get(name, 0) + 1
        self._counts[name] = count
        return f"{self.path}{name}#{count}"

    def child(self, owner: object) -> Scope:
        """The scope of the next task or thread started here."""
        self._children += 1
        return Scope(f"{self.path}~{self._children}/", owner)


def shortened(text: str) -> str:
    """``text`` as a part of a key: as a column takes it, and cut to what an index can hold."""
    clean = printable(text)
    if len(clean.encode()) <= LONGEST_PART_BYTES:
        return clean
    return f"{clean[:40]}…{_digest(clean)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


scope_var: ContextVar[Scope | None] = ContextVar("agentops_scope", default=None)


def current_scope(root: Scope, owner: object) -> Scope:
    """The scope of ``owner`` (the running task or thread), made on first use."""
    scope = scope_var.get() or root
    if scope.owner is owner:
        return scope
    mine = scope.child(owner)
    scope_var.set(mine)
    return mine


def running_task() -> object:
    """The running asyncio task, which owns the steps asked for in it."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        text = "Use the context in the task of the agent or in tasks it starts, not in a thread."
        raise Misuse(text) from None


@contextlib.contextmanager
def named_branch(root: Scope, owner: object, name: str) -> Iterator[None]:
    """Steps inside carry ``name`` in their path."""
    outer = current_scope(root, owner)
    token = scope_var.set(Scope(outer.key(name) + "/", owner))
    try:
        yield
    finally:
        scope_var.reset(token)
