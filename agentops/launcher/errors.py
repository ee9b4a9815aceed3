"""What can keep the runtime from starting, told to the person at the terminal."""

from __future__ import annotations


class LaunchError(Exception):
    """The runtime cannot start; the message says why and what to do about it."""
