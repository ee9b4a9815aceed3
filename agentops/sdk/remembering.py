"""``ctx.memory``: the verbs, the steps they are, and the tools that give them to a model."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import cast

from pydantic import TypeAdapter

from agentops.sdk import codec, memory
from agentops.sdk.calls import ToolContext
from agentops.sdk.memory import Note, Remembered
from agentops.sdk.retry import RetryPolicy
from agentops.sdk.steps import Work
from agentops.sdk.tools import Effect, Tool, tool

TIMEOUT_SECONDS = 30.0
# Nothing is left of an attempt that failed: its transaction was rolled back.
_RETRY = RetryPolicy(attempts=4)
_FOUND = TypeAdapter(list[Remembered])
_ONE = TypeAdapter(Remembered | None)


class Memory:
    """The memory of an ``async def`` agent. Every verb is a step of the run.

    ``scope`` is whose memory is meant: ``"agent"``, ``"person"`` or ``"team"``. Without one it is
    that of the person the run is for, or the agent's own when it is for nobody. What is read is
    recorded with the run, so that a replay sees the same; what is written commits together with
    the record of the step, so that no crash loses or doubles it.
    """

    def __init__(self, ask: Callable[[Work], tuple[str, asyncio.Future[object]]]) -> None:
        self._ask = ask

    def get(
        self, key: str, default: object = None, *, scope: str | None = None
    ) -> Awaitable[object]:
        """The value of ``key``, or ``default`` when there is none or its time is over."""
        return self._ask(get_step(key, default, scope))[1]

    def put(
        self,
        key: str,
        value: object,
        *,
        ttl: float | timedelta | None = None,
        text: str | None = None,
        scope: str | None = None,
    ) -> Awaitable[int]:
        """Write ``key``; its revision, 1 for a new one.

        It lasts ``ttl`` (seconds or a timedelta), or for good. Search finds it by ``text``, or by
        the words of the value. Raises PayloadError, PayloadTooLarge or Misuse at once for what
        cannot be stored, and StepFailed for a scope the run does not have.
        """
        step = put_step(memory.note(key, value, ttl, text), scope)
        return cast("Awaitable[int]", self._ask(step)[1])

    def delete(self, key: str, *, scope: str | None = None) -> Awaitable[bool]:
        """Forget ``key``; whether there was something to forget."""
        return cast("Awaitable[bool]", self._ask(delete_step(key, scope))[1])

    def search(
        self, query: str, *, limit: int = 10, scope: str | None = None
    ) -> Awaitable[list[Remembered]]:
        """Up to ``limit`` entries that have to do with ``query``, best first."""
        found = self._ask(search_step(query, limit, scope))[1]
        return cast("Awaitable[list[Remembered]]", found)


class SyncMemory:
    """The memory of a ``def`` agent: the verbs of :class:`Memory`, blocking."""

    def __init__(self, ask: Callable[[Work], tuple[str, object]]) -> None:
        self._ask = ask

    def get(self, key: str, default: object = None, *, scope: str | None = None) -> object:
        """See :meth:`Memory.get`."""
        return self._ask(get_step(key, default, scope))[1]

    def put(
        self,
        key: str,
        value: object,
        *,
        ttl: float | timedelta | None = None,
        text: str | None = None,
        scope: str | None = None,
    ) -> int:
        """See :meth:`Memory.put`."""
        return cast("int", self._ask(put_step(memory.note(key, value, ttl, text), scope))[1])

    def delete(self, key: str, *, scope: str | None = None) -> bool:
        """See :meth:`Memory.delete`."""
        return cast("bool", self._ask(delete_step(key, scope))[1])

    def search(self, query: str, *, limit: int = 10, scope: str | None = None) -> list[Remembered]:
        """See :meth:`Memory.search`."""
        return cast("list[Remembered]", self._ask(search_step(query, limit, scope))[1])


# -- the steps -----------------------------------------------------------------------------------


def get_step(key: str, default: object, scope: str | None) -> Work:
    """Reading one entry. Raises Misuse."""
    shown = _shown(memory.checked_scope(scope), key=memory.checked_key(key))

    def read(ctx: ToolContext) -> Remembered | None:
        return ctx.memory.get(key, scope=scope)

    return _step("get", read, shown, Effect.READ, functools.partial(_value_or, default))


def put_step(note: Note, scope: str | None) -> Work:
    """Writing one entry. Raises Misuse."""
    told = {"key": note.key, "value": codec.decode(*note.value), "text": note.text}
    shown = _shown(memory.checked_scope(scope), ttl=note.ttl, **told)

    def write(ctx: ToolContext) -> int:
        return ctx.memory.write(note, scope=scope)

    return _step("put", write, shown, Effect.TRANSACTIONAL)


def delete_step(key: str, scope: str | None) -> Work:
    """Deleting one entry. Raises Misuse."""
    shown = _shown(memory.checked_scope(scope), key=memory.checked_key(key))

    def remove(ctx: ToolContext) -> bool:
        return ctx.memory.delete(key, scope=scope)

    return _step("delete", remove, shown, Effect.TRANSACTIONAL)


def search_step(query: str, limit: int, scope: str | None) -> Work:
    """Searching. Raises Misuse."""
    asked, most = memory.checked_query(query, limit)
    shown = _shown(memory.checked_scope(scope), query=asked, limit=most)

    def search(ctx: ToolContext) -> list[Remembered]:
        return ctx.memory.search(asked, limit=most, scope=scope)

    return _step("search", search, shown, Effect.READ, _FOUND.validate_python)


def _step(
    verb: str,
    fn: Callable[[ToolContext], object],
    shown: dict[str, object],
    effect: Effect,
    restore: Callable[[object], object] | None = None,
) -> Work:
    return Work(
        type="step",
        name=f"memory.{verb}",
        fn=fn,
        effect=effect,
        timeout=TIMEOUT_SECONDS,
        retry=_RETRY,
        restore=restore,
        takes_context=True,
        shown=lambda: shown,
    )


def _shown(scope: str | None, **told: object) -> dict[str, object]:
    """The input of a step as the journal shows it, without what was not said."""
    return {name: said for name, said in {"scope": scope, **told}.items() if said is not None}


def _value_or(default: object, found: object) -> object:
    entry = _ONE.validate_python(found)
    return default if entry is None else entry.value


# -- for models ----------------------------------------------------------------------------------


def memory_tools(*, scope: str | None = None) -> list[Tool[..., object]]:
    """Tools with which a model remembers, recalls and forgets, in the memory of ``scope``.

    Hand them to ``ctx.model(tools=memory_tools())`` or ``@agent(tools=memory_tools())``.
    """
    memory.checked_scope(scope)

    @tool(effect="transactional", timeout=TIMEOUT_SECONDS, retries=3)
    def remember(ctx: ToolContext, key: str, text: str, days: float | None = None) -> str:
        """Remember a fact for later conversations, under a short key that says what it is about.

        A key that exists is written over. With days it is forgotten after that time.
        """
        ttl = None if days is None else timedelta(days=days)
        revision = ctx.memory.put(key, text, ttl=ttl, scope=scope)
        return f"Remembered {key}." if revision == 1 else f"Remembered {key} anew."

    @tool(effect="read", timeout=TIMEOUT_SECONDS)
    def recall(ctx: ToolContext, query: str, limit: int = 5) -> list[Remembered]:
        """Look up what was remembered, by words; each with the run that wrote it and when."""
        return ctx.memory.search(query, limit=limit, scope=scope)

    @tool(effect="transactional", timeout=TIMEOUT_SECONDS, retries=3)
    def forget(ctx: ToolContext, key: str) -> str:
        """Forget what was remembered under this key."""
        gone = ctx.memory.delete(key, scope=scope)
        return f"Forgot {key}." if gone else f"Nothing was remembered under {key}."

    return cast("list[Tool[..., object]]", [remember, recall, forget])
