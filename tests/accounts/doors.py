"""Finds, in the code of a door, whether it asks who may do what.

Follows what functions refer to by name, through our own modules. It shows that a door does not
forget to ask; that the question is the right one, the crawler next door shows.
"""

from __future__ import annotations

import dis
import inspect
import types
from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver

from agentops.accounts import access, actors

ASKS: frozenset[Any] = frozenset({
    access.authorize, access.authorize_new, access.authorize_person, access.allows,
    access.visible_to, actors.actor_of,
})  # fmt: skip
_OURS = ("agentops", "runs", "approvals", "credentials")
_METHODS = ("get", "post", "put", "patch", "delete")


def doors(patterns: Sequence[Any] | None = None, above: str = "/") -> Iterator[tuple[str, Any]]:
    """Every address of the project with its view, except those of the Django admin."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        if isinstance(pattern, URLResolver) and pattern.app_name != "admin":
            yield from doors(pattern.url_patterns, above + str(pattern.pattern))
        elif isinstance(pattern, URLPattern):
            yield above + str(pattern.pattern), pattern.callback


def handlers(view: Any) -> Iterator[tuple[str, Any, type | None]]:
    """The functions of a view by method, and the class they belong to."""
    kind = getattr(view, "view_class", None) or getattr(view, "cls", None)
    if kind is None:
        yield "any", view, None
        return
    for name in _METHODS:
        if hasattr(kind, name):
            yield name, getattr(kind, name), kind


def asks(door: Any, kind: type | None = None) -> bool:
    """Whether this function comes to one of the questions."""
    return _asks(door, kind, set())


def _asks(found: Any, kind: type | None, seen: set[Any]) -> bool:
    for function in _functions(found):
        if function in ASKS:
            return True
        ours = (function.__module__ or "").split(".")[0] in _OURS
        if not ours or (function, kind) in seen:
            continue
        seen.add((function, kind))
        if any(_asks(named, kind, seen) for named in _named(function, kind)):
            return True
    return False


def _functions(found: Any) -> Iterator[types.FunctionType]:
    """The functions that run when this is used."""
    if isinstance(found, partial):
        found = found.func
    if isinstance(found, property):
        found = found.fget
    if isinstance(found, cached_property):
        found = found.func
    while found is not None:
        found = getattr(found, "__func__", found)
        if isinstance(found, types.FunctionType):
            yield found
        found = getattr(found, "__wrapped__", None)


def _named(function: types.FunctionType, kind: type | None) -> Iterator[Any]:
    """What the code of a function refers to: globals and what is in them, and its own class."""
    for cell in function.__closure__ or ():
        if callable(cell.cell_contents):
            yield cell.cell_contents
    for code in _codes(function.__code__):
        current: Any = None
        for step in dis.get_instructions(code):
            if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
                current = function.__globals__.get(step.argval)
            elif step.opname in ("LOAD_ATTR", "LOAD_METHOD"):
                current = _attribute(current, kind, step.argval)
            else:
                continue
            yield current


def _attribute(holder: Any, kind: type | None, name: str) -> Any:
    if inspect.ismodule(holder) or inspect.isclass(holder):
        return inspect.getattr_static(holder, name, None)
    return None if kind is None else inspect.getattr_static(kind, name, None)


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from _codes(inner)
