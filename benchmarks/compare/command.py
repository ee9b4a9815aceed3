"""The command behind ``make bench``."""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.compare import environment, page, table
from benchmarks.compare.environment import ROOT, Peers
from benchmarks.compare.rounds import Comparison, compared
from benchmarks.compare.targets import TARGETS
from benchmarks.rig.servers import servers

WORKLOADS = tuple(dict.fromkeys(target.workload for target in TARGETS))
RESULTS = ROOT / "benchmarks" / "results"


def main() -> int:
    """Zero when everything could be measured and adds up; a missed target is only printed."""
    asked = _arguments()
    if asked.page:
        page.write(asked.page)
        return 0
    peers = _peers(asked)
    urls = {name: os.environ.get(name.upper(), "") for name in ("database_url", "redis_url")}
    with servers(**urls) as found:
        if found.postgres_pids:
            # The server is thrown away, and with it the database that is copied.
            os.environ["BENCH_TEMPLATE"] = "bench_template"
        comparison = compared(asked.only, peers, found, rounds=asked.rounds, scale=asked.scale)
    kept = _keep(comparison, asked, peers)
    _print(comparison, peers, kept)
    return 1 if comparison.failures or comparison.incomplete() else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--only", type=_names, default=WORKLOADS, help="workloads, by comma")
    parser.add_argument(
        "--peers", type=_names, default=None, help="peers, by comma; 'none' for ours alone"
    )
    parser.add_argument("--rounds", type=int, default=3, help="medians are taken over these")
    parser.add_argument("--scale", type=float, default=1.0, help="size of every workload")
    parser.add_argument(
        "--page", type=Path, nargs="+", help="write the reference page from kept runs, newest last"
    )
    return parser.parse_args()


def _names(given: str) -> tuple[str, ...]:
    return tuple(name for name in given.split(",") if name)


def _peers(asked: argparse.Namespace) -> Peers:
    if asked.peers == ("none",):
        return Peers((), {})
    found = environment.prepared()
    wanted = asked.peers or found.systems
    return Peers(tuple(name for name in found.systems if name in wanted), found.missing)


def _keep(comparison: Comparison, asked: argparse.Namespace, peers: Peers) -> Path:
    RESULTS.mkdir(exist_ok=True)
    at = datetime.now(UTC)
    kept = {
        "at": at.isoformat(timespec="seconds"), "rounds": asked.rounds, "scale": asked.scale,
        "missing": peers.missing, **asdict(comparison),
    }  # fmt: skip
    path = RESULTS / f"{at:%Y%m%dT%H%M%SZ}.json"
    path.write_text(json.dumps(kept, indent=1))
    return path


def _print(comparison: Comparison, peers: Peers, kept: Path) -> None:
    print(table.text(comparison))
    missed = table.misses(comparison)
    print(f"\n{len(missed)} not held" + "".join(f"\n  {line}" for line in missed))
    for peer, reason in peers.missing.items():
        print(f"{peer} was not measured: {reason}")
    print(json.dumps(table.provenance(comparison), indent=1))
    print(f"kept in {kept.relative_to(ROOT)}")
