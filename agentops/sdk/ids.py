"""Names of runs and conversations as people see them."""

from __future__ import annotations

import secrets

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def new_run_id() -> str:
    """A fresh public id: ``run_`` and 100 random bits in Crockford's base 32, lower case."""
    return f"run_{_random()}"


def new_conversation_id() -> str:
    """A fresh public id: ``conv_`` and 100 random bits, written like those of a run."""
    return f"conv_{_random()}"


def _random() -> str:
    bits = secrets.randbits(100)
    return "".join(_ALPHABET[(bits >> shift) & 31] for shift in range(95, -1, -5))
