"""What happened to a request, in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from approvals.models import Record


@dataclass(frozen=True, slots=True)
class Told:
    """Something that happened to a request, in a sentence."""

    pk: int
    at: datetime
    sentence: str


_EVENTS = {
    "approval.requested": "Asked", "question.asked": "Asked", "attention.raised": "Noticed",
    "approval.withdrawn": "Word taken back", "approval.acknowledged": "Taken up",
    "approval.given_back": "Given back", "approval.executed": "Let through to run",
    "approval.asked_back": "Asked back", "approval.replied": "Replied",
    "question.answered": "Answered", "question.declined": "Declined",
    "attention.resolved": "Resolved", "approval.edited": "Arguments changed",
    "approval.notified": "Told",
    "approval.refused": "Refused at the call",
}  # fmt: skip
_VERDICTS = {"approve": "Approved", "reject": "Denied"}


def sentence(row: Record) -> str:
    """A record as people read it."""
    said = row.detail if isinstance(row.detail, dict) else {}
    if row.event.endswith(".escalated"):
        return _escalated(said)
    words = row.event.replace(".", " ").replace("_", " ").capitalize()
    if row.event == "approval.voted":
        words = _VERDICTS.get(str(said.get("verdict")), "Voted")
    elif row.event == "approval.decided":
        words = f"Is {said.get('to', 'decided')} now"
    words = _EVENTS.get(row.event, words)
    revision = f", revision {said['revision']}" if said.get("revision") else ""
    instead = f" for {said['for']}" if said.get("for") else ""
    why = f": {said['why']}" if said.get("why") else ""
    if said.get("text"):
        why = f": “{said['text']}”"
    return f"{words} by {row.by}{instead}{revision}{why}"


def _escalated(said: Mapping[str, Any]) -> str:
    """Who was told, who will be, and who was not, with the reason."""
    if said.get("then"):
        return "Nobody decided; its time is over"
    if said.get("late"):
        return "Nobody decided in time; more people are told"
    told = [*said.get("told", []), *(f"{name} after quiet hours" for name in said.get("held", []))]
    missed = [f"{name} ({why})" for name, why in said.get("not_told", {}).items()]
    missed += [f"{name} (nobody now)" for name in said.get("nobody", [])]
    words = f"Told {', '.join(told)}" if told else "Nobody was told"
    return f"{words}; not {', '.join(missed)}" if missed else words
