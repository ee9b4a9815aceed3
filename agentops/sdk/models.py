"""Asking a model: what is asked, and the turns between a model and tools until it has answered.

The turns are a generator: it yields steps and is sent what came of them, so that ``async def``
and ``def`` agents share one loop, and a replay walks through it without asking anybody.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count
from typing import cast

from pydantic import TypeAdapter, ValidationError

from agentops.sdk import codec, messages
from agentops.sdk.errors import AgentopsError, Missing, Misuse, PayloadError, StepFailed
from agentops.sdk.mcp import McpServer
from agentops.sdk.messages import Message, Reply, Role, ToolUse
from agentops.sdk.tools import Tool
from agentops.sdk.typing import faults, is_record

DEFAULT_ROUTE = "fast"
DEFAULT_TIMEOUT_SECONDS = 120.0
DEFAULT_MAX_TURNS = 25
DEFAULT_REPAIRS = 2
ANSWER = "answer"
COMPACT = "compact"
# Each makes room of more than half the window, so that a second is rare.
MOST_COMPACTIONS = 8
LONGEST_RESULT = 60_000
LONGEST_REASON = 2_000


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """What a model is told of a tool."""

    name: str
    description: str
    schema: dict[str, object]


@dataclass(frozen=True, slots=True)
class Recall:
    """The earlier turns of the run's conversation belong before the messages of a request.

    They are looked up when it is sent; what is recorded is which they are. More than ``compact_at``
    of the model's window is not sent (0: no summaries; None: what the agent declares).
    ``summarise``: this request is to sum up the oldest of them. ``wanted``: the agent asked for
    them, also where it is not itself a turn of the conversation.
    """

    compact_at: float | None = None
    summarise: bool = False
    wanted: bool = False


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One request to whatever model a route chooses.

    ``answer`` is the tool through which a structured answer comes, if one is wanted: the model has
    to use it or another. ``bigger`` is how often a weaker model failed to give what was asked.
    """

    route: str
    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    answer: ToolSpec | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    bigger: int = 0
    history: Recall | None = None


@dataclass(frozen=True, slots=True)
class ModelCall:
    """A request as a step. ``added``: the messages no earlier request of this run contains."""

    request: ModelRequest
    added: tuple[Message, ...]
    after: str
    timeout: float
    id: str | None = None

    @property
    def name(self) -> str:
        """What the step is called."""
        recall = self.request.history
        return COMPACT if recall and recall.summarise else self.request.route


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool the model asked for, as a step.

    ``noted``: it may come back as Noted. ``reason``: what the model said beside it.
    """

    tool: Tool[..., object]
    arguments: dict[str, object]
    id: str | None
    noted: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Noted:
    """What a tool returned, and what the model has to hear besides."""

    value: object
    told: str


@dataclass(frozen=True, slots=True)
class ChildWait:
    """Waiting for a run that a tool of the model began."""

    key: str
    agent: str


Batch = list[ModelCall | ToolCall | ChildWait]
# The key of each step of a batch, and what it returned or how it failed.
Answers = list[tuple[str, object]]


@dataclass(frozen=True)
class Talk:
    """What ``ctx.model`` is asked."""

    messages: tuple[Message, ...]
    route: str = DEFAULT_ROUTE
    tools: tuple[Tool[..., object], ...] = ()
    servers: tuple[McpServer, ...] = ()
    output: object = None
    max_turns: int = DEFAULT_MAX_TURNS
    repairs: int = DEFAULT_REPAIRS
    timeout: float = DEFAULT_TIMEOUT_SECONDS
    max_tokens: int | None = None
    temperature: float | None = None
    id: str | None = None
    history: Recall | None = None

    @cached_property
    def specs(self) -> tuple[ToolSpec, ...]:
        return tuple(ToolSpec(t.name, t.description, t.schema) for t in self.tools)

    @cached_property
    def form(self) -> AnswerForm | None:
        return None if self.output in {None, str} else AnswerForm(self.output)


class AnswerForm:
    """The form of a structured answer."""

    def __init__(self, output: object) -> None:
        try:
            self._adapter: TypeAdapter[object] = TypeAdapter(cast("type[object]", output))
            schema = self._adapter.json_schema()
        # Types of authors make pydantic raise whatever they like; it is told as theirs to change.
        except Exception as error:
            raise Misuse(
                f"ctx.model(output={output!r}): no JSON schema for it ({error})."
            ) from error
        # Tools take objects; anything else comes as the only property of one.
        self._wrapped = schema.get("type") != "object" and not is_record(output)
        if self._wrapped:
            schema = {"type": "object", "properties": {"value": schema}, "required": ["value"]}
        self.spec = ToolSpec(ANSWER, "Give the final answer.", schema)

    def read(self, arguments: dict[str, object] | str) -> object:
        """The answer. Raises ValueError that says what is wrong with it."""
        if isinstance(arguments, str):
            raise ValueError("The arguments are not a JSON object.")
        if self._wrapped and "value" not in arguments:
            raise ValueError("/value: is missing")
        try:
            return self._adapter.validate_python(arguments["value"] if self._wrapped else arguments)
        except ValidationError as error:
            raise ValueError(faults(error)) from None


def talk(asked: Talk, answered: set[str]) -> Generator[Batch, Answers, object]:
    """Ask, do what the model wants done, ask again, until it has answered.

    Names of models that answer are added to ``answered``. Returns its text, or the value of
    ``output``. Raises StepFailed: ``output_invalid`` when no answer fits after the repairs,
    ``output_truncated`` when one was cut at ``max_tokens``, ``content_filtered``, ``max_turns``
    when it never ends, ``compaction_failed`` when the history is too long and cannot be summarised,
    or why a request failed.
    """
    said, added, after = list(asked.messages), tuple(asked.messages), ""
    wrong = 0
    for turn in range(asked.max_turns):
        request = ModelRequest(
            asked.route,
            tuple(said),
            asked.specs,
            asked.form.spec if asked.form else None,
            asked.max_tokens,
            asked.temperature,
            bigger=max(0, wrong - asked.repairs),
            history=asked.history,
        )
        own = None if asked.id is None else f"{asked.id}/{turn + 1}"
        call = ModelCall(request, added, after, asked.timeout, own)
        after, reply = yield from _asked(call)
        answered.add(reply.model)
        _check_whole(reply)
        said.append(reply.message)
        fitting, added = _answer(asked.form, reply)
        if fitting is not None:
            return fitting[0]
        if added:
            wrong += 1
            if wrong > asked.repairs + 1:
                raise StepFailed(
                    f"The model's answer did not fit: {added[0].text}", code="output_invalid"
                )
        else:
            calls = _calls(asked, reply, after)
            answers = yield from _called([call for call in calls if isinstance(call, ToolCall)])
            added = _results(reply.message.uses, calls, answers)
        said.extend(added)
    raise StepFailed(
        f"The model did not come to an answer in {asked.max_turns} turns.", code="max_turns"
    )


def _asked(call: ModelCall) -> Generator[Batch, Answers, tuple[str, Reply]]:
    """Ask once; as often as the history is too long, have its oldest part summarised first."""
    own = call.id
    for number in count(1):
        [(key, reply)] = yield [call]
        if isinstance(reply, Reply):
            return key, reply
        if getattr(reply, "code", "") != "history_too_long" or number > MOST_COMPACTIONS:
            raise _raised(reply)
        recall = replace(call.request.history or Recall(), summarise=True)
        summing = replace(call.request, messages=(), tools=(), answer=None, history=recall)
        summing = replace(summing, max_tokens=None, temperature=None, bigger=0)
        named = None if own is None else f"{own}/compact{number}"
        [(_, made)] = yield [ModelCall(summing, (), "", call.timeout, named)]
        if not isinstance(made, Reply):
            said = f"The earlier turns are too long and could not be summarised: {made}"
            raise StepFailed(said, code="compaction_failed")
        call = replace(call, id=None if own is None else f"{own}/again{number}")
    raise AssertionError("count() has no end")


def _check_whole(reply: Reply) -> None:
    """Half an answer is none. Raises StepFailed."""
    if reply.finish == "filtered":
        raise StepFailed(
            "The provider's filter stopped the model's answer.", code="content_filtered"
        )
    if reply.finish == "length":
        said = "The model's answer was cut off. Ask for less, or raise max_tokens."
        raise StepFailed(said, code="output_truncated")


def _answer(
    form: AnswerForm | None, reply: Reply
) -> tuple[tuple[object] | None, tuple[Message, ...]]:
    """The answer, or what to say when none fits; neither while the model uses tools."""
    given = next((use for use in reply.message.uses if form and use.name == ANSWER), None)
    if form is None and reply.text and not reply.message.uses:
        return (reply.text,), ()
    if given is None and reply.message.uses:
        return None, ()
    if form is None or given is None:
        wanted = f"Give your answer by calling the tool “{ANSWER}”." if form else "Give an answer."
        return None, (messages.user(wanted),)
    try:
        return (form.read(given.arguments),), ()
    except ValueError as error:
        others = [u for u in reply.message.uses if u is not given]
        told = [messages.result(given, f"The answer does not fit. {error}", failed=True)]
        told += [messages.result(u, "Not called.", failed=True) for u in others]
        return None, tuple(told)


def _calls(asked: Talk, reply: Reply, after: str) -> list[ToolCall | str]:
    """What to call, or why not, for each use in turn."""
    said = reply.text[:LONGEST_REASON]
    known = {tool.name: tool for tool in asked.tools}
    calls: list[ToolCall | str] = []
    for number, use in enumerate(reply.message.uses, 1):
        tool = known.get(use.name)
        if tool is None:
            names = ", ".join(known) or "none"
            calls.append(f"There is no tool called “{use.name}”. There are: {names}.")
            continue
        try:
            arguments = tool.arguments(use.arguments)
        except ValueError as error:
            calls.append(f"The arguments do not fit. {error}")
            continue
        named = f"{after}/{use.id or number}"
        calls.append(ToolCall(tool, arguments, named, noted=True, reason=said))
    identities = [c.id for c in calls if isinstance(c, ToolCall)]
    if len(set(identities)) < len(identities):
        calls = [
            replace(c, id=f"{after}/{n}") if isinstance(c, ToolCall) else c
            for n, c in enumerate(calls, 1)
        ]
    return calls


def _called(calls: list[ToolCall]) -> Generator[Batch, Answers, Answers]:
    """What came of the calls. Agents among them are all started before any is waited for."""
    begun: Answers = yield [*calls]
    names = [
        call.tool.delegate if isinstance(run, str) else ""
        for call, (_, run) in zip(calls, begun, strict=True)
    ]
    waits = [ChildWait(key, name) for name, (key, _) in zip(names, begun, strict=True) if name]
    ended = iter((yield [*waits]) if waits else ())
    return [next(ended) if name else one for name, one in zip(names, begun, strict=True)]


def _results(
    uses: Sequence[ToolUse], calls: list[ToolCall | str], answers: Answers
) -> tuple[Message, ...]:
    came = iter(answers)
    told = []
    for use, call in zip(uses, calls, strict=True):
        if isinstance(call, str):
            told.append(messages.result(use, call, failed=True))
            continue
        _, value = next(came)
        failed = isinstance(value, BaseException)
        if failed and not isinstance(value, AgentopsError):
            raise _raised(value)
        told.append(messages.result(use, str(value) if failed else _heard(value), failed=failed))
    return tuple(told)


def _heard(value: object) -> str:
    """A tool's result, after what people have to say of it."""
    return f"{value.told}\n\n{as_text(value.value)}" if isinstance(value, Noted) else as_text(value)


def as_text(value: object) -> str:
    """A tool's result as a model reads it; what is too long says so."""
    if isinstance(value, str):
        text = value
    elif isinstance(value, Missing):
        text = f"{value.tool} is not available: {value.reason} Go on without it."
    else:
        try:
            text = json.dumps(json.loads(codec.canonical(value)), ensure_ascii=False)
        except PayloadError:
            text = repr(value)
    if len(text) <= LONGEST_RESULT:
        return text
    return f"{text[:LONGEST_RESULT]}… ({len(text):,} characters; the rest is left out)"


def _raised(value: object) -> BaseException:
    return value if isinstance(value, BaseException) else TypeError(f"not a reply: {value!r}")


def prompt(asked: str | Message | Sequence[Message], system: str | None) -> tuple[Message, ...]:
    """The messages of a request. Raises Misuse for what cannot be one."""
    said = [asked] if isinstance(asked, (str, Message)) else list(asked)
    made = tuple(messages.user(m) if isinstance(m, str) else m for m in said)
    if not made or not all(isinstance(m, Message) for m in made):
        raise Misuse("ctx.model takes a text, a message, or a list of messages that is not empty.")
    if system:
        made = (messages.system(system), *(m for m in made if m.role is not Role.SYSTEM))
    return made
