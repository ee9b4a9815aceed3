"""Names of runs as people see them."""

from __future__ import annotations

import secrets

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def new_run_id() -> str:
    """A fresh public id: ``run_`` and 100 random bits in Crockford's base 32, lower case."""
    bits = secrets.randbits(100)
    return "run_" + "".join(_ALPHABET[(bits >> shift) & 31] for shift in range(95, -1, -5))
