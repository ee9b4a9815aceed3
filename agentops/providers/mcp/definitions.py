"""What a server says of a tool, and the digest by which a change of it is noticed."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agentops.sdk.mcp import McpServer, offer

Plain = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Definition:
    """A tool as its server describes it. All of it is text by somebody else that a model reads."""

    name: str
    description: str = ""
    schema: Plain = field(default_factory=dict)
    annotations: Plain = field(default_factory=dict)

    @property
    def plain(self) -> dict[str, object]:
        """As it is kept."""
        return {
            "name": self.name,
            "description": self.description,
            "schema": dict(self.schema),
            "annotations": dict(self.annotations),
        }

    @property
    def digest(self) -> str:
        """SHA-256 of all of it; the order of keys does not count."""
        text = json.dumps(self.plain, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()


def read(kept: Plain) -> Definition:
    """A definition as it was kept."""
    return Definition(
        str(kept.get("name") or ""),
        str(kept.get("description") or ""),
        _mapping(kept.get("schema")),
        _mapping(kept.get("annotations")),
    )


def _mapping(value: object) -> Plain:
    return value if isinstance(value, dict) else {}


def listed(server: McpServer, definitions: Sequence[Definition]) -> dict[str, object]:
    """The tools as a step records them."""
    made = [offer(server, d.name, d.description, d.schema, d.annotations) for d in definitions]
    return {"tools": made}


def difference(old: Plain, new: Plain) -> list[tuple[str, str]]:
    """Line by line what changed: pairs of “-”, “+” or “ ” and a line, invisible letters shown."""
    before, after = _lines(old), _lines(new)
    told = difflib.ndiff(before, after)
    return [(line[0], line[2:]) for line in told if not line.startswith("?")]


def _lines(kept: Plain) -> list[str]:
    if not kept:
        return []
    it = read(kept)
    lines = [f"name: {it.name}", "description:"]
    lines += [f"  {line}" for line in it.description.splitlines()]
    for title, value in (("input schema", it.schema), ("annotations", it.annotations)):
        lines.append(f"{title}:")
        lines += [f"  {line}" for line in json.dumps(value, indent=2, sort_keys=True).splitlines()]
    return [_visible(line) for line in lines]


def _visible(line: str) -> str:
    """A line whose letters can all be seen: what is invisible to people is not to models."""
    return "".join(c if c.isprintable() else f"\\u{{{ord(c):x}}}" for c in line)
