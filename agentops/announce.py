"""Tells the launcher, if one started this process, that it does its work now."""

from __future__ import annotations

import os

_VARIABLE = "AGENTOPS_READY_FD"


def ready() -> None:
    """Say so once; further calls, and processes that nobody supervises, say nothing."""
    descriptor = os.environ.pop(_VARIABLE, None)
    if descriptor is not None:
        os.write(int(descriptor), b"1")
        os.close(int(descriptor))
