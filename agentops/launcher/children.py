"""One program, kept running: started, listened to, started again, stopped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentops.launcher.errors import LaunchError
from agentops.launcher.identity import ME, Identity, child_setup

if TYPE_CHECKING:
    from pathlib import Path

    from agentops.launcher.output import Output

READY_VARIABLE = "AGENTOPS_READY_FD"

_FIRST_DELAY = 0.5
_LONGEST_DELAY = 30.0
_HEALTHY_AFTER = 60.0
_EARLY_EXITS_ALLOWED = 3
_LAST_WORDS = 30
_LONGEST_LINE = 64 * 1024


@dataclass(frozen=True)
class Program:
    """What to run, and how to end it.

    ``death_signal`` is what the kernel sends when the launcher dies. ``announces`` says that the
    program writes to the descriptor named by AGENTOPS_READY_FD once it does its work.
    """

    name: str
    command: Sequence[str]
    death_signal: signal.Signals = signal.SIGKILL
    stop_signal: signal.Signals = signal.SIGTERM
    grace_seconds: float = 10
    identity: Identity = ME
    descriptors: tuple[int, ...] = ()
    announces: bool = False
    quiet: bool = False


class Child:
    """Keeps one :class:`Program` running until it is told to stop."""

    def __init__(
        self,
        program: Program,
        environment: Mapping[str, str],
        output: Output,
        logs: Path,
        on_start: Callable[[], None] = lambda: None,
    ) -> None:
        self.program = program
        self._on_start = on_start
        self.announced = asyncio.Event()
        self.last_words: deque[str] = deque(maxlen=_LAST_WORDS)
        self.early_exits = 0
        self.exit_code: int | None = None
        self._environment = environment
        self._output = output
        self._log = (logs / f"{program.name}.log").open("ab", buffering=0)
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self._kept: asyncio.Task[None] | asyncio.Task[int] | None = None

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        alive = self._process and self._process.returncode is None
        return self._process.pid if self._process and alive else None

    @property
    def said(self) -> str:
        """Its last words, for a message."""
        return "\n".join(f"    {line}" for line in self.last_words)

    def start(self) -> None:
        """Run it, again and again with a growing delay, until :meth:`stop`."""
        self._kept = asyncio.create_task(self._keep(), name=self.program.name)

    async def run(self) -> int:
        """Run it once; the exit code."""
        once = asyncio.create_task(self._run_once(), name=self.program.name)
        self._kept = once
        return await asyncio.shield(once)

    async def stop(self) -> None:
        """Ask it to end, wait its grace, then end it."""
        self._stopping.set()
        self._signal(self.program.stop_signal)
        if self._kept:
            await asyncio.wait([self._kept], timeout=self.program.grace_seconds)
            self.kill()
            await asyncio.wait([self._kept])
        self._log.close()

    def kill(self) -> None:
        """End it and what it started, now."""
        self._signal(signal.SIGKILL)

    def check_start(self) -> None:
        """Raise when it keeps ending before it ever worked."""
        if self._kept and self._kept.done() and not self._stopping.is_set():
            self._kept.result()
        if self.early_exits >= _EARLY_EXITS_ALLOWED:
            raise LaunchError(f"{self.program.name} does not start. Its last words:\n{self.said}")

    async def _keep(self) -> None:
        delay = _FIRST_DELAY
        while not self._stopping.is_set():
            started = time.monotonic()
            code = await self._run_once()
            if self._stopping.is_set():
                return
            self.early_exits += 1
            if time.monotonic() - started > _HEALTHY_AFTER:
                delay = _FIRST_DELAY
            how = _describe(code)
            self._output.say(f"{self.program.name} {how}; starting it again in {delay:g} s")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay)
            delay = min(delay * 2, _LONGEST_DELAY)

    async def _run_once(self) -> int:
        announcing = os.pipe() if self.program.announces else None
        # Our own pipe: asyncio's would make the end of the process wait for the end of the pipe,
        # which a grandchild may hold open for ever.
        reading, writing = os.pipe()
        try:
            process = await self._spawn(writing, announcing and announcing[1])
        except OSError:
            os.close(reading)
            raise
        finally:
            os.close(writing)
            if announcing:
                os.close(announcing[1])
        if announcing:
            self._listen(announcing[0])
        pumping = asyncio.create_task(self._pump(reading))
        self.exit_code = await process.wait()
        self._signal(signal.SIGKILL, even_if_ended=True)
        await asyncio.wait([pumping], timeout=1)
        pumping.cancel()
        return self.exit_code

    async def _spawn(self, output: int, ready: int | None) -> asyncio.subprocess.Process:
        environment = dict(self._environment)
        if ready is not None:
            environment[READY_VARIABLE] = str(ready)
        self._process = await asyncio.create_subprocess_exec(
            *self.program.command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
            env=environment,
            # Ctrl-C at the terminal reaches the launcher alone, which stops things in order.
            start_new_session=True,
            pass_fds=(*self.program.descriptors, *(() if ready is None else (ready,))),
            preexec_fn=child_setup(self.program.death_signal, self.program.identity),
        )
        self._on_start()
        if self._stopping.is_set():  # told to stop while it was being started
            self._signal(self.program.stop_signal)
        return self._process

    def _listen(self, reading: int) -> None:
        loop = asyncio.get_running_loop()

        def heard() -> None:
            loop.remove_reader(reading)
            if os.read(reading, 1):
                self.announced.set()
            os.close(reading)

        loop.add_reader(reading, heard)

    async def _pump(self, reading: int) -> None:
        reader = asyncio.StreamReader(limit=_LONGEST_LINE)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(reading, "rb", buffering=0)
        )
        try:
            await self._pass_on(reader)
        finally:
            transport.close()

    async def _pass_on(self, reader: asyncio.StreamReader) -> None:
        rest = b""
        while chunk := await reader.read(_LONGEST_LINE):
            self._log.write(chunk)
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > _LONGEST_LINE:
                lines, rest = [*lines, rest], b""
            for line in lines:
                self._tell(line)
        if rest:
            self._tell(rest)

    def _tell(self, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip()
        self.last_words.append(text)
        if text and not self.program.quiet:
            self._output.pass_on(self.program.name, text)

    def _signal(self, number: signal.Signals, *, even_if_ended: bool = False) -> None:
        if self._process is None or (self._process.returncode is not None and not even_if_ended):
            return
        group = number == signal.SIGKILL
        with contextlib.suppress(ProcessLookupError, PermissionError):
            (os.killpg if group else os.kill)(self._process.pid, number)


def _describe(code: int) -> str:
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
