"""What the policy says about a licence expression: allowed, denied, or not decided yet."""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

from agentops.agents.dependency_audit.policy import Policy

_TOKEN = re.compile(r"[()]|[^\s()]+")


class Standing(enum.IntEnum):
    """Ordered: the smaller, the better. ``OR`` takes the best of its sides, ``AND`` the worst."""

    ALLOWED = 0
    UNDECIDED = 1
    DENIED = 2

    @property
    def words(self) -> str:
        return {0: "allowed", 1: "not mentioned", 2: "denied"}[self]


def standing(expression: str, policy: Policy) -> Standing:
    """Where a canonical SPDX ``expression`` stands.

    An exact name in the policy beats a pattern, and of two alike denied wins.
    """
    return _Reader(_TOKEN.findall(expression), policy).either()


class _Reader:
    """Recursive descent over ``a OR b AND (c WITH d)``."""

    def __init__(self, tokens: Sequence[str], policy: Policy) -> None:
        self._tokens = list(tokens)
        self._policy = policy

    def either(self) -> Standing:
        found = [self._both()]
        while self._took("OR"):
            found.append(self._both())
        return min(found)

    def _both(self) -> Standing:
        found = [self._one()]
        while self._took("AND"):
            found.append(self._one())
        return max(found)

    def _one(self) -> Standing:
        if self._took("("):
            inner = self.either()
            self._took(")")
            return inner
        name = self._tokens.pop(0)
        if self._took("WITH"):
            name = f"{name} WITH {self._tokens.pop(0)}"
        return _of(name, self._policy)

    def _took(self, token: str) -> bool:
        if self._tokens and self._tokens[0] == token:
            self._tokens.pop(0)
            return True
        return False


def _of(name: str, policy: Policy) -> Standing:
    """An exact name decides first, then a pattern; among equals, denied wins."""
    for matches in (_is, fnmatchcase):
        if any(matches(name.lower(), rule.lower()) for rule in policy.denied_licences):
            return Standing.DENIED
        if any(matches(name.lower(), rule.lower()) for rule in policy.allowed_licences):
            return Standing.ALLOWED
    return Standing.UNDECIDED


def _is(name: str, rule: str) -> bool:
    return name == rule
