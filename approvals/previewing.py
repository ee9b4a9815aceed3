"""Previews: what a call would do, asked of the tool's author before people are."""

from __future__ import annotations

import asyncio
import functools
import inspect
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from agentops.execution.port import Action, is_ours
from agentops.sdk.calls import ToolContext
from agentops.sdk.previews import preview_of
from agentops.sdk.retry import told
from agentops.sdk.typing import takes_context

PREVIEW_SECONDS = 20.0
LONGEST_ERROR = 500


@dataclass(frozen=True, slots=True)
class Previewed:
    """What is shown of a preview, and the state of the world it looked at."""

    shown: dict[str, object] | None = None
    etag: str = ""


NOTHING = Previewed()


async def preview(
    action: Action,
    arguments: Mapping[str, object],
    threaded: Callable[[Callable[[], Any]], Awaitable[Any]],
) -> Previewed:
    """Ask the tool what the call would do. A failure is shown as such; nothing passes by it."""
    tool = action.work.tool
    if tool is None or tool.preview is None:
        return NOTHING
    args, kwargs = tool.spread(arguments)
    if takes_context(tool.preview):
        args = (_context(action), *args)
    try:
        async with asyncio.timeout(PREVIEW_SECONDS):
            found = await _called(functools.partial(tool.preview, *args, **kwargs), threaded)
        made = preview_of(found)
        return Previewed(made.as_json(), made.etag)
    except BaseException as error:
        if is_ours(error):
            raise
        failed = f"The preview failed: {type(error).__name__}: {told(error)}"[:LONGEST_ERROR]
        return Previewed({"summary": "", "changes": [], "error": failed})


async def _called(
    ask: functools.partial[Any], threaded: Callable[[Callable[[], Any]], Awaitable[Any]]
) -> object:
    if inspect.iscoroutinefunction(ask.func):
        return await ask()
    return await threaded(ask)


def _context(action: Action) -> ToolContext:
    return ToolContext(
        run_id=action.claim.public_id,
        key=action.key,
        attempt=action.n,
        deadline=time.monotonic() + PREVIEW_SECONDS,
    )
