"""Knowing when an agent has nothing more to do on its own.

# Note [One delivery at a time]
Outcomes are handed to an agent one by one: deliver, let the agent run until it is quiet, deliver
the next, both live and on replay. Only so does code with races take the same way twice.

An agent is quiet when no callback of its tasks is ready to run. Each task of the agent carries
its :class:`Activity` in its context; the loop marks the activity whenever it schedules a callback
in such a context. A check that runs after everything scheduled so far and finds no new mark
proves quiet. Work inside steps runs in contexts without an activity and does not count.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context, ContextVar
from typing import TypeVarTuple, Unpack

activity_var: ContextVar[Activity | None] = ContextVar("agentops_activity", default=None)
_Args = TypeVarTuple("_Args")


class Activity:
    """Whether the tasks of one agent have something to run."""

    __slots__ = ("_again", "_armed", "_inside", "_loop", "_nobody", "_on_quiet", "busy")

    def __init__(self, loop: asyncio.AbstractEventLoop, on_quiet: Callable[[], None]) -> None:
        self._loop = loop
        self._on_quiet = on_quiet
        self._armed = self._inside = self._again = False
        self._nobody = Context()
        self.busy = True

    def arm(self) -> None:
        """Call back as soon as the agent is quiet: at once, if it still is since the last time."""
        if self._armed:
            return
        if self.busy:
            self._armed = True
            self.busy = False
            self._loop.call_soon(self._check, context=self._nobody)
        elif self._inside:
            self._again = True
        else:
            self._tell()

    def _check(self) -> None:
        if self.busy:
            self.busy = False
            self._loop.call_soon(self._check, context=self._nobody)
        else:
            self._armed = False
            self._tell()

    def _tell(self) -> None:
        """Say that the agent is quiet, as often as that is asked for; never within itself."""
        self._inside = self._again = True
        try:
            while self._again and not self._armed and not self.busy:
                self._again = False
                self._on_quiet()
        finally:
            self._inside = False
        if self._again:
            self.arm()


class QuietLoop(asyncio.SelectorEventLoop):
    """An event loop that marks the activity of the context a callback is scheduled in."""

    def call_soon(
        self,
        callback: Callable[[Unpack[_Args]], object],
        *args: *_Args,
        context: Context | None = None,
    ) -> asyncio.Handle:
        activity = activity_var.get() if context is None else context.get(activity_var)
        if activity is not None:
            activity.busy = True
        return super().call_soon(callback, *args, context=context)
