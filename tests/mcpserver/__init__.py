"""A server of tools for tests: it does what a file tells it, and writes down what it did.

Over stdio it is started by who uses it; over HTTP it is a process of its own on loopback.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentops import McpServer, mcp_server
from agentops.launcher.home import PROJECT

FOLDER = "MCP_TEST_FOLDER"
COMMAND = [sys.executable, "-m", "tests.mcpserver", "stdio"]


@dataclass(frozen=True)
class Stage:
    """The folder through which a test and its server talk."""

    folder: Path

    def server(self, name: str = "shop", **how: Any) -> McpServer:
        """The server as an agent declares it, over stdio."""
        named = [FOLDER, "PYTHONPATH"]
        return mcp_server(name, COMMAND, environment=named, **how)

    def says(self, **changed: object) -> None:
        """Change how the server behaves, from its next call or start on."""
        path = self.folder / "behaviour.json"
        told = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(told | changed))

    @property
    def done(self) -> list[str]:
        """The effects it had, in order."""
        path = self.folder / "effects"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def pid(self) -> int:
        """Of the process that was started last."""
        return int((self.folder / "pid").read_text())

    @property
    def starts(self) -> int:
        """How many processes were started."""
        return len((self.folder / "starts").read_text().splitlines())

    @property
    def environment(self) -> dict[str, str]:
        """What the last process found in its environment."""
        found: dict[str, str] = json.loads((self.folder / "environment").read_text())
        return found


class OverHttp:
    """The server in a process of its own, on loopback."""

    def __init__(self, stage: Stage, token: str = "") -> None:
        self._stage, self._token = stage, token
        self.port = 0
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        ready = self._stage.folder / "port"
        ready.unlink(missing_ok=True)
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.mcpserver", "http", str(self.port), self._token],
            env={**os.environ, FOLDER: str(self._stage.folder)},
            cwd=PROJECT,
        )
        border = time.monotonic() + 20
        while not ready.exists() or not ready.read_text():
            assert time.monotonic() < border, "the server did not start"
            time.sleep(0.02)
        self.port = int(ready.read_text())
        return process

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def again(self) -> None:
        """Start it on the port it had."""
        self.process = self._start()
