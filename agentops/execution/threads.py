"""Time limits: on awaitables, and on plain functions in threads that may have to be given up."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import ctypes
import queue
import threading
from collections.abc import Callable

STOP_GRACE_SECONDS = 1.0


class AttemptOver(BaseException):
    """Raised inside a plain tool whose time is over."""


class Abandoned(TimeoutError):
    """A call was given up while its thread goes on: it may still act."""


class Job:
    """One call in a thread. ``abandoned`` once nobody waits for it any more."""

    def __init__(self, call: Callable[[], object], done: Callable[[Job], None]) -> None:
        self._call = call
        self._context = contextvars.copy_context()
        self._done = done
        self._lock = threading.Lock()
        self._thread: int | None = None
        self.value: object = None
        self.error: BaseException | None = None
        self.abandoned = False
        self.over = False

    def run(self) -> None:
        try:
            with self._lock:
                self._thread = threading.get_ident()
            try:
                self.value = self._context.run(self._call)
            finally:
                with self._lock:
                    self._thread = None
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits
            self.error = error
        self._done(self)

    def interrupt(self) -> None:
        """Raise AttemptOver in the call at its next bytecode; C code is not reached."""
        with self._lock:
            if self._thread is not None:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(self._thread), ctypes.py_object(AttemptOver)
                )


class Threads:
    """Daemon threads, made on demand and reused; a stuck one is counted and replaced."""

    def __init__(
        self, name: str = "agentops-call", tidy: Callable[[], object] | None = None
    ) -> None:
        """``tidy`` is called in the thread after each call, to drop what the call left there."""
        self._name, self._tidy = name, tidy
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._idle = 0
        self._closed = False
        self._lock = threading.Lock()
        self.leaked = 0

    def submit(self, call: Callable[[], object], done: Callable[[Job], None]) -> Job:
        """Run ``call`` in a thread, then ``done`` in the same thread."""
        job = Job(call, done)
        with self._lock:
            fresh = self._idle == 0
            self._idle -= 0 if fresh else 1
            self._jobs.put(job)
        if fresh:
            threading.Thread(target=self._work, name=self._name, daemon=True).start()
        return job

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job.run()
            except AttemptOver:
                """The interruption came a moment after the call had ended."""
            if self._tidy is not None:
                with contextlib.suppress(Exception):
                    self._tidy()
            with self._lock:
                job.over = True
                self.leaked -= 1 if job.abandoned else 0
                if self._closed:
                    return
                self._idle += 1
            del job

    def close(self) -> None:
        """Let the threads end as soon as they are idle."""
        with self._lock:
            self._closed = True
            for _ in range(self._idle):
                self._jobs.put(None)
            self._idle = 0

    def abandon(self, job: Job) -> bool:
        """Count the thread of ``job`` as lost until it comes back. False: it is back already."""
        with self._lock:
            if job.over or job.abandoned:
                return job.abandoned
            job.abandoned = True
            self.leaked += 1
            return True

    async def run(
        self, call: Callable[[], object], *, timeout: float | None, give_up: Callable[[], None]
    ) -> object:
        """What ``call`` returns. Raises TimeoutError after ``timeout`` seconds.

        At the timeout ``give_up`` is called, then the call is interrupted; one that does not end
        within a grace is abandoned: its thread is lost and its result goes nowhere.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Job] = loop.create_future()

        def finish(job: Job) -> None:
            try:
                loop.call_soon_threadsafe(_resolve, future, job)
            except RuntimeError:
                """The loop is closed: the process is on its way out."""

        job = self.submit(call, finish)
        try:
            await asyncio.wait_for(asyncio.shield(future), timeout)
        except (TimeoutError, asyncio.CancelledError) as error:
            lost = await self._stop(job, future, give_up)
            if isinstance(error, asyncio.CancelledError):
                raise
            kind = Abandoned if lost else TimeoutError
            raise kind(f"No result within {timeout:g} s.") from None
        if job.error is not None:
            raise job.error
        return job.value

    async def _stop(
        self, job: Job, future: asyncio.Future[Job], give_up: Callable[[], None]
    ) -> bool:
        """Make the call let go. True: it did not, and its thread is lost for now."""
        give_up()
        job.interrupt()
        try:
            await asyncio.wait([future], timeout=STOP_GRACE_SECONDS)
        finally:
            lost = not future.done() and self.abandon(job)
        return lost


def _resolve(future: asyncio.Future[Job], job: Job) -> None:
    if not future.done():
        future.set_result(job)


async def bounded(awaitable: object, timeout: float) -> object:
    """Await with a limit; a TimeoutError of ours says how long it waited."""
    limit = asyncio.timeout(timeout)
    try:
        async with limit:
            return await awaitable  # type: ignore[misc]  # checked by the caller
    except TimeoutError as error:
        if limit.expired():
            raise TimeoutError(f"No result within {timeout:g} s.") from error
        raise
