"""``python -m tests.chaos --seconds 60 --runs 3000`` breaks everything and says what stood."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random, SystemRandom
from typing import TYPE_CHECKING

import django

if TYPE_CHECKING:
    from tests.chaos.brokers import Broker


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="how long things are broken")
    parser.add_argument("--runs", type=int, default=3000)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--seed", type=int, default=None, help="repeat the choices of a campaign")
    parser.add_argument("--broker", choices=["redis", "amqp"], default="redis")
    return parser.parse_args()


def main() -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentops.settings")
    django.setup()
    options = arguments()
    seed = SystemRandom().randrange(1 << 32) if options.seed is None else options.seed
    print(f"seed {seed}, {options.runs:,} runs, {options.seconds:g} s, broker {options.broker}")
    return _campaign(options, seed)


def _campaign(options: argparse.Namespace, seed: int) -> int:
    from tests.chaos.campaign import Campaign
    from tests.chaos.verdict import judge
    from tests.crash.plant import plant

    with _broker(options.broker) as (broker, url), plant(url) as running:
        chance = Random(seed)
        campaign = Campaign(running, broker, options.seconds, options.runs, options.workers, chance)
        wall = campaign.run()
        verdict = judge(running, options.runs, campaign.ledger.update())
        print(f"wall time {wall:.1f} s")
        for title, counts in (
            ("broken", campaign.done),
            ("operator", campaign.operator.answers),
            ("found", verdict.counts),
        ):
            print(f"{title:9}" + " · ".join(f"{name} {n:,}" for name, n in counts.items()))
        for line in verdict.wrong:
            print(f"WRONG     {line}")
        print(
            json.dumps(
                {
                    "wall_seconds": round(wall, 1),
                    "seed": seed,
                    "broker": options.broker,
                    "broken": campaign.done,
                    "operator": campaign.operator.answers,
                    "found": verdict.counts,
                    "wrong": verdict.wrong,
                }
            )
        )
        if verdict.wrong:
            _keep_logs(running.folder)
    return 1 if verdict.wrong else 0


@contextmanager
def _broker(kind: str) -> Iterator[tuple[Broker, str | None]]:
    from tests.chaos.brokers import OwnValkey, rabbit

    if kind == "redis":
        yield OwnValkey(), None
        return
    with (
        tempfile.TemporaryDirectory(prefix="rabbit-") as folder,
        rabbit(Path(folder)) as server,
    ):
        yield server, server.url


def _keep_logs(folder: Path) -> None:
    kept = Path(tempfile.mkdtemp(prefix="chaos-logs-"))
    for log in folder.glob("*.log"):
        (kept / log.name).write_bytes(log.read_bytes())
    print(f"logs kept in {kept}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
