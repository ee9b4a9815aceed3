"""The browser that tests look through, if this machine has one."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WHY_NOT = (
    "No browser found. Set CHROME to one, or install it: apt-get install -y chromium "
    "(the pages' HTML, socket and headers are tested without it)"
)


def program() -> str | None:
    """The path of a Chromium-like browser."""
    named = os.environ.get("CHROME")
    if named and Path(named).exists():
        return named
    return next((found for name in _NAMES if (found := shutil.which(name))), None)
