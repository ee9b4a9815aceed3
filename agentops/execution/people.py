"""People who decide and answer in tests of agents, without a database."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from agentops.execution.port import (
    PASSED,
    REQUESTED,
    Action,
    Answered,
    Asks,
    Event,
    Passed,
    Permit,
    Refused,
)
from agentops.sdk import forms
from agentops.sdk.errors import Misuse
from agentops.sdk.questions import ANSWER
from agentops.sdk.steps import Ask
from agentops.sdk.tools import Tool

DECIDED = "decided:"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A call that somebody has to decide about."""

    key: str
    tool: str
    arguments: Mapping[str, object]


# True, False, what a person says to a rejection, or the arguments to run it with instead.
Verdict = bool | str | Mapping[str, object]
Approve = bool | Callable[[Wanted], Verdict]
# By question, in order, or what a function makes of one; None declines.
Answers = Mapping[str, object] | Sequence[object] | Callable[[str], object]


@dataclass
class Desk:
    """What was asked in a run, and what was said to it. Outlives crashes."""

    wanted: dict[str, Wanted] = field(default_factory=dict)
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    questions: dict[str, Ask] = field(default_factory=dict)
    answers: dict[str, Answered | Refused] = field(default_factory=dict)

    def permit(self, action: Action, asks: Collection[str]) -> Permit:
        """Whether the attempt may begin; see ``Port.permit``."""
        tool, key = action.work.tool, action.key
        always = tool is not None and tool.approval == "always"
        if not action.tool or not (always or action.tool in asks):
            return PASSED
        self.wanted.setdefault(key, Wanted(key, action.tool, action.arguments))
        verdict = self.verdicts.get(key)
        if verdict is None:
            return Asks("approval", f"{DECIDED}{key}", key, None, (Event(REQUESTED, 1, {}),))
        if verdict is False or isinstance(verdict, str):
            said = f" and said: “{verdict}”" if verdict else "."
            return Refused("denied", f"A person rejected this call{said}")
        if isinstance(verdict, Mapping):
            return _edited(tool, verdict)
        return Passed(events=(Event("approval.executed", 1, {}),))

    def question(self, key: str, asked: Ask, due: datetime | None, now: datetime) -> Answer:
        """What people say; see ``Port.question``."""
        self.questions.setdefault(key, asked)
        if key in self.answers:
            return self.answers[key]
        if due is None or now < due:
            return Asks("answer", f"{DECIDED}{key}", key, due)
        unasked = forms.unasked(asked.schema)
        if unasked is None:
            return Refused("unanswered", f"Nobody answered “{asked.question}” in time.")
        return Answered(unasked)

    def decide(self, approve: Approve | None, answers: Answers | None) -> list[str]:
        """Let people say what they have to say. The keys of the steps that hear something new."""
        told = []
        for key, wanted in self.wanted.items():
            if approve is not None and key not in self.verdicts:
                self.verdicts[key] = approve(wanted) if callable(approve) else approve
                told.append(key)
        for number, (key, asked) in enumerate(self.questions.items()):
            if answers is not None and key not in self.answers:
                self.answers[key] = _answered(asked, _said(answers, asked.question, number))
                told.append(key)
        return told


Answer = Answered | Asks | Refused


def names(tools: Collection[Tool[..., object] | str]) -> frozenset[str]:
    """The names of tools."""
    return frozenset(tool.name if isinstance(tool, Tool) else tool for tool in tools)


def _edited(tool: Tool[..., object] | None, arguments: Mapping[str, object]) -> Passed:
    given = dict(arguments) if tool is None else tool.arguments(dict(arguments))
    told = f"A person changed this call before it ran. It ran with {dict(arguments)}."
    return Passed({}, given, told, (Event("approval.executed", 1, {}),))


def _said(answers: Answers, question: str, number: int) -> object:
    if callable(answers):
        return answers(question)
    if isinstance(answers, Mapping):
        if question not in answers:
            raise Misuse(f"answers={{…}} has none to “{question}”. Give one, or None to decline.")
        return answers[question]
    if number >= len(answers):
        raise Misuse(f"answers=[…] has {len(answers)}; the agent asks “{question}” besides.")
    return answers[number]


def _answered(asked: Ask, said: object) -> Answered | Refused:
    if said is None:
        return Refused("declined", f"A person declined to answer “{asked.question}”.")
    fields = asked.schema.get("properties")
    single = isinstance(fields, dict) and set(fields) == {ANSWER}
    given = {ANSWER: said} if single and not isinstance(said, Mapping) else said
    return Answered(forms.read(asked.schema, given))
