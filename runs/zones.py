"""Time zones by name."""

from __future__ import annotations

import zoneinfo
from functools import cache


@cache
def _known_zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


def zone(name: str) -> zoneinfo.ZoneInfo:
    """The zone called ``name``; UTC if there is none."""
    return zoneinfo.ZoneInfo(name if name in _known_zones() else "UTC")
