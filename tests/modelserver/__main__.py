"""The server as a process of its own, until it is told to end."""

from __future__ import annotations

import argparse
import asyncio
import signal
from pathlib import Path

from tests.modelserver.faults import Fault
from tests.modelserver.server import ModelServer


def _fault(text: str) -> tuple[int, Fault]:
    number, _, fault = text.partition("=")
    return int(number), Fault.read(fault)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.modelserver", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="any free one unless given")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds each answer takes")
    parser.add_argument("--log", type=Path, help="file to add a line to for every request")
    parser.add_argument(
        "--fault",
        type=_fault,
        action="append",
        default=[],
        metavar="N=NAME[:SECONDS]",
        help="what goes wrong with the n-th request",
    )
    return parser.parse_args()


async def _serve(given: argparse.Namespace) -> None:
    ended = asyncio.Event()
    for kind in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(kind, ended.set)
    faults = dict(given.fault)
    async with ModelServer(
        port=given.port, delay=given.delay, log=given.log, faults=faults
    ) as server:
        # Whoever starts it reads this line to know that it listens, and where.
        print(server.address, flush=True)
        await ended.wait()


asyncio.run(_serve(_arguments()))
