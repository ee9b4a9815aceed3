"""The history of requests in a worker: read once per run, when one is really sent."""

from __future__ import annotations

import functools
from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from django.db import InterfaceError, OperationalError

from agentops.execution.records import Claim
from agentops.sdk.calls import ToolContext
from agentops.sdk.catalog import catalog
from agentops.sdk.errors import ModelError
from agentops.sdk.history import Ask
from agentops.sdk.messages import Reply
from agentops.sdk.models import ModelRequest
from agentops.sdk.turns import Past

if TYPE_CHECKING:
    from runs.engine.host import Host

# Runs whose history is kept for their next request.
KNOWN_PASTS = 64
READ_SECONDS = 30.0


class Unread(Exception):
    """The database is away; the history can be read later."""


class Recalling:
    """What runs of conversations remember, as far as this process needs it."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._known: OrderedDict[tuple[int, int], Past | None] = OrderedDict()

    def settled(self, claim: Claim, request: ModelRequest) -> ModelRequest:
        """The request with its policy in numbers, or without history where there is none."""
        recall = request.history
        if recall is None or not (recall.wanted or claim.conversation_id or claim.forked):
            return replace(request, history=None) if recall else request
        if recall.compact_at is not None:
            return request
        share = catalog().agent(claim.agent).compact_at
        return replace(request, history=replace(recall, compact_at=share))

    async def past(self, claim: Claim) -> Past | None:
        """What was said before this run. Raises Unread."""
        key = (claim.id, claim.epoch)
        if key not in self._known:
            self._known[key] = await self._read(claim)
            if len(self._known) > KNOWN_PASTS:
                self._known.popitem(last=False)
        return self._known[key]

    async def _read(self, claim: Claim) -> Past | None:
        read = functools.partial(self._host.options.past, claim.id)
        try:
            found = await self._host.threads.run(read, timeout=READ_SECONDS, give_up=_nothing)
        except (OperationalError, InterfaceError, TimeoutError) as error:
            raise Unread from error
        return cast("Past | None", found)

    def keeping(self, claim: Claim, through: int, ask: Ask) -> Ask:
        """``ask``, with its answer kept as the summary of the turns up to ``through``."""

        async def asked(context: ToolContext) -> Reply:
            reply = await ask(context)
            if reply.finish != "stop" or not reply.text.strip():
                raise ModelError("cut_off", "The model gave no whole summary.")
            keep = functools.partial(self._host.options.summarised, claim.id, through, reply.text)
            await self._host.threads.run(keep, timeout=READ_SECONDS, give_up=_nothing)
            self._known.pop((claim.id, claim.epoch), None)
            return reply

        return asked


def _nothing() -> None:
    """A read that is given up leaves nothing behind."""
