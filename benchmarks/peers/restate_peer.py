"""Restate: its server beside a Python service; its journal is a log of its own on the same disk."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx

from benchmarks.rig import http
from benchmarks.rig.recovery import Spec

ROOT = Path(__file__).resolve().parents[2]
SERVER = "node_modules/@restatedev/restate-server-linux-{}/bin/restate-server"
SETTINGS = {
    "RESTATE_DISABLE_TELEMETRY": "true",
    "RESTATE_LOG_FILTER": "error",
    "RESTATE_WORKER__INVOKER__CONCURRENT_INVOCATIONS_LIMIT": "10000",
}


class Restate:
    """The server, one service process, and a client that speaks plain HTTP to the ingress."""

    name = "restate"

    def __init__(self, database_url: str, server_pids: list[int]) -> None:
        self._home = Path(tempfile.mkdtemp(prefix="bench-", dir=ROOT / "var"))
        self._ports = [_free_port() for _ in range(4)]
        self._at_once = asyncio.Semaphore(64)
        self._children: list[subprocess.Popen[bytes]] = []

    def versions(self) -> dict[str, str]:
        package = (_modules() / "@restatedev/restate-server/package.json").read_text()
        server = package.partition('"version": "')[2].partition('"')[0]
        return {"restate-server": server, "restate-sdk": version("restate-sdk")}

    def settings(self) -> dict[str, object]:
        return {**SETTINGS, "service": "hypercorn, uvloop", "client": "bare HTTP, kept connections"}

    def groups(self) -> dict[str, list[int]]:
        server, service = self._children
        return {"client": [os.getpid(), service.pid], "server": [server.pid]}

    @property
    def counters_url(self) -> str:
        return ""

    @property
    def _ingress(self) -> str:
        return f"http://127.0.0.1:{self._ports[0]}"

    @property
    def _admin(self) -> str:
        return f"http://127.0.0.1:{self._ports[1]}"

    async def boot(self, at_once: int) -> None:
        self._at_once = asyncio.Semaphore(at_once)
        self._start_server()
        self.start_service()
        await self._until_healthy()
        async with httpx.AsyncClient(timeout=30) as client:
            service = {"uri": f"http://127.0.0.1:{self._ports[3]}"}
            (await client.post(f"{self._admin}/deployments", json=service)).raise_for_status()

    def _start_server(self) -> None:
        binary = _modules().parent / SERVER.format(
            "arm64" if os.uname().machine == "aarch64" else "x64"
        )
        names = ("RESTATE_INGRESS__BIND_PORT", "RESTATE_ADMIN__BIND_PORT", "RESTATE_BIND_PORT")
        ports = {name: str(port) for name, port in zip(names, self._ports, strict=False)}
        command = [str(binary), "--no-logo", "--base-dir", str(self._home), "--listen-mode", "tcp"]
        with (self._home / "server.log").open("wb") as log:
            self._children.append(
                subprocess.Popen(
                    command,
                    env=os.environ | SETTINGS | ports,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )

    async def send(self, body: str, spec: Spec) -> None:
        """Starts a run and does not wait for it."""
        await http.post(f"{self._ingress}/Bench/run/send", {"body": body, "spec": spec})

    def kill_service(self) -> None:
        """Ends the service as a crash does; its worker process goes with it."""
        os.killpg(self._children[1].pid, signal.SIGKILL)
        self._children.pop().wait()

    def start_service(self) -> None:
        """Starts the service process, anew after a crash; the server finds it at its address."""
        command = [
            sys.executable,
            "-m",
            "hypercorn",
            "--worker-class",
            "uvloop",
            "--bind",
            f"127.0.0.1:{self._ports[3]}",
        ]
        with (self._home / "service.log").open("ab") as log:
            self._children.append(
                subprocess.Popen(
                    [*command, "benchmarks.peers.restate_service:app"],
                    cwd=ROOT,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )

    async def _until_healthy(self) -> None:
        deadline = time.monotonic() + 60
        async with httpx.AsyncClient() as client:
            for url in (f"{self._ingress}/restate/health", f"{self._admin}/health"):
                while not await _is_up(client, url):
                    if time.monotonic() > deadline:
                        raise RuntimeError((self._home / "server.log").read_text()[-2000:])
                    await asyncio.sleep(0.1)
        while not _accepts(self._ports[3]):
            await asyncio.sleep(0.05)

    async def close(self) -> None:
        children, self._children = self._children, []
        for child in reversed(children):
            os.killpg(child.pid, signal.SIGKILL)
            child.wait(20)
        shutil.rmtree(self._home, ignore_errors=True)

    async def run(self, body: str, spec: Spec) -> Any:
        return await http.post(f"{self._ingress}/Bench/run", {"body": body, "spec": spec})

    async def run_all(self, body: str, specs: Sequence[Spec]) -> list[Any]:
        return await asyncio.gather(*(self._in_turn(body, spec) for spec in specs))

    async def _in_turn(self, body: str, spec: Spec) -> Any:
        async with self._at_once:
            return await self.run(body, spec)

    async def recorded(self) -> int | None:
        return await self._count("sys_journal WHERE entry_type = 'Command: Run'")

    async def _count(self, what: str) -> int:
        async with httpx.AsyncClient(timeout=60) as client:
            query = {"query": f"SELECT count(*) AS n FROM {what}"}
            answer = await client.post(
                f"{self._admin}/query", json=query, headers={"Accept": "application/json"}
            )
        return int(answer.raise_for_status().json()["rows"][0]["n"])

    async def suspend(self, count: int, first: int = 0) -> None:
        self._waiting = range(first, first + count)
        for n in self._waiting:
            await http.post(f"{self._ingress}/Wait/wait-{n}/main/send", None)
        while await self._count("sys_invocation WHERE status = 'suspended'") < count:
            await asyncio.sleep(0.5)

    async def wake(self) -> int:
        gate = asyncio.Semaphore(64)
        return sum(await asyncio.gather(*(self._wake_one(gate, n) for n in self._waiting)))

    async def _wake_one(self, gate: asyncio.Semaphore, n: int) -> bool:
        async with gate:
            await http.post(f"{self._ingress}/Wait/wait-{n}/go/send", "go")
            return bool(
                await http.get(f"{self._ingress}/restate/workflow/Wait/wait-{n}/attach") == "go"
            )

    def worker_pid(self) -> int:
        return self._children[1].pid


def _modules() -> Path:
    return Path(os.environ["BENCH_NODE_MODULES"])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def _is_up(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(url)).status_code == 200
    except httpx.TransportError:
        return False
