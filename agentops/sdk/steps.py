"""What a context asks the runtime to do: one frozen value per verb."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from pydantic import TypeAdapter

from agentops.sdk.agents import AgentDefinition
from agentops.sdk.delegating import AgentTool
from agentops.sdk.errors import Misuse
from agentops.sdk.mcp import ServerTool
from agentops.sdk.messages import Message, Reply
from agentops.sdk.models import ChildWait, ModelCall, ToolCall
from agentops.sdk.retry import RetryPolicy
from agentops.sdk.tools import DEFAULT_TIMEOUT_SECONDS, Effect, Tool
from agentops.sdk.turns import Turn
from agentops.sdk.typing import Restorer, restorer

NO_RETRY = RetryPolicy()
# All candidates of a route together, so that no outage makes one step ask for ever.
MODEL_ATTEMPTS = 8


@dataclass(frozen=True, slots=True)
class Work:
    """Code to run once and record: a tool call or an inline step."""

    type: str
    name: str
    fn: Callable[..., object]
    args: tuple[object, ...] = ()
    kwargs: Mapping[str, object] = field(default_factory=dict)
    id: str | None = None
    effect: Effect = Effect.READ
    timeout: float = DEFAULT_TIMEOUT_SECONDS
    retry: RetryPolicy = NO_RETRY
    restore: Restorer | None = None
    tool: Tool[..., object] | None = None
    # Whether ``fn`` is handed a ToolContext before its arguments.
    takes_context: bool = False
    # Whether ``restore`` knows the types of all it reads, so that they need not be recorded.
    plain: bool = False
    # A request to a model; whom to ask is chosen anew for every attempt.
    model: ModelCall | None = None
    # The input of this step as the journal shows it, where it is not the arguments of a tool.
    shown: Callable[[], dict[str, object]] | None = None
    # What the rows of an attempt say of its result besides, such as who answered and what it took.
    facts: Callable[[object], dict[str, object]] | None = None
    # Whether who asks wants to hear what people say of the result: it comes as Noted then.
    noted: bool = False
    # What a model said beside the call, for people who decide about it.
    reason: str = ""
    # For a call that is not of a tool of ours: what does it with other arguments.
    again: Callable[[Mapping[str, object]], Callable[..., object]] | None = None

    def named_arguments(self) -> dict[str, object] | None:
        """What the journal shows as the input of this step, if it has any."""
        if self.shown is not None:
            return self.shown()
        return self.tool.bind(self.args, dict(self.kwargs)) if self.tool else None


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait until a point in time."""

    seconds: float
    name: str = "sleep"
    id: str | None = None
    type: str = "timer"


@dataclass(frozen=True, slots=True)
class AwaitEvent:
    """Wait for a message from outside."""

    name: str
    timeout: float | None = None
    id: str | None = None
    type: str = "event"


@dataclass(frozen=True, slots=True)
class Spawn:
    """Start another run."""

    agent: str
    input: object
    title: str = ""
    queue: str | None = None
    id: str | None = None
    type: str = "child"

    @property
    def name(self) -> str:
        return self.agent


@dataclass(frozen=True, slots=True)
class AwaitChild:
    """Wait for a run that this run started."""

    spawn_key: str
    name: str
    id: str | None = None
    type: str = "child"


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask people. ``schema`` is the form of the answer, ``restore`` makes of it what was wanted."""

    question: str
    schema: Mapping[str, object]
    timeout: float | None = None
    id: str | None = None
    restore: Restorer | None = None
    name: str = "ask"
    type: str = "ask"


Step = Work | Sleep | AwaitEvent | Spawn | AwaitChild | Ask


def tool_call(
    tool: object, args: tuple[object, ...], kwargs: Mapping[str, object], id: str | None
) -> Work:
    """The work of calling ``tool``. Raises Misuse for a function that is not a tool."""
    if not isinstance(tool, Tool):
        label = getattr(tool, "__name__", repr(tool))
        raise Misuse(f"{label} is not a tool. Decorate it with @tool, or use ctx.step({label}, …).")
    if tool.delegate:
        raise Misuse(f"{tool.name} is an agent for models to ask. Start it with ctx.spawn(…).")
    tool.bind(args, dict(kwargs))
    return Work(
        type="tool",
        name=tool.name,
        fn=tool.fn,
        args=args,
        kwargs=kwargs,
        id=id,
        effect=tool.effect,
        timeout=tool.timeout,
        retry=tool.retry,
        restore=tool.restore,
        tool=tool,
        takes_context=tool.takes_context,
    )


def called_with(work: Work, arguments: Mapping[str, object]) -> Work:
    """The same call with other arguments, by name. Raises Misuse when it takes none."""
    if work.tool is not None:
        args, kwargs = work.tool.spread(arguments)
        return replace(work, args=args, kwargs=kwargs)
    if work.again is None:
        raise Misuse(f"{work.name} takes no other arguments than those it was called with.")
    return replace(work, fn=work.again(arguments), shown=lambda: dict(arguments))


def by_name(tool: ServerTool, args: tuple[object, ...]) -> None:
    """Raises Misuse for arguments without a name, which a server cannot tell apart."""
    if args:
        raise Misuse(f"{tool.server.name}/{tool.name} takes its arguments by name.")


def model_call(call: ModelCall) -> Work:
    """The work of asking a model once."""
    return Work(
        type="model",
        name=call.name,
        fn=_nobody,
        id=call.id,
        timeout=call.timeout,
        retry=RetryPolicy(attempts=MODEL_ATTEMPTS),
        restore=_REPLY.validate_python,
        plain=True,
        model=call,
        shown=functools.partial(_asked, call),
        facts=_told,
    )


def of(part: ModelCall | ToolCall | ChildWait) -> Step:
    """A step that the turns between a model and its tools ask for."""
    if isinstance(part, ModelCall):
        return model_call(part)
    if isinstance(part, ChildWait):
        return AwaitChild(part.key, part.agent)
    if isinstance(part.tool, AgentTool):
        return spawn(part.tool.agent, part.arguments, title="", queue=None, id=part.id)
    work = tool_call(part.tool, (), part.arguments, part.id)
    return replace(work, noted=True, reason=part.reason) if part.noted else work


def _nobody() -> object:
    raise Misuse("Whom to ask was not chosen.")


def _told(reply: object) -> dict[str, object]:
    return reply.facts if isinstance(reply, Reply) else {}


def _asked(call: ModelCall) -> dict[str, object]:
    """A request as it is recorded: what no earlier request of the run holds, and which came before.

    Written whole, the record of a conversation would grow with the square of its length.
    """
    request = call.request
    shown: dict[str, object] = {
        "route": request.route,
        "messages": _MESSAGES.dump_python(call.added),
    }
    if call.after:
        shown["after"] = call.after
    if request.tools:
        shown["tools"] = [tool.name for tool in request.tools]
    if request.answer is not None:
        shown["output"] = request.answer.schema
    return shown


_REPLY = TypeAdapter(Reply)
_MESSAGES = TypeAdapter(tuple[Message, ...])


def inline_step(
    fn: Callable[..., object],
    args: tuple[object, ...],
    kwargs: Mapping[str, object],
    *,
    name: str | None,
    id: str | None,
    retries: int,
    timeout: float,
) -> Work:
    """The work of running ``fn`` and recording what it returns."""
    if isinstance(fn, Tool):
        raise Misuse(f"{fn.name} is a tool; call it with ctx.call({fn.name}, …).")
    return Work(
        type="step",
        name=str(name or getattr(fn, "__name__", "step")),
        fn=fn,
        args=args,
        kwargs=kwargs,
        id=id,
        timeout=timeout,
        retry=RetryPolicy(attempts=1 + retries),
        restore=_restorer_of(fn),
        takes_context=_wants_context(fn),
    )


def conversation(read: Callable[[int], list[Turn]], last: int) -> Work:
    """The work of reading what was said before this run, recorded like any other step."""
    if last < 1:
        raise Misuse(f"ctx.conversation(last={last}): ask for at least one turn.")
    return Work(
        type="step",
        name="conversation",
        fn=read,
        args=(last,),
        retry=RetryPolicy(attempts=4),
        restore=_turns_from,
        plain=True,
    )


def _turns_from(value: object) -> object:
    return _TURNS.validate_python(value)


_TURNS = TypeAdapter(list[Turn])


def _wants_context(fn: Callable[..., object]) -> bool:
    """Whether the first parameter is annotated as ToolContext; looked at on every call."""
    code = getattr(fn, "__code__", None)
    if code is None:
        return False
    place = 1 if getattr(fn, "__self__", None) is not None else 0
    names = code.co_varnames[place : code.co_argcount]
    annotation = getattr(fn, "__annotations__", {}).get(names[0]) if names else None
    label = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    return label.rpartition(".")[2] == "ToolContext"


_restorers: dict[object, Restorer] = {}


def _restorer_of(fn: Callable[..., object]) -> Restorer | None:
    """Return types are read once per function; lambdas and closures have none to read."""
    code = getattr(fn, "__code__", None)
    if code is None or "return" not in getattr(fn, "__annotations__", {}):
        return None
    if code not in _restorers:
        _restorers[code] = restorer(fn)
    return _restorers[code]


def spawn(
    agent: AgentDefinition | str, input: object, *, title: str, queue: str | None, id: str | None
) -> Spawn:
    """Starting ``agent``, given as a definition or by name."""
    if isinstance(agent, AgentDefinition):
        arguments = agent.validate_input(input)
        title = title or agent.title_for(arguments)
        return Spawn(agent.name, input, title, queue or agent.queue, id)
    return Spawn(agent, input, title, queue, id)
