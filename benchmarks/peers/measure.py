"""Measures one workload on one peer and prints one JSON object, as ``engine.py`` does for ours.

``python -m benchmarks.peers.measure SYSTEM WORKLOAD --database-url URL``, in their environment.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib

from benchmarks.peers import crash
from benchmarks.rig import result, workloads
from benchmarks.rig.databases import temporary
from benchmarks.rig.system import System

PEERS = {
    "dbos": ("benchmarks.peers.dbos_peer", "Dbos"),
    "absurd": ("benchmarks.peers.absurd_peer", "Absurd"),
    "restate": ("benchmarks.peers.restate_peer", "Restate"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("system", choices=sorted(PEERS))
    parser.add_argument("workload", choices=sorted([*workloads.BY_NAME, "W4"]))
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--database-url", required=True)
    parser.add_argument("--server-pid", type=int, action="append", default=[])
    arguments = parser.parse_args()
    with temporary(arguments.database_url, arguments.system) as url:
        line = asyncio.run(_measure(arguments, url))
    print(line)


async def _measure(arguments: argparse.Namespace, url: str) -> str:
    module, name = PEERS[arguments.system]
    made = getattr(importlib.import_module(module), name)
    system: System = made(url, arguments.server_pid)
    workload = {**workloads.BY_NAME, "W4": crash.w4_recovery}[arguments.workload]
    try:
        found = await workload(system, arguments.scale)
    finally:
        await system.close()
    return result.to_json(found, system)


if __name__ == "__main__":
    main()
