"""The command behind ``engine.py``: servers, a fresh database, one workload, one JSON object."""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path
from secrets import token_urlsafe

from benchmarks.rig.databases import made, named, temporary
from benchmarks.rig.servers import Servers, servers

NAMES = ("W1", "W2", "W3", "W4", "W5", "W6", "W7", "W8", "W9", "W10", "W11", "MEMORY")


def main() -> int:
    """Prints exactly one line on standard output."""
    asked = _arguments()
    # Whatever else prints goes to standard error.
    with redirect_stdout(sys.stderr), tempfile.TemporaryDirectory(prefix="bench-") as folder:
        urls = {name: os.environ.get(name.upper(), "") for name in ("database_url", "redis_url")}
        with servers(**urls) as found:
            given = (tuple(asked.server_pid), tuple(asked.redis_pid))
            pids = (found.postgres_pids or given[0], found.redis_pids or given[1])
            known = Servers(found.database_url, found.redis_url, *pids)
            line = _on_a_database(asked, known, Path(folder))
    print(line)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measures one workload on our engine.")
    parser.add_argument("workload", choices=NAMES)
    parser.add_argument("--scale", type=float, default=1.0, help="size of the workload, 1 is full")
    parser.add_argument("--server-pid", type=int, action="append", default=[])
    parser.add_argument("--redis-pid", type=int, action="append", default=[])
    return parser.parse_args()


def _on_a_database(asked: argparse.Namespace, found: Servers, folder: Path) -> str:
    """BENCH_TEMPLATE names a database that is migrated once and then copied."""
    template = os.environ.get("BENCH_TEMPLATE", "")
    if template and made(found.database_url, template):
        _migrate(named(found.database_url, template))
    with temporary(found.database_url, "agentops", template=template or "template1") as url:
        if not template:
            _migrate(url)
        prepare(found, url)
        return _measured(asked, found, url, folder)


def _measured(asked: argparse.Namespace, found: Servers, url: str, folder: Path) -> str:
    # Only now: these modules need Django, and Django needs the addresses.
    from benchmarks.ours import crash, deciders, live, modelloop, own
    from benchmarks.ours.runtime import Agentops
    from benchmarks.rig import result, workloads

    own_ones = {
        "W3": own.w3_start_and_rest, "W5": own.w5_suspended_and_claims, "W8": own.w8_replay,
        "W9": live.w9_live, "W10": modelloop.w10_model_loop,
        "W11": deciders.w11_deciders,
    }  # fmt: skip
    work = {**workloads.BY_NAME, **own_ones}.get(asked.workload)

    async def measured() -> str:
        system = Agentops(found, url, folder)
        try:
            if work is None:
                got = await crash.w4_recovery(system, asked.scale, folder)
            else:
                got = await work(system, asked.scale)
        finally:
            await system.close()
        return result.to_json(got, system)

    return asyncio.run(measured())


def prepare(found: Servers, url: str) -> None:
    """Sets up this process, and by its environment the ones it starts, on a migrated database."""
    os.environ |= {
        "DATABASE_URL": url.replace("postgresql://", "postgres://"),
        "REDIS_URL": found.redis_url,
        "DJANGO_SETTINGS_MODULE": "agentops.settings",
        "AGENTOPS_AGENTS": "benchmarks.ours.agents",
        # What is measured asks nobody; the gates are passed all the same.
        "AGENTOPS_UNRULED": "allow",
        # Sessions that one process makes, another one reads.
        "SECRET_KEY": os.environ.get("SECRET_KEY") or token_urlsafe(50),
        "AGENTOPS_DEBUG": os.environ.get("AGENTOPS_DEBUG", "1"),
    }
    os.environ.pop("CELERY_BROKER_URL", None)
    import django

    django.setup()


def _migrate(url: str) -> None:
    known = os.environ | {"DATABASE_URL": url.replace("postgresql://", "postgres://")}
    command = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
    root = Path(__file__).resolve().parents[2]
    subprocess.run(command, cwd=root, env=known | {"AGENTOPS_DEBUG": "1"}, check=True)
