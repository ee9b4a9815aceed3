"""Descriptions of tools of servers: what was agreed to, what waits for an operator, the answer."""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass
from datetime import datetime

import structlog
from django.db import connection, transaction
from django.db.models import Count, Q, QuerySet
from django.db.models.functions import Now

from agentops.providers.mcp.definitions import difference
from agentops.sdk.errors import AgentopsError
from runs.engine import store
from runs.engine.store import TOOL_CHANGED
from runs.models import Run, RunStatus, ToolPin, WaitingFor
from runs.services import announce

log = structlog.get_logger(__name__)


class Answer(enum.StrEnum):
    """What an operator says of a description."""

    ACCEPT = "accept"
    REFUSE = "refuse"


_SAID = {Answer.ACCEPT: "accepted", Answer.REFUSE: "refused"}


class NoSuchTool(AgentopsError):
    """No server was ever seen to offer this tool."""

    code = "not_found"


class DescriptionMoved(AgentopsError):
    """The server says something else by now. Read that, then decide."""

    code = "description_moved"


@dataclass(frozen=True, slots=True)
class Described:
    """A tool of a server as it is shown. ``changes``: line by line, what is new if accepted."""

    pin: ToolPin
    runs_waiting: int
    changes: list[tuple[str, str]]

    @property
    def state(self) -> str:
        """The word for it: changed, new, refused or accepted."""
        if self.pin.offered_digest:
            return "changed" if self.pin.accepted_digest else "new"
        return "refused" if self.pin.refused_digest else "accepted"

    @property
    def digest(self) -> str:
        """Of what may be decided: what is offered, or was refused."""
        return self.pin.offered_digest or self.pin.refused_digest

    @property
    def since(self) -> datetime | None:
        """When it came to stand like this."""
        pin = self.pin
        if pin.offered_digest:
            return pin.offered_at
        return pin.refused_at if pin.refused_digest else pin.accepted_at


def described(*, pins: QuerySet[ToolPin] | None = None) -> list[Described]:
    """The tools there are, those first that wait for an answer."""
    found = list((ToolPin.objects.all() if pins is None else pins).order_by("server", "tool"))
    waiting = _waiting()
    shown = [Described(it, waiting.get(f"{it}", 0), _changes(it)) for it in found]
    return sorted(shown, key=lambda it: not it.pin.offered_digest)


def undecided() -> int:
    """How many descriptions wait for an operator."""
    return ToolPin.objects.exclude(offered_digest="").count()


def _waiting() -> dict[str, int]:
    """How many runs wait for each tool."""
    condition = Q(
        status=RunStatus.WAITING,
        waiting_for=WaitingFor.OPERATOR,
        waiting_detail__startswith=TOOL_CHANGED,
    )
    rows = Run.objects.filter(condition).order_by().values_list("waiting_detail")
    counted = rows.annotate(n=Count("id"))
    return {detail.removeprefix(TOOL_CHANGED): n for detail, n in counted}


def _changes(pin: ToolPin) -> list[tuple[str, str]]:
    other = pin.offered if pin.offered_digest else pin.refused if pin.refused_digest else ""
    return difference(json.loads(pin.accepted), json.loads(other)) if other else []


def require(*, server: str, tool: str) -> None:
    """Return if a server was seen to offer this tool. Raises NoSuchTool."""
    if "\0" in server + tool or not ToolPin.objects.filter(server=server, tool=tool).exists():
        raise NoSuchTool


def decide(*, server: str, tool: str, digest: str, answer: Answer, actor: str) -> Described:
    """Agree to a description, or refuse it, and let the runs go on that wait for it.

    ``digest`` is of the one that was read: the one that is offered, or that was refused before.
    The answer given again does nothing. Raises NoSuchTool or DescriptionMoved.
    """
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        pin = ToolPin.objects.select_for_update().filter(server=server, tool=tool).first()
        if pin is None:
            raise NoSuchTool
        if not _is_decided(pin, digest, answer):
            _write(pin, digest, answer, actor)
            why = f"{_SAID[answer]} the description of {pin}"
            moved = store.wake_for_tool(cursor, server, tool, by=actor, why=why)
        else:
            moved = store.Moved()
    announce(moved)
    log.info("tool.decided", server=server, tool=tool, digest=digest, answer=answer, by=actor)
    return described(pins=ToolPin.objects.filter(pk=pin.pk))[0]


def _is_decided(pin: ToolPin, digest: str, answer: Answer) -> bool:
    kept = pin.accepted_digest if answer is Answer.ACCEPT else pin.refused_digest
    return bool(digest) and kept == digest


def _write(pin: ToolPin, digest: str, answer: Answer, actor: str) -> None:
    if not digest or digest not in {pin.offered_digest, pin.refused_digest}:
        raise DescriptionMoved
    again = digest == pin.refused_digest
    told = pin.refused if again else pin.offered
    changed: dict[str, object] = {} if again else {"offered_digest": "", "offered": "{}"}
    if answer is Answer.ACCEPT:
        changed |= {"accepted_digest": digest, "accepted": told, "accepted_by": actor,
                    "accepted_at": Now()}  # fmt: skip
        if again:
            changed |= {"refused_digest": "", "refused": "{}"}
    else:
        changed |= {"refused_digest": digest, "refused": told, "refused_by": actor,
                    "refused_at": Now()}  # fmt: skip
    ToolPin.objects.filter(pk=pin.pk).update(**changed)
