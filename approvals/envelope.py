"""The envelope of an action: the bytes that are asked about, that are shown, and that run.

Pure: no database, no clock.

# Note [Bytes, not objects]
A call is checked against its tool, gets its defaults, and is written in canonical JSON (RFC 8785).
From then on only these bytes count: their digest is what people approve, what they see is read from
them, and what runs is read from them again. Values JSON has no word for are noted beside the
arguments in ``kinds``, so that a tool gets the type it got before. A call that does not come out of
its bytes as it went in is refused before anybody is asked.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import CodeType
from typing import Any, cast

import rfc8785
from pydantic import ValidationError

from agentops.execution.records import Claim
from agentops.sdk import kinds
from agentops.sdk.errors import PayloadError
from agentops.sdk.mcp import RemoteTool
from agentops.sdk.steps import Work
from agentops.sdk.tools import Tool
from agentops.sdk.typing import faults, tool_form

MOST_BYTES = 256 * 1024
# What people decide about is said by the agent; these are said by the asking.
_OF_THE_ASKING = frozenset({"round", "policy", "rule", "etag", "expires_at"})
# What a person may change of it.
_OF_THE_EDIT = frozenset({"revision", "arguments", "kinds"})


class Unfit(ValueError):
    """The call cannot be put before anybody; the message says why and what to change."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """An action in its canonical bytes."""

    data: bytes

    @property
    def digest(self) -> bytes:
        """SHA-256 of the bytes: what an approval is bound to."""
        return hashlib.sha256(self.data).digest()

    @property
    def fields(self) -> dict[str, Any]:
        """What the bytes say."""
        return cast("dict[str, Any]", json.loads(self.data))

    @property
    def action(self) -> bytes:
        """SHA-256 of tool and arguments alone."""
        read = self.fields
        return action_of(read["tool"], read["arguments"])

    def changes(self, other: Envelope) -> list[str]:
        """What the agent says differently in ``other``, by the names of the fields."""
        mine, theirs = self.fields, other.fields
        names = (mine.keys() | theirs.keys()) - _OF_THE_ASKING
        return sorted(name for name in names if mine.get(name) != theirs.get(name))

    def is_edit_of(self, asked: Envelope) -> bool:
        """Whether nothing but what a person may change differs."""
        mine, theirs = self.fields, asked.fields
        names = (mine.keys() | theirs.keys()) - _OF_THE_EDIT
        return all(mine.get(name) == theirs.get(name) for name in names)


@dataclass(frozen=True, slots=True)
class Asking:
    """What an envelope says of the asking itself."""

    round: int = 1
    policy: int | None = None
    rule: str = ""
    etag: str = ""
    expires_at: str = ""


def freeze(claim: Claim, key: str, work: Work, *, version: str, principal: str) -> Envelope:
    """The call as its agent makes it, without anything of the asking. Raises Unfit."""
    plain, notes = frozen_arguments(work)
    made = {
        "run": claim.public_id, "key": key, "revision": 1, "agent": claim.agent,
        "agent_version": version, "tool": work.name, "tool_digest": tool_digest(work),
        "effect": str(work.effect), "principal": principal, "credential": "",
        "arguments": plain,
    }  # fmt: skip
    envelope = _envelope(made | ({"kinds": notes} if notes else {}))
    _check_round_trip(work, envelope)
    return envelope


def asked(envelope: Envelope, about: Asking) -> Envelope:
    """The same call as it is put before people."""
    said = {
        "round": about.round, "policy": about.policy, "rule": about.rule, "etag": about.etag,
        "expires_at": about.expires_at,
    }  # fmt: skip
    return _envelope(envelope.fields | said)


def edited(envelope: Envelope, arguments: Mapping[str, object]) -> Envelope:
    """The next revision, with other arguments, in plain JSON. Raises Unfit."""
    before = envelope.fields
    kept = [
        note
        for note in before.pop("kinds", [])
        if arguments.get(note[0][0]) == before["arguments"].get(note[0][0])
    ]
    made = before | {"revision": before["revision"] + 1, "arguments": dict(arguments)}
    return _envelope(made | ({"kinds": kept} if kept else {}))


def thaw(envelope: Envelope, work: Work) -> dict[str, object]:
    """The arguments to call the tool with, fresh from the bytes. Raises Unfit."""
    read = envelope.fields
    try:
        revived = kinds.revived(read["arguments"], read.get("kinds", []))
    except (LookupError, TypeError) as error:
        raise Unfit(f"What the arguments were does not fit them any more: {error}.") from None
    return _checked(work, cast("dict[str, object]", revived))


def check(envelope: Envelope, work: Work) -> None:
    """See that the tool would be called with what the bytes say. Raises Unfit."""
    plain, _ = kinds.plain(thaw(envelope, work))
    if _dumps(plain) != _dumps(envelope.fields["arguments"]):
        raise Unfit(f"{work.name} would be called with other arguments than those agreed to.")


def frozen_arguments(work: Work) -> tuple[dict[str, object], list[kinds.Note]]:
    """The arguments of a call in plain JSON, with what they were. Raises Unfit."""
    try:
        live = _complete(work)
        plain, notes = kinds.plain(_checked(work, live))
        rfc8785.dumps(cast("dict[str, Any]", plain))
    except PayloadError as error:
        raise Unfit(f"The arguments cannot be shown to anybody. {error}") from None
    except ValueError as error:  # of the canonical form, or ours
        if isinstance(error, Unfit):
            raise
        raise Unfit(f"The arguments have no canonical form: {error}.") from None
    return cast("dict[str, object]", plain), [(place, kind) for place, kind in notes]


def action_of(tool: str, arguments: Mapping[str, object]) -> bytes:
    """SHA-256 of a tool with its arguments: the same action, in whatever step."""
    said = {"tool": tool, "arguments": dict(arguments)}
    return hashlib.sha256(rfc8785.dumps(said)).digest()  # type: ignore[arg-type]  # plain JSON


def tool_digest(work: Work) -> str:
    """The version of a tool: what it says of itself, and its code.

    Arguments an agent fixed are no part of it; they stand among the arguments.
    """
    tool = work.tool
    if tool is None:
        return _hex({"name": work.name, "effect": str(work.effect)})
    known = _digests.get(tool)
    if known is None:
        known = _digests[tool] = _hex(_version_of(tool))
    return known


_digests: weakref.WeakKeyDictionary[Tool[..., object], str] = weakref.WeakKeyDictionary()


def _version_of(tool: Tool[..., object]) -> dict[str, object]:
    said: dict[str, object] = {
        "name": tool.name, "effect": str(tool.effect), "told": tool.description,
        "schema": _schema(tool),
    }  # fmt: skip
    if isinstance(tool, RemoteTool):
        return said | {"server": repr(tool.server.wire), "remote": tool.remote}
    return said | {"code": _code(getattr(inspect.unwrap(tool.fn), "__code__", None))}


def _schema(tool: Tool[..., object]) -> object:
    try:
        return tool.schema
    except Exception:  # noqa: BLE001 - a type of the author's that has none; its source speaks
        return str(tool.signature)


def _code(part: object) -> object:
    """What a function does, the same in every process; where it stands in its file is no matter."""
    if isinstance(part, CodeType):
        consts = [_code(const) for const in part.co_consts]
        return [part.co_code.hex(), consts, part.co_names, part.co_varnames]
    return sorted(map(repr, part)) if isinstance(part, frozenset) else repr(part)


def _complete(work: Work) -> dict[str, object]:
    """The arguments by name, with the defaults of the tool."""
    named = work.named_arguments() or {}
    tool = work.tool
    if tool is None or isinstance(tool, RemoteTool):
        return dict(named)
    known = {
        name: p.default
        for name, p in tool.signature.parameters.items()
        if p.default is not p.empty and not (tool.takes_context and name == _first(tool))
    }
    return {**known, **named}


def _first(tool: Tool[..., object]) -> str:
    return next(iter(tool.signature.parameters))


def _checked(work: Work, given: dict[str, object]) -> dict[str, object]:
    """The arguments as the types of the tool make them. Raises Unfit for what does not fit."""
    form = _form(work.tool)
    if form is None:
        return given
    try:
        checked = form.validate_python(given)
    except ValidationError as error:
        raise Unfit(f"The arguments do not fit the tool {work.name}. {faults(error)}") from None
    return {name: getattr(checked, name) for name in type(checked).model_fields}


def _form(tool: Tool[..., object] | None) -> Any:
    if tool is None or isinstance(tool, RemoteTool):
        return None
    if tool not in _forms:
        try:
            _forms[tool] = tool_form(tool.fn, tool.name) if tool.fixed else tool.form
        except Exception:  # noqa: BLE001 - *args, or a type that pydantic knows nothing of
            _forms[tool] = None
    return _forms[tool]


_forms: weakref.WeakKeyDictionary[Tool[..., object], Any] = weakref.WeakKeyDictionary()


def _check_round_trip(work: Work, envelope: Envelope) -> None:
    """Raises Unfit where what comes out of the bytes would not make the same bytes."""
    read = envelope.fields
    plain, notes = kinds.plain(thaw(envelope, work))
    again = {"arguments": plain, "kinds": notes}
    before = {"arguments": read["arguments"], "kinds": read.get("kinds", [])}
    if _dumps(again) != _dumps(before):
        raise Unfit(
            f"The arguments of {work.name} do not come back from JSON as they were. Give plain "
            "data, dataclasses or pydantic models, and say the types of the tool's parameters."
        )


def _envelope(fields: Mapping[str, object]) -> Envelope:
    data = _dumps(fields)
    if len(data) > MOST_BYTES:
        raise Unfit(f"The call has {len(data):,} bytes; at most {MOST_BYTES:,} are put to people.")
    return Envelope(data)


def _dumps(value: object) -> bytes:
    try:
        return rfc8785.dumps(_listed(value))  # type: ignore[arg-type]  # it refuses what is no JSON
    except ValueError as error:
        raise Unfit(f"The arguments have no canonical form: {error}.") from None


def _listed(value: object) -> object:
    """Tuples of notes as JSON has them."""
    if isinstance(value, Mapping):
        return {name: _listed(part) for name, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_listed(part) for part in value]
    return value


def _hex(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=repr).encode()).hexdigest()
