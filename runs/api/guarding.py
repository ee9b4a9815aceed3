"""Streams end when whoever reads them may no longer."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncGenerator
from typing import cast

from asgiref.sync import sync_to_async
from django.db import connections
from django.db.models import Model

from agentops.accounts.access import Action, Actor, Owned, allows
from agentops.accounts.rechecks import CHECK_SECONDS, look_again

REFUSED = b'event: stream.refused\ndata: {"code":"%s"}\n\n'


async def guarded(
    chunks: AsyncGenerator[bytes, None],
    actor: Actor,
    target: Model,
    *,
    check_seconds: float = CHECK_SECONDS,
) -> AsyncGenerator[bytes, None]:
    """The chunks, as long as ``actor`` may see ``target``; then one that says why, and the end.

    Looked at before a chunk is passed on, so at least as often as the stream says anything.
    """
    checked = time.monotonic()
    async with contextlib.aclosing(chunks):
        async for chunk in chunks:
            if time.monotonic() - checked >= check_seconds:
                why = await sync_to_async(_why_not)(actor, target)
                if why:
                    yield REFUSED % why
                    return
                checked = time.monotonic()
            yield chunk


def _why_not(actor: Actor, target: Model) -> bytes:
    try:
        now = look_again(actor)
        if now is None:
            return b"invalid_token" if actor.token else b"not_authenticated"
        fresh = type(target)._base_manager.filter(pk=target.pk).first()
        seen = fresh is not None and allows(now, Action.VIEW, cast("Owned", fresh))
        return b"" if seen else b"not_found"
    finally:
        # The stream must not sit on a connection for hours.
        connections.close_all()
