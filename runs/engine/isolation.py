"""Tools with ``isolation="process"``: a child that can be killed, whatever it is doing."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import struct
import sys

from agentops.sdk.errors import Misuse
from agentops.sdk.steps import Work

LENGTH = struct.Struct("!Q")
MAX_IDLE = 4
START_SECONDS = 60.0
# Written by a child that has its imports behind it: they do not count against a tool's time.
READY = b"ready"


class ProcessDied(Exception):
    """The tool's process ended without an answer."""


class Processes:
    """Child processes, reused while they behave and killed at a timeout."""

    def __init__(self) -> None:
        self._idle: list[asyncio.subprocess.Process] = []
        self._all: set[asyncio.subprocess.Process] = set()

    async def run(self, work: Work, args: tuple[object, ...], timeout: float) -> object:
        """What the tool returns. Raises TimeoutError (it was killed), ProcessDied or its error."""
        tool = work.tool
        if tool is None:
            raise Misuse("Only a tool can have a process of its own.")
        call = pickle.dumps((tool.fn.__module__, tool.fn.__qualname__, args, dict(work.kwargs)))
        child = self._idle.pop() if self._idle else await self._spawn()
        try:
            async with asyncio.timeout(timeout):
                answer = await _exchange(child, call)
        except BaseException as error:
            self._kill(child)
            if isinstance(error, TimeoutError):
                raise TimeoutError(
                    f"No result within {timeout:g} s; its process was killed."
                ) from None
            if isinstance(error, (asyncio.IncompleteReadError, BrokenPipeError, ConnectionError)):
                raise ProcessDied(f"The process of {tool.name} died.") from None
            raise
        self._keep(child)
        worked, value = pickle.loads(answer)  # noqa: S301 - written by our own child
        if worked:
            return value
        raise value

    async def _spawn(self) -> asyncio.subprocess.Process:
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "runs.engine.isolated",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        self._all.add(child)
        assert child.stdout is not None  # noqa: S101 - it was asked for
        try:
            async with asyncio.timeout(START_SECONDS):
                await child.stdout.readexactly(len(READY))
        except BaseException as error:
            self._kill(child)
            if isinstance(error, (TimeoutError, asyncio.IncompleteReadError)):
                raise ProcessDied("A process for isolated tools did not start.") from error
            raise
        return child

    def _keep(self, child: asyncio.subprocess.Process) -> None:
        if len(self._idle) < MAX_IDLE and child.returncode is None:
            self._idle.append(child)
        else:
            self._kill(child)

    def _kill(self, child: asyncio.subprocess.Process) -> None:
        self._all.discard(child)
        with contextlib.suppress(ProcessLookupError):
            child.kill()

    def close(self) -> None:
        """Kill all children."""
        for child in list(self._all):
            self._kill(child)


async def _exchange(child: asyncio.subprocess.Process, call: bytes) -> bytes:
    assert child.stdin is not None  # noqa: S101 - it was asked for
    assert child.stdout is not None  # noqa: S101 - it was asked for
    child.stdin.write(LENGTH.pack(len(call)) + call)
    await child.stdin.drain()
    (size,) = LENGTH.unpack(await child.stdout.readexactly(LENGTH.size))
    return await child.stdout.readexactly(size)
