"""Starts everything in order, keeps it running, stops it in the opposite order."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from socket import socket

from agentops.launcher import binaries, health, identity, lock, ports, programs, setup
from agentops.launcher.children import Child, Program
from agentops.launcher.errors import LaunchError
from agentops.launcher.home import PROJECT, Home
from agentops.launcher.output import Output
from agentops.launcher.postgres import Postgres
from agentops.launcher.valkey import Valkey

_POLL_SECONDS = 0.05
_CHECK_SECONDS = 60
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_DEMO = ".venv/bin/python manage.py demo"


@dataclass(frozen=True)
class Options:
    """What ``up`` was asked for."""

    host: str = "127.0.0.1"
    port: int | None = None
    web: int = 1
    workers: int = 1
    check: bool = False
    logs: str = "text"


class Stopped(Exception):
    """Somebody asked to stop before everything was up."""


@dataclass
class Supervisor:
    """One life of the runtime on this machine, in one data folder."""

    home: Home
    options: Options
    output: Output
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    children: list[Child] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    # URL and port, once everything answers.
    address: tuple[str, int] | None = None

    async def run(self) -> None:
        """Start, say so, wait until asked to stop, stop. Raises when something cannot start."""
        with ports.listen(self.options.host, self.options.port) as listening:
            try:
                await self._start(listening)
                if not self.options.check:
                    await self.stopping.wait()
            finally:
                await self._stop()

    def stop(self) -> None:
        """Ask it to stop; asked again, it hurries."""
        if self.stopping.is_set():
            for child in self.children:
                child.kill()
        self.stopping.set()

    async def _start(self, listening: socket) -> None:
        port = listening.getsockname()[1]
        url = os.environ.get("AGENTOPS_PUBLIC_URL") or f"http://{_shown(self.options.host)}:{port}"
        self.environment = {**os.environ, **setup.environment(self.home, url, self.options.logs)}
        await self._start_servers()
        await self._set_up()
        await self._start_programs(listening)
        await self._until(partial(self._web_answers, port))
        if self.options.check:
            await self._check(port)
        self.address = (url, port)
        self._tell_others()
        self._tell_person(url)

    async def _start_servers(self) -> None:
        if "REDIS_URL" in os.environ:
            self.output.say("redis      the server named by REDIS_URL")
        else:
            await self._start_valkey()
        if "DATABASE_URL" in os.environ:
            self.output.say("postgres   the server named by DATABASE_URL")
        else:
            await self._start_postgres()

    async def _start_valkey(self) -> None:
        program = binaries.valkey_server()
        valkey = Valkey(program, self.home.valkey, self.home.sockets)
        valkey.end_leftover()
        valkey.prepare()
        await self._start_server(valkey, identity.ME)
        self.output.say(f"valkey     {binaries.version(program)}, {self.home.valkey}")

    async def _start_postgres(self) -> None:
        folder = binaries.postgres_folder()
        who = identity.for_servers(self.home.postgres)
        who.may_enter(self.home.folder)
        who.own(self.home.sockets)
        folder = binaries.reachable_postgres(folder, who, self.home.folder)
        postgres = Postgres(folder, self.home.postgres, self.home.sockets, who)
        postgres.end_leftover()
        if not postgres.is_initialised:
            self.output.say("postgres   making a new database cluster")
            setup.forget(self.home)
        postgres.prepare()
        await self._start_server(postgres, who)
        postgres.create_database()
        self.output.say(f"postgres   {binaries.version(folder / 'postgres')}, {postgres.data}")

    async def _start_server(self, server: Postgres | Valkey, who: identity.Identity) -> None:
        child = self._child(programs.server(server, who))
        child.start()
        # However long recovery takes: as long as it runs, it is waited for.
        await self._until(partial(asyncio.to_thread, server.answers))

    async def _set_up(self) -> None:
        fingerprint = setup.fingerprint()
        if setup.is_done(self.home, fingerprint):
            return
        self.output.say("set-up     tables, first operator, static files")
        child = self._child(programs.SET_UP)
        running = asyncio.create_task(child.run())
        stopped = asyncio.create_task(self.stopping.wait())
        await asyncio.wait([running, stopped], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not running.done():
            raise Stopped
        self.children.remove(child)
        if running.result():
            raise LaunchError(f"The set-up failed. Its last words:\n{child.said}")
        setup.remember(self.home, fingerprint)

    async def _start_programs(self, listening: socket) -> None:
        plan = programs.Plan(self.options.web, self.options.workers, listening.fileno())
        started = [self._child(program) for program in plan.programs()]
        self.output.say("starting   " + ", ".join(child.program.name for child in started))
        for child in started:
            child.start()
        for child in started:
            if child.program.announces:
                await self._until(partial(_has_announced, child))

    async def _web_answers(self, port: int) -> bool:
        return (await health.ask(self.options.host, port, "/healthz")).is_fine

    async def _check(self, port: int) -> None:
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + _CHECK_SECONDS
        while not (answer := await health.ask(self.options.host, port, "/readyz")).is_fine:
            if loop.time() > give_up_at:
                missing = ", ".join(answer.missing)
                raise LaunchError(f"Not everything answers. Missing: {missing}.")
            await asyncio.sleep(_POLL_SECONDS)

    def _tell_others(self) -> None:
        if not self.address:
            return
        url, port = self.address
        processes = {child.program.name: child.pid for child in self.children}
        state = lock.State(os.getpid(), self.options.host, port, url, processes)
        lock.write_state(self.home, state)

    def _tell_person(self, url: str) -> None:
        if self.options.check:
            self.output.say(f"OK {url} answered: web, workers, beat, database and broker")
            return
        self.output.say(f"READY {url}")
        if first := setup.first_sign_in(self.home):
            self.output.say(
                f"Sign in as {first['username']} with the password {first['password']} "
                "(once: you choose your own then)"
            )
        if self.options.host not in _LOOPBACK and "ALLOWED_HOSTS" not in os.environ:
            self.output.say("Others are refused until ALLOWED_HOSTS names this machine.")
        elsewhere = self.home.folder != PROJECT / "var"
        told = f"AGENTOPS_DATA={self.home.folder} " if elsewhere else ""
        self.output.say(f"Try an agent on this machine: {told}{_DEMO}")
        self.output.say("Ctrl-C stops everything; the data stay.")

    def _child(self, program: Program) -> Child:
        environment = {**self.environment, "AGENTOPS_PROCESS": f"agentops {program.name}"}
        child = Child(program, environment, self.output, self.home.logs, self._tell_others)
        self.children.append(child)
        return child

    async def _until(self, answers: Callable[[], Awaitable[bool]]) -> None:
        """Wait until something answers, or somebody stops us, or a child cannot start."""
        while not await answers():
            for child in self.children:
                child.check_start()
            if self.stopping.is_set():
                raise Stopped
            await asyncio.sleep(_POLL_SECONDS)

    async def _stop(self) -> None:
        """Beat, then web and workers, then the servers they use."""
        if self.address:
            self.output.say("stopping   what is under way may finish (Ctrl-C again: at once)")
        for stage in _stages(self.children):
            await asyncio.gather(*(child.stop() for child in stage))
        if self.address:
            self.output.say("stopped")


def _stages(children: list[Child]) -> list[list[Child]]:
    servers = {"valkey": 2, "postgres": 3}
    stages: list[list[Child]] = [[], [], [], []]
    for child in children:
        first = child.program.name in ("beat", "set-up")
        stages[0 if first else servers.get(child.program.name, 1)].append(child)
    return stages


async def _has_announced(child: Child) -> bool:
    return child.announced.is_set()


def _shown(host: str) -> str:
    if host in ("127.0.0.1", "::1", "0.0.0.0", "::"):  # noqa: S104 - only looked at
        return "localhost"
    return f"[{host}]" if ":" in host else host
