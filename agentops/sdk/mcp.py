"""Servers of tools that speak the Model Context Protocol, as an author declares them.

Nothing here talks to a server: that is done by workers, see ``agentops.providers.mcp``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from agentops.sdk.errors import Misuse
from agentops.sdk.retry import RetryPolicy
from agentops.sdk.tools import DEFAULT_TIMEOUT_SECONDS, Effect, Tool

# What proves that nothing happened is tried again whatever the effect; the rest is up to it.
RETRIES = RetryPolicy(attempts=4)
LONGEST_NAME = 64
_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
_UNFIT = re.compile(r"[^A-Za-z0-9_-]")
_EFFECTS = (Effect.READ, Effect.IDEMPOTENT, Effect.ONCE)
_HERE = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class McpServer:
    """A server of tools. Hand it to ``ctx.model(tools=[…])``, or call one of its tools."""

    name: str
    command: tuple[str, ...] = ()
    url: str = ""
    credential: str = ""
    environment: tuple[str, ...] = ()
    timeout: float = DEFAULT_TIMEOUT_SECONDS
    trust_annotations: bool = False
    effects: tuple[tuple[str, Effect], ...] = ()
    allowed: tuple[str, ...] | None = None
    optional: bool = False

    @property
    def target(self) -> str:
        """What its failures are counted under."""
        return f"mcp:{self.name}"

    @property
    def wire(self) -> tuple[object, ...]:
        """What a connection to it is made of; servers alike in this share one."""
        return self.command, self.url, self.credential, self.environment

    def tool(self, name: str) -> ServerTool:
        """One of its tools, for ``ctx.call``. Raises Misuse for one that ``tools`` leaves out."""
        if not self.allows(name):
            raise Misuse(f"mcp_server({self.name!r}, tools=…) does not name “{name}”. Add it.")
        return ServerTool(self, name)

    def allows(self, name: str) -> bool:
        """Whether agents may see and use this tool."""
        return self.allowed is None or name in self.allowed

    def effect(self, tool: str, annotations: Mapping[str, object]) -> Effect:
        """What a tool does to the world: what the author says, else a trusted server, else the
        worst."""
        said = dict(self.effects).get(tool)
        if said is not None:
            return said
        if self.trust_annotations and annotations.get("readOnlyHint") is True:
            return Effect.READ
        if self.trust_annotations and annotations.get("idempotentHint") is True:
            return Effect.IDEMPOTENT
        return Effect.ONCE


@dataclass(frozen=True, slots=True)
class ServerTool:
    """A tool of a server, by name."""

    server: McpServer
    name: str

    @property
    def alone(self) -> McpServer:
        """The server with this tool only."""
        return replace(self.server, allowed=(self.name,))


@dataclass(frozen=True, eq=False)
class RemoteTool(Tool[..., object]):
    """A tool that a server does. ``remote`` is its name there; none: the list of its tools."""

    server: McpServer = field(kw_only=True)
    remote: str = ""
    told: str = ""
    parameters: Mapping[str, object] = field(default_factory=dict)

    @property
    def description(self) -> str:
        return self.told

    @property
    def schema(self) -> dict[str, object]:
        """JSON schema of the arguments, as the server gives it."""
        return dict(self.parameters)

    def arguments(self, given: dict[str, object] | str) -> dict[str, object]:
        """What a model gave. Whether it fits is the server's to say."""
        if isinstance(given, str):
            raise ValueError("The arguments are not a JSON object.")
        return dict(given)

    def bind(self, args: tuple[object, ...], kwargs: dict[str, object]) -> dict[str, object]:
        if args:
            raise Misuse(f"{self.server.name}/{self.remote} takes its arguments by name.")
        return dict(kwargs)

    def spread(self, named: Mapping[str, object]) -> tuple[tuple[object, ...], dict[str, object]]:
        return (), dict(named)


def mcp_server(
    name: str,
    command: Sequence[str] = (),
    *,
    url: str = "",
    credential: str = "",
    environment: Sequence[str] = (),
    timeout: float = DEFAULT_TIMEOUT_SECONDS,
    trust_annotations: bool = False,
    effects: Mapping[str, str] | None = None,
    tools: Sequence[str] | None = None,
    optional: bool = False,
) -> McpServer:
    """Declare a server of tools: a ``command`` that workers start, or a ``url``.

    ``credential`` names the environment variable of the workers that holds its secret: handed on
    under the same name to a command, as a bearer token to a ``url``. ``environment`` names further
    variables for a command, which gets no others but PATH and LANG. ``timeout`` is seconds per
    call. ``effects`` says what its tools do, by name; with ``trust_annotations`` the server's own
    hints count for the others; all the rest is ``once``. ``tools`` names those that agents may
    see. An ``optional`` server that cannot be used leaves the run degraded, not failed.

    Raises Misuse for a declaration that cannot work.
    """
    _check(name, command, url, timeout)
    for variable in (*environment, *([credential] if credential else [])):
        if not _VARIABLE.fullmatch(variable):
            raise Misuse(f"mcp_server({name!r}): {variable!r} is not the name of a variable.")
    if credential and url and not _is_private(url):
        raise Misuse(f"mcp_server({name!r}): a credential needs an https:// address.")
    if environment and url:
        raise Misuse(f"mcp_server({name!r}): environment belongs to a command.")
    return McpServer(
        name=name,
        command=tuple(command),
        url=url,
        credential=credential,
        environment=tuple(environment),
        timeout=timeout,
        trust_annotations=trust_annotations,
        effects=tuple((tool, _effect(name, tool, said)) for tool, said in (effects or {}).items()),
        allowed=None if tools is None else tuple(tools),
        optional=optional,
    )


def _check(name: str, command: Sequence[str], url: str, timeout: float) -> None:
    if not _NAME.fullmatch(name):
        raise Misuse(f"mcp_server({name!r}): small letters, digits and dashes; a letter first.")
    if isinstance(command, str):
        raise Misuse(f"mcp_server({name!r}): command is a list: [“program”, “argument”, …].")
    if bool(command) == bool(url):
        raise Misuse(f"mcp_server({name!r}): give a command or a url, and not both.")
    if url and urlsplit(url).scheme not in {"http", "https"}:
        raise Misuse(f"mcp_server({name!r}): the url begins with https:// or http://.")
    if timeout <= 0:
        raise Misuse(f"mcp_server({name!r}): timeout is in seconds and must be above 0.")


def _is_private(url: str) -> bool:
    """Whether nobody on the way can read along."""
    parts = urlsplit(url)
    return parts.scheme == "https" or parts.hostname in _HERE


def _effect(server: str, tool: str, said: str) -> Effect:
    if said not in _EFFECTS:
        raise Misuse(
            f"mcp_server({server!r}, effects={{{tool!r}: …}}): read, idempotent or once, "
            f"not {said!r}."
        )
    return Effect(said)


def listing(server: McpServer) -> RemoteTool:
    """The list of a server's tools, as a tool itself: one step, recorded."""
    return _remote(server, "", server.target, Effect.READ)


def offer(
    server: McpServer,
    name: str,
    description: str,
    schema: Mapping[str, object],
    annotations: Mapping[str, object],
) -> dict[str, object]:
    """A tool as a list of them is recorded: what a model is told, and its effect."""
    return {
        "name": name,
        "description": description,
        "schema": dict(schema),
        "effect": server.effect(name, annotations).value,
    }


def remote(server: McpServer, listed: Mapping[str, object]) -> RemoteTool:
    """A tool as a recorded list tells of it."""
    name = str(listed["name"])
    schema = listed.get("schema")
    return _remote(
        server,
        name,
        public_name(server.name, name),
        Effect(str(listed["effect"])),
        told=str(listed.get("description") or ""),
        parameters=schema if isinstance(schema, dict) else {"type": "object"},
    )


def _remote(
    server: McpServer,
    remote: str,
    name: str,
    effect: Effect,
    told: str = "",
    parameters: Mapping[str, object] | None = None,
) -> RemoteTool:
    return RemoteTool(
        fn=_elsewhere,
        name=name,
        effect=effect,
        timeout=server.timeout,
        retry=RETRIES,
        optional=server.optional,
        target=server.target,
        server=server,
        remote=remote,
        told=told,
        parameters=parameters or {},
    )


def public_name(server: str, tool: str) -> str:
    """What a model calls the tool: providers take few letters, and two servers may share names."""
    plain = f"{server}__{_UNFIT.sub('_', tool)}"
    if len(plain) <= LONGEST_NAME and not _UNFIT.search(tool):
        return plain
    mark = hashlib.sha256(tool.encode()).hexdigest()[:8]
    return f"{plain[: LONGEST_NAME - 9]}-{mark}"


def _elsewhere(**_: object) -> object:
    raise Misuse("A tool of a server is called with ctx.call(server.tool(…), …), by a worker.")
