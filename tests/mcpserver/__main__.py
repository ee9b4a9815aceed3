"""The process of the server."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

import mcp_types as types
import uvicorn
from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from tests.mcpserver import FOLDER

_folder = Path(os.environ[FOLDER])
# The library moves the real output aside, so that nothing but messages gets into it.
_raw = os.dup(1)


def _behaviour() -> dict[str, Any]:
    path = _folder / "behaviour.json"
    return dict(json.loads(path.read_text())) if path.exists() else {}


def _did(what: str) -> None:
    with (_folder / "effects").open("a") as file:
        file.write(what + "\n")


async def _misbehave() -> None:
    how = _behaviour().get("during", "")
    if how == "die":
        os._exit(1)
    if how == "hang":
        await asyncio.sleep(3600)
    if how == "garbage":
        os.write(_raw, b"This is not a message.\n{\n\xff\xfe\n")
    if how == "flood":
        os.write(_raw, b"noise\n" * 5000)


def _server() -> MCPServer:
    told = _behaviour()
    server = MCPServer("Test shop")
    hints = types.ToolAnnotations(**told.get("hints", {}))

    @server.tool(description=told.get("description", "Refund an order."), annotations=hints)
    async def refund(order: str) -> str:
        _did(f"refund {order}")
        await _misbehave()
        if order == "gone":
            raise ToolError("This order is closed.")
        return f"refunded {order}"

    reads = types.ToolAnnotations(read_only_hint=True)

    @server.tool(description="The price of an item in cents.", annotations=reads)
    async def price(item: str) -> int:
        _did(f"price {item}")
        await _misbehave()
        return len(item)

    @server.tool(description="Say something long.", structured_output=False)
    async def speak(size: int) -> str:
        return "a" * size

    @server.tool(description="A picture and a file.", structured_output=False)
    async def picture() -> list[Any]:
        return [
            types.TextContent(type="text", text="Here:"),
            types.ImageContent(type="image", data="aGVsbG8=", mime_type="image/png"),
            types.ResourceLink(type="resource_link", uri="file:///a.txt", name="a"),
            types.EmbeddedResource(
                type="resource",
                resource=types.TextResourceContents(uri="file:///b.txt", text="the text"),
            ),
        ]

    @server.tool(description="What it has.", structured_output=False)
    async def secret() -> str:
        return f"The token is {os.environ.get('SHOP_TOKEN', '')}."

    return server


def _note_start() -> None:
    (_folder / "environment").write_text(json.dumps(dict(os.environ)))
    (_folder / "pid").write_text(str(os.getpid()))
    with (_folder / "starts").open("a") as file:
        file.write(f"{time.time()}\n")


def _http(port: int, token: str) -> None:
    app = _server().streamable_http_app(host="127.0.0.1")

    async def guarded(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            status = _behaviour().get("status", 0)
            given = Request(scope).headers.get("authorization", "")
            if token and given != f"Bearer {token}":
                status = 401
            if status:
                await PlainTextResponse("no", status)(scope, receive, send)
                return
        await app(scope, receive, send)

    listening = socket.create_server(("127.0.0.1", port))
    (_folder / "port").write_text(str(listening.getsockname()[1]))
    config = uvicorn.Config(guarded, log_level="error")
    asyncio.run(uvicorn.Server(config).serve(sockets=[listening]))


def main() -> None:
    """Serve until told to leave."""
    if _behaviour().get("start") == "fail":
        sys.stderr.write(f"no shop here, {os.environ.get('SHOP_TOKEN', '')}\n")
        raise SystemExit(3)
    if _behaviour().get("start") == "hang":
        time.sleep(3600)
    _note_start()
    if sys.argv[1] == "stdio":
        _server().run("stdio")
    else:
        _http(int(sys.argv[2]), sys.argv[3])


main()
