"""A browser's end of the console's socket, without a network between."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.contrib.sessions.backends.db import SessionStore
from django.db import connections

from agentops.accounts.models import User
from runs.consumers import Console

Frames = list[dict[str, Any]]
T = TypeVar("T")


async def done(call: Callable[[], T]) -> T:
    """Something of the database, from a test on the event loop."""

    def and_close() -> T:
        try:
            return call()
        finally:
            connections.close_all()

    return await sync_to_async(and_close)()


class Socket(ApplicationCommunicator):
    """Speaks ASGI's websocket messages to an application."""

    def __init__(self, application: Any, scope: dict[str, Any]) -> None:
        known = {"type": "websocket", "path": "/live/", "query_string": b"", "headers": []}
        super().__init__(application, {**known, "subprotocols": [], **scope})  # type: ignore[no-untyped-call]

    @classmethod
    def of(cls, user: User, session: SessionStore) -> Socket:
        """The tab of somebody who is signed in."""
        return cls(
            Console.as_asgi(), {"user": user, "session": session, "cookies": {"zone": "UTC"}}
        )

    async def connect(self) -> bool:
        """Whether it was accepted."""
        await self.send_input({"type": "websocket.connect"})  # type: ignore[no-untyped-call]
        answer: dict[str, Any] = await self.receive_output(3)  # type: ignore[no-untyped-call]
        return bool(answer["type"] == "websocket.accept")

    async def opened(self) -> Socket:
        assert await self.connect()
        assert (await self.frames())[0]["do"] == "hello"
        return self

    async def disconnect(self) -> None:
        await self.send_input({"type": "websocket.disconnect", "code": 1000})  # type: ignore[no-untyped-call]
        await self.wait(3)  # type: ignore[no-untyped-call]

    async def send_text(self, text: str) -> None:
        await self.send_input({"type": "websocket.receive", "text": text})  # type: ignore[no-untyped-call]

    async def say(self, **said: Any) -> None:
        await self.send_text(json.dumps(said))

    async def frames(self, timeout: float = 3) -> Frames:
        """The next message."""
        message = await self.receive_output(timeout)  # type: ignore[no-untyped-call]
        assert message["type"] == "websocket.send", message
        frames: Frames = json.loads(message["text"])
        return frames

    async def closed(self) -> int:
        """The code the server closed it with."""
        message = await self.receive_output(3)  # type: ignore[no-untyped-call]
        assert message["type"] == "websocket.close"
        code: int = message["code"]
        return code

    async def until(self, enough: Callable[[Frames], object], timeout: float = 5) -> Frames:
        """Frames as they come, until there are enough."""
        got: Frames = []
        async with asyncio.timeout(timeout):
            while not enough(got):
                got += await self.frames(timeout)
        return got

    async def is_silent(self, seconds: float) -> bool:
        """Whether nothing comes for so long."""
        return bool(await self.receive_nothing(seconds))  # type: ignore[no-untyped-call]
