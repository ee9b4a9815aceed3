"""Measures ours and the peers in one interleaved run and prints them beside our targets.

``python benchmarks/run.py`` (``make bench``). Everything is kept in one file under
``benchmarks/results/``; ``--page FILE…`` writes the reference page from such files.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.compare.command import main

if __name__ == "__main__":
    raise SystemExit(main())
