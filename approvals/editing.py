"""Somebody changes what an agent wants to do before it may: the next revision of its action.

Only arguments change. Tool, agent, run and whom it is for stay what they were, and so do the names
and the kinds of the arguments; where the tool is known here, it says what it takes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import cast

from agentops.accounts.access import Actor
from agentops.sdk import codec
from agentops.sdk.catalog import catalog
from agentops.sdk.errors import UnknownAgent
from agentops.sdk.tools import Tool
from approvals import envelope, judging, moves
from approvals.envelope import Envelope
from approvals.models import Request, Revision
from approvals.moves import By
from approvals.refusals import InvalidEdit

__all__ = ["InvalidEdit", "NothingEdited", "edit", "read"]


class NothingEdited(InvalidEdit):
    """These are the arguments it has already. Approve them without sending arguments."""


def edit(
    request: Request, revision: Revision, arguments: Mapping[str, object], actor: Actor
) -> Revision:
    """The next revision of a locked request, with these arguments.

    Rules are asked about them as they were about the first. Raises InvalidEdit.
    """
    before = read(revision)
    checked = _checked(request, cast("dict[str, object]", before["arguments"]), arguments)
    number = revision.number + 1
    put = _frozen(revision, checked)
    if checked == before["arguments"]:
        raise NothingEdited
    asks = judging.judge(request, before, checked)
    made = Revision.objects.create(
        request=request, number=number, envelope=put.data, digest=put.digest, action=put.action,
        made_by=actor.user,
    )  # fmt: skip
    by = By.actor(actor)
    # What was parsed is JSON, of which types know nothing.
    changed = sorted(name for name in checked if checked[name] != before["arguments"][name])  # type: ignore[index]
    detail: dict[str, object] = {"revision": number, "changed": changed}
    if asks:
        detail["asks"] = asks
    moves.record(request, "approval.edited", by, digest=put.digest, detail=detail)
    return made


def read(revision: Revision) -> dict[str, object]:
    """The envelope of a revision, from the very bytes that were asked about."""
    return cast("dict[str, object]", json.loads(bytes(revision.envelope)))


def _checked(
    request: Request, before: Mapping[str, object], wanted: Mapping[str, object]
) -> dict[str, object]:
    names = sorted(set(before) ^ set(wanted))
    if names:
        raise InvalidEdit(f"arguments/{names[0]}: the same names as before are wanted, no other.")
    for name, value in wanted.items():
        if _kind(value) != _kind(before[name]) and before[name] is not None:
            said = f"arguments/{name}: this was {_kind(before[name])} and has to stay one."
            raise InvalidEdit(said)
    tool = _tool(request)
    return dict(wanted) if tool is None else _taken(tool, dict(wanted))


def _taken(tool: Tool[..., object], wanted: dict[str, object]) -> dict[str, object]:
    """The arguments as the tool takes them, in plain JSON."""
    try:
        taken = tool.arguments(wanted)
    except ValueError as error:
        raise InvalidEdit(f"arguments: {error}") from None
    return cast("dict[str, object]", codec.decode(*codec.encode(taken, noted=False)))


def _tool(request: Request) -> Tool[..., object] | None:
    """The tool, where the catalog of this process knows it."""
    try:
        offered = catalog().agent(request.agent).tools
    except UnknownAgent:
        return None
    return next((tool for tool in offered if tool.name == request.name), None)


def _kind(value: object) -> str:
    """What JSON calls it; whole and broken numbers are of one kind."""
    if isinstance(value, bool):
        return "true or false"
    kinds = {str: "a text", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return kinds.get(type(value), "nothing")


def _frozen(revision: Revision, arguments: Mapping[str, object]) -> Envelope:
    try:
        return envelope.edited(Envelope(bytes(revision.envelope)), arguments)
    except envelope.Unfit as error:
        raise InvalidEdit(f"arguments: {error}") from None
