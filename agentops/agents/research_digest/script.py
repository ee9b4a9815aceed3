"""The part of the digest's own model, where no provider has a key."""

from __future__ import annotations

import re

from agentops.agents.research_digest.words import likeness
from agentops.sdk.messages import Role, ToolUse
from agentops.sdk.models import ModelRequest
from agentops.sdk.scripted import Answer


def play(request: ModelRequest) -> Answer:
    """Skim every text at once and choose; later, join the points."""
    asked = next(m.text for m in reversed(request.messages) if m.role is Role.USER)
    question = asked.partition("\n")[0].removeprefix("Question: ")
    listed = re.findall(r"^- (.+)$", asked, re.MULTILINE)
    if not request.tools:
        return ToolUse("answer", "answer", _overview(question, listed))
    skimmed = [m for m in request.messages if m.role is Role.TOOL]
    if not skimmed:
        return [ToolUse(f"skim-{n}", "skim", {"file": file}) for n, file in enumerate(listed, 1)]
    chosen = [
        file
        for file, told in zip(listed, skimmed, strict=False)
        if not told.failed and likeness(question, f"{file} {told.text}")
    ]
    because = f"{len(chosen)} of {len(listed)} texts share words with the question."
    return ToolUse("answer", "answer", {"files": chosen, "because": because})


def _overview(question: str, points: list[str]) -> dict[str, object]:
    """The likeliest points, in the order of the texts, each with its number."""
    best = sorted(points, key=lambda point: -likeness(question, point))[:4]
    said = [
        re.sub(r"^\[(\d+)\] (.+?)\.?$", r"\2 [\1].", point) for point in points if point in best
    ]
    open_questions = [p.partition("] ")[2] for p in points if re.search(r"\bonly\b|\bcannot\b", p)]
    return {
        "summary": " ".join(said) or "The texts say nothing about this.",
        "open_questions": [f"What follows from this: {text}" for text in open_questions[:2]],
    }
