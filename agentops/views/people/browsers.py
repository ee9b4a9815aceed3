"""How people call a browser."""

from __future__ import annotations

import re

# Nearly all claim to be others; whoever says more about itself comes first.
_BROWSERS = (
    ("Edge", r"Edg(?:e|A|iOS)?/(\d+)"),
    ("Opera", r"OPR/(\d+)"),
    ("Samsung Internet", r"SamsungBrowser/(\d+)"),
    ("Firefox", r"(?:Firefox|FxiOS)/(\d+)"),
    ("Chrome", r"(?:Chrome|CriOS)/(\d+)"),
    ("Safari", r"Version/(\d+).* Safari/"),
)
_SYSTEMS = (
    ("Android", r"Android"),
    ("iPhone", r"iPhone"),
    ("iPad", r"iPad"),
    ("Windows", r"Windows"),
    ("ChromeOS", r"CrOS"),
    ("macOS", r"Mac OS X"),
    ("Linux", r"Linux"),
)


def called(user_agent: str) -> str:
    """``Firefox 131 on Linux``; what nobody knows is shown as it calls itself, in short."""
    known = ((name, re.search(mark, user_agent)) for name, mark in _BROWSERS)
    browser = next((f"{name} {found[1]}" for name, found in known if found), "")
    if not browser:
        return user_agent[:60] or "unknown browser"
    system = next((name for name, mark in _SYSTEMS if re.search(mark, user_agent)), "")
    return f"{browser} on {system}" if system else browser
