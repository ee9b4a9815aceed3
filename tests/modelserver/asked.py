"""What the server was asked: in memory, and in a file that many processes can read."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Asked:
    """One HTTP request as it arrived. ``n`` counts those of this server from 1."""

    n: int
    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    at: float = field(default_factory=time.time)

    @property
    def protocol(self) -> str:
        return "anthropic" if self.path.endswith("/messages") else "openai"

    @property
    def model(self) -> str:
        return str(self.body.get("model", ""))

    @property
    def streams(self) -> bool:
        return bool(self.body.get("stream"))

    @property
    def messages(self) -> list[dict[str, Any]]:
        return list(self.body.get("messages", ()))

    @property
    def tools(self) -> dict[str, dict[str, Any]]:
        """The schema of every tool that is offered, by name."""
        offered = [tool.get("function", tool) for tool in self.body.get("tools", ())]
        return {
            str(tool["name"]): tool.get("parameters") or tool.get("input_schema") or {}
            for tool in offered
        }


class Count:
    """Requests of a server in another process, read from its file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> list[Asked]:
        """Every request so far."""
        if not self._path.exists():
            return []
        whole = self._path.read_text().split("\n")[:-1]
        return [Asked(**json.loads(line)) for line in whole]


class Log:
    """Writes requests down: one line each, whole even when the process is killed after it."""

    def __init__(self, path: Path | None) -> None:
        self._file = path.open("ab", buffering=0) if path else None

    def write(self, asked: Asked) -> None:
        if self._file is not None:
            self._file.write(json.dumps(asdict(asked)).encode() + b"\n")

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
