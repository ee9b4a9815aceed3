"""What a notice says: plain text and HTML from the same facts.

Nothing that a model or a customer wrote goes into mail, no arguments and no reasons: what is asked
about is read behind the link, where it is drawn safely and only for who may see it. The link only
opens a page.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.template.loader import render_to_string
from django.utils import timezone

from agentops.accounts.models import User
from approvals.models import Kind, Request
from runs.zones import zone

_SUBJECTS = {
    "asked": "{what} waits for your {word}",
    "reminded": "{what} still waits for your {word}",
    "escalated": "{what} was not decided in time: your {word} is needed",
    "decided": "{what}: {state}",
    "asked_back": "{what}: you are asked something before it is decided",
    "replied": "{what}: a reply to what you asked",
}
_WORDS = {Kind.APPROVAL: "decision", Kind.QUESTION: "answer", Kind.ATTENTION: "help"}
_LONGEST_NAME = 60


@dataclass(frozen=True, slots=True)
class Message:
    """A notice, whatever carries it. ``event``, ``request`` and ``link`` are for machines."""

    event: str
    request: str
    link: str
    subject: str
    text: str
    html: str


def compose(request: Request, event: str, person: User, zone_name: str = "") -> Message:
    """What this person is told about this request."""
    kind = Kind(request.kind)
    facts = {"what": _what(request), "word": _WORDS[kind], "state": request.state}
    subject = f"[{settings.AGENTOPS_INSTANCE}] {_SUBJECTS[event].format(**facts)}"
    address = link(request)
    with timezone.override(zone(zone_name)):
        context = {
            **facts, "request": request, "event": event, "person": person, "link": address,
            "base": base(), "zone": zone(zone_name).key, "instance": settings.AGENTOPS_INSTANCE,
            "sentence": _SUBJECTS[event].format(**facts),
        }  # fmt: skip
        text = render_to_string("approvals/mail/notice.txt", context)
        html = render_to_string("approvals/mail/notice.html", context)
    return Message(event, request.public_id, address, subject, text, html)


def base() -> str:
    """Where people reach the console."""
    return str(settings.AGENTOPS_PUBLIC_URL) or "http://localhost:8000"


def link(request: Request) -> str:
    """The page of a request; opening it decides nothing."""
    return f"{base()}/inbox/{request.public_id}/"


def _what(request: Request) -> str:
    """The thing, by names that authors and operators gave."""
    agent = _short(request.agent)
    if request.kind == Kind.APPROVAL:
        return f"{_short(request.name)} of {agent}"
    return f"a question of {agent}" if request.kind == Kind.QUESTION else f"a run of {agent}"


def _short(name: str) -> str:
    plain = " ".join(name.split())
    return plain if len(plain) <= _LONGEST_NAME else f"{plain[:_LONGEST_NAME]}…"


def test() -> Message:
    """What somebody sends themselves to see whether mail arrives."""
    here = f"{base()}/settings/notifications/"
    subject = f"[{settings.AGENTOPS_INSTANCE}] Mail arrives"
    context = {"link": here, "instance": settings.AGENTOPS_INSTANCE}
    text = render_to_string("approvals/mail/test.txt", context)
    return Message(
        "test", "", here, subject, text, render_to_string("approvals/mail/test.html", context)
    )
