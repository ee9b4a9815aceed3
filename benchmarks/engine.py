"""Measures one workload on our engine: ``python benchmarks/engine.py W1`` prints one JSON object.

It starts its own PostgreSQL and Valkey and throws them away, or uses ``DATABASE_URL`` (a server
where it may create a database) and ``REDIS_URL``. ``--scale 0.1`` makes the workload smaller.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.ours.measure import main

if __name__ == "__main__":
    raise SystemExit(main())
