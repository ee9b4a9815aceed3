"""Values JSON has no word for: written in a plain form, with a note of what each of them was.

The plain form is what people and other programs read. The notes, a list of places and kinds, stand
beside it, so no key of anybody's data can be taken for one of ours.
"""

from __future__ import annotations

import base64
import dataclasses
import enum
import functools
import json
import sys
from collections.abc import Callable, Hashable, Iterable, Sized
from decimal import Decimal
from importlib import import_module
from typing import Any, cast

from pydantic import BaseModel, TypeAdapter
from pydantic_core import to_jsonable_python

from agentops.sdk.errors import PayloadError

_ANY: TypeAdapter[Any] = TypeAdapter(Any)

Place = tuple[str | int, ...]
Note = tuple[Place, str]

_PLAIN = frozenset({str, float, bool, type(None)})
_ADVICE = (
    "Return plain data, a dataclass, a pydantic model, or a datetime, Decimal, UUID, set, bytes or "
    "enum; of anything else return what is needed to make it again."
)


def plain(value: object) -> tuple[object, list[Note]]:
    """``value`` as JSON takes it, and what each of its parts was, parts before their wholes.

    Raises PayloadError that names the place of the first part that cannot be stored.
    """
    writer = _Writer()
    try:
        return writer.write(value, ()), writer.notes
    except RecursionError:
        raise PayloadError("The value is nested too deep to be stored. " + _ADVICE) from None


def revived(value: Any, notes: list[Any]) -> object:
    """What :func:`plain` was given. A class that is no longer there leaves its plain data."""
    for place, kind in notes:
        if not place:
            value = _made(kind, value)
            continue
        whole = value
        for step in place[:-1]:
            whole = whole[step]
        whole[place[-1]] = _made(kind, whole[place[-1]])
    return value


def in_order(members: Iterable[object]) -> list[object]:
    """The members of a set in an order that is the same in every process."""
    return sorted(members, key=_text)


def _text(member: object) -> str:
    try:
        return json.dumps(plain(member))
    except PayloadError:
        return repr(member)  # whoever writes it says in what place it is


def by_pydantic(value: object) -> object:
    """``value`` as pydantic writes it in JSON, with its sets in the same order everywhere.

    Raises what serialisers of authors raise.
    """
    made = to_jsonable_python(value, bytes_mode="base64", inf_nan_mode="constants")
    return _settled(made, _ANY.dump_python(value)) if isinstance(made, (dict, list)) else made


def _settled(made: Any, kept: Any) -> Any:
    """What was made of ``kept``, in which sets are still sets, in an order of its own."""
    if not isinstance(made, (dict, list)) or not isinstance(kept, Sized) or len(made) != len(kept):
        return made
    if isinstance(made, dict) and isinstance(kept, dict):
        parts = zip(made.items(), kept.values(), strict=True)
        return {key: _settled(part, was) for (key, part), was in parts}
    if isinstance(made, list) and isinstance(kept, (list, tuple)):
        return [_settled(part, was) for part, was in zip(made, kept, strict=True)]
    if isinstance(made, list) and isinstance(kept, (set, frozenset)):
        of_sets = all(isinstance(member, frozenset) for member in kept)
        return in_order(in_order(part) if of_sets else part for part in made)
    return made


def pointer(place: Place) -> str:
    """A place in words: ``/items/3/owner``."""
    return "".join(f"/{step}" for step in place)


def refusal(place: Place, what: str) -> PayloadError:
    """The error for a part that cannot be stored."""
    where = f"The value at {pointer(place)}" if place else "The value"
    return PayloadError(f"{where} {what} and cannot be stored. {_ADVICE}")


class _Writer:
    """Writes one value."""

    def __init__(self) -> None:
        self.notes: list[Note] = []
        self._open: set[int] = set()

    def write(self, value: Any, place: Place, *, hashed: bool = False) -> object:
        """``hashed``: it is in a set, and has to be hashable when it is revived."""
        kind = type(value)
        if kind in _PLAIN:
            return value
        if isinstance(value, int) and not isinstance(value, enum.Enum):
            return _number(int(value), place)
        if id(value) in self._open:
            raise refusal(place, "contains itself")
        self._open.add(id(value))
        try:
            return self._part(value, place, hashed=hashed)
        finally:
            self._open.discard(id(value))

    def _part(self, value: Any, place: Place, *, hashed: bool) -> object:
        if isinstance(value, enum.Enum):
            return self._noted(place, _name(type(value)), self.write(value.value, place))
        if isinstance(value, dict):
            return {k: self.write(v, (*place, k)) for k, v in _fields(value, place)}
        if isinstance(value, (list, tuple)):
            made = [self.write(v, (*place, i), hashed=hashed) for i, v in enumerate(value)]
            return self._noted(place, "tuple", made) if hashed else made
        if isinstance(value, (set, frozenset)):
            ordered = enumerate(in_order(value))
            made = [self.write(v, (*place, i), hashed=True) for i, v in ordered]
            return self._noted(place, "set" if isinstance(value, set) else "frozenset", made)
        if isinstance(value, (bytes, bytearray)):
            text = base64.urlsafe_b64encode(value).decode()
            return self._noted(place, type(value).__name__, text)
        if isinstance(value, Decimal):
            return self._noted(place, "Decimal", str(value))
        if isinstance(value, (str, float)):
            return str.__str__(value) if isinstance(value, str) else float(value)
        return self._object(value, place)

    def _object(self, value: Any, place: Place) -> object:
        cls = type(value)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            names = [f.name for f in dataclasses.fields(value) if hasattr(value, f.name)]
            made = {n: self.write(getattr(value, n), (*place, n)) for n in names}
            return self._noted(place, _name(cls), made)
        written = _written(value)
        if written is not None:
            return self._noted(place, _name(cls), written[0])
        if isinstance(value, BaseModel):
            fields = dict(value)
            made = {n: self.write(v, (*place, n)) for n, v in fields.items()}
            return self._noted(place, "fields " + _name(cls) if _name(cls) else "", made)
        raise refusal(place, f"is of type {cls.__module__}.{cls.__qualname__}")

    def _noted(self, place: Place, kind: str, made: object) -> object:
        if kind:
            self.notes.append((place, kind))
        return made


def _number(value: int, place: Place) -> int:
    try:
        str(value)
    except ValueError:
        raise refusal(place, "has more digits than Python prints") from None
    return value


def _fields(value: dict[Any, Any], place: Place) -> list[tuple[str, Any]]:
    """Keys as JSON writes them."""
    made = []
    for key, part in value.items():
        if isinstance(key, str):
            made.append((str.__str__(key), part))
        elif key is None or isinstance(key, bool):
            made.append(({None: "null", True: "true", False: "false"}[key], part))
        elif isinstance(key, (int, float)):
            made.append((repr(float(key)) if isinstance(key, float) else str(int(key)), part))
        else:
            raise refusal(place, f"has a key of type {type(key).__name__} (keys are texts)")
    return made


def _written(value: Any) -> tuple[object] | None:
    """What pydantic writes for ``value``, if that is read back as the same."""
    adapter = _adapter(cast("Hashable", type(value)))
    if adapter is None:
        return None
    try:
        made = by_pydantic(value)
        back = adapter.validate_python(made)
        same = type(back) is type(value) and bool(back == value)
    except Exception:  # noqa: BLE001 - serialisers and validators of authors may raise anything
        return None
    return (made,) if same else None


@functools.lru_cache(maxsize=1024)
def _adapter(cls: Hashable) -> TypeAdapter[Any] | None:
    try:
        return TypeAdapter(cast("type[Any]", cls))
    except Exception:  # noqa: BLE001 - pydantic knows no schema for it
        return None


def _name(cls: type) -> str:
    """Where a class is found again; nothing for one made in a function."""
    name = f"{cls.__module__}:{cls.__qualname__}"
    return name if _class(name) is cls else ""


@functools.lru_cache(maxsize=1024)
def _class(name: str) -> type | None:
    module, _, path = name.partition(":")
    try:
        found: object = sys.modules.get(module) or import_module(module)
        for step in path.split("."):
            found = getattr(found, step)
    except Exception:  # noqa: BLE001 - the author's module may be gone, or raise on import
        return None
    return found if isinstance(found, type) else None


_BUILT_IN: dict[str, Callable[[Any], object]] = {
    "set": set,
    "frozenset": frozenset,
    "tuple": tuple,
    "bytes": base64.urlsafe_b64decode,
    "bytearray": lambda text: bytearray(base64.urlsafe_b64decode(text)),
    "Decimal": Decimal,
}


def _made(kind: str, value: Any) -> object:
    if kind in _BUILT_IN:
        return _BUILT_IN[kind](value)
    by_field = kind.startswith("fields ")
    cls: Any = _class(kind.removeprefix("fields "))
    if cls is None:
        return value
    try:
        if by_field:
            return cls.model_construct(**value)
        if issubclass(cls, enum.Enum):
            return cls(value)
        if dataclasses.is_dataclass(cls):
            return _record(cls, value)
        adapter = _adapter(cls)
        return value if adapter is None else adapter.validate_python(value)
    except Exception:  # noqa: BLE001 - the class has changed since: the plain data stands
        return value


def _record(cls: Any, fields: dict[str, object]) -> object:
    """A dataclass with exactly these fields, whatever its constructor makes of them."""
    given = {f.name for f in dataclasses.fields(cls) if f.init} & fields.keys()
    try:
        made = cls(**{name: fields[name] for name in given})
    except Exception:  # noqa: BLE001 - it takes what is no field, or checks what is already there
        made = object.__new__(cls)
    for name in {f.name for f in dataclasses.fields(cls)} & fields.keys():
        object.__setattr__(made, name, fields[name])
    return made
