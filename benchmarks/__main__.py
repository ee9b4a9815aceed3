"""``python -m benchmarks`` is ``python benchmarks/run.py``."""

from __future__ import annotations

from benchmarks.compare.command import main

if __name__ == "__main__":
    raise SystemExit(main())
