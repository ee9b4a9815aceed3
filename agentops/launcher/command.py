"""``manage.py up``: the command line of the launcher."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from agentops.launcher import health, home, lock
from agentops.launcher.errors import LaunchError
from agentops.launcher.home import Home
from agentops.launcher.output import Output
from agentops.launcher.supervisor import Options, Stopped, Supervisor

FAILED, RUNNING_ALREADY = 1, 3


def main(arguments: Sequence[str]) -> int:
    """Run until stopped; the exit code."""
    asked = parser().parse_args(arguments)
    place = Home(Path(asked.data).expanduser().resolve()) if asked.data else home.here()
    try:
        place.make()
        with lock.held(place):
            return asyncio.run(_supervise(place, asked))
    except lock.AlreadyRunning as running:
        return _answer_for(running.state, place, check=asked.check)
    except (LaunchError, OSError) as error:
        print(f"\nCannot start: {error}", file=sys.stderr)
        return FAILED


def parser() -> argparse.ArgumentParser:
    """The options of ``up``."""
    up = argparse.ArgumentParser(
        prog="bin/up",
        description="Start everything on this machine: database, broker, web, workers, beat.",
    )
    up.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    up.add_argument("--port", type=int, help="port to listen on (the first free one from 8000)")
    up.add_argument("--web", type=_count, default=1, help="web processes (%(default)s)")
    up.add_argument("--workers", type=_count, default=1, help="worker processes (%(default)s)")
    up.add_argument("--data", help="data folder (AGENTOPS_DATA, or var/ of the project)")
    up.add_argument("--logs", choices=["text", "json"], default="text", help="form of the lines")
    up.add_argument(
        "--check", action="store_true", help="start, wait until everything answers, stop"
    )
    return up


async def _supervise(place: Home, asked: argparse.Namespace) -> int:
    loop = asyncio.get_running_loop()
    output = Output(
        sys.stdout,
        as_json=asked.logs == "json",
        on_closed=lambda: loop.call_soon_threadsafe(supervisor.stop),
    )
    options = Options(asked.host, asked.port, asked.web, asked.workers, asked.check, asked.logs)
    supervisor = Supervisor(place, options, output)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, supervisor.stop)
    try:
        await supervisor.run()
    except Stopped:
        output.say("stopped")
    finally:
        output.close()
    return 0


def _answer_for(state: lock.State | None, place: Home, *, check: bool) -> int:
    if state is None:
        print(f"Another bin/up is starting or stopping in {place.folder}.", file=sys.stderr)
        return RUNNING_ALREADY
    if check:
        answer = asyncio.run(health.ask(state.host, state.port, "/readyz"))
        print(f"{'OK' if answer.is_fine else 'Missing: ' + ', '.join(answer.missing)} {state.url}")
        return 0 if answer.is_fine else FAILED
    print(
        f"Already running: {state.url} (process {state.pid}, data in {place.folder}).\n"
        "Stop that one with Ctrl-C, or start another beside it with --data FOLDER."
    )
    return RUNNING_ALREADY


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number
