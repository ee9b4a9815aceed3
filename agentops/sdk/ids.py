"""Names of things as people see them."""

from __future__ import annotations

import secrets

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def new_id(kind: str) -> str:
    """A fresh public id: its kind, ``_`` and 100 random bits in Crockford's base 32, lower case."""
    bits = secrets.randbits(100)
    return f"{kind}_" + "".join(_ALPHABET[(bits >> shift) & 31] for shift in range(95, -1, -5))


def new_run_id() -> str:
    """A fresh public id of a run."""
    return new_id("run")


def new_conversation_id() -> str:
    """A fresh public id of a conversation."""
    return new_id("conv")
