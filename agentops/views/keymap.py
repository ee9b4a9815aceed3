"""Every key of the console, what it does, and how people change or switch off single keys.

The table is what ``?`` shows. A choice is kept in a cookie: it belongs to a keyboard, not a person.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from runs.views.signing import signed_in

COOKIE = "keys"
YEAR_SECONDS = 365 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Key:
    """A key or a sequence (``g r``), and what it does.

    ``again``: it means something else above, where it is moved for both.
    """

    keys: str
    does: str
    again: bool = False

    @property
    def is_single(self) -> bool:
        """Whether it is one character, which people may move elsewhere."""
        return len(self.keys) == 1

    @property
    def field(self) -> str:
        """Its name in a form, where some characters would be awkward."""
        return f"key-{ord(self.keys):x}"


@dataclass(frozen=True, slots=True)
class Section:
    """The keys of one kind of page."""

    title: str
    keys: tuple[Key, ...]


SECTIONS = (
    Section("Everywhere", (
        Key("Ctrl K", "Find: a place, an agent, a run, a command"),
        Key("/", "Filter"),
        Key("?", "Keys"),
        Key("[", "Fold or unfold the rail"),
        Key("u", "Undo"),
        Key("y", "Copy the id of what is shown"),
        Key("Y", "Copy the link of what is shown"),
        Key("Esc", "Close what is on top, leave a field"),
    )),
    Section("Go to", (
        Key("g o", "Overview"), Key("g i", "Inbox"), Key("g r", "Runs"),
        Key("g v", "Conversations"), Key("g m", "Memory"), Key("g a", "Agents"),
        Key("g s", "Settings"),
        Key("g y", "System"),
    )),
    Section("Lists", (
        Key("j", "Next row"),
        Key("k", "Row before"),
        Key("Enter", "Open the row"),
        Key("o", "Open the row"),
        Key("Space", "Peek at the row"),
        Key("x", "Select the row"),
        Key("X", "Select the rows from the last selected to this"),
        Key("* a", "Select all rows of the page"),
        Key("* n", "Select none"),
        Key("f", "Filter"),
        Key("v", "Views"),
        Key("1", "First view; 2 to 9 the others"),
        Key(".", "Show new rows"),
        Key("n", "New run"),
        Key("<", "Page before"),
        Key(">", "Next page"),
    )),
    Section("Inbox", (
        Key("a", "Approve: goes to the button, or opens what asks once more"),
        Key("d", "Deny, with a reason for the agent"),
        Key("e", "Edit the arguments, then approve", again=True),
        Key("b", "Answer a question; of an action, ask back", again=True),
        Key("h", "Snooze"), Key("m", "I am looking at it", again=True),
        Key("w", "Evidence: the steps before it"), Key("z", "Open the next part that is cut"),
        Key("r", "Open its run"),
    )),
    Section("Run", (
        Key("t", "Timeline"), Key("c", "Conversation"), Key("l", "Journal"), Key("e", "Related"),
        Key("f", "To the next failure", again=True), Key("b", "To the failure before"),
        Key("i", "To the longest idle stretch"),
        Key("+", "Nearer"), Key("-", "Farther"), Key("=", "The whole run"),
        Key(",", "Earlier"), Key(";", "Later"),
        Key("^", "Back to the list"),
        Key("p", "Pause run, or let it go on"), Key("R", "Retry"), Key("F", "Fork"),
        Key("C", "Cancel run"),
    )),
    Section("Conversation", (
        Key("m", "Write a message"),
    )),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Keymap:
    """What somebody chose: ``moved`` maps a key of the table to the key they press for it."""

    off: bool = False
    moved: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, cookie: str) -> Keymap:
        """What a cookie says; of what it cannot mean, nothing."""
        pairs = [(key, own) for key, own in parse_qsl(cookie) if key in _single() and len(own) == 1]
        owns = [own for _, own in pairs]
        if len(set(owns)) < len(owns):
            pairs = []
        return cls(off=cookie.startswith("off"), moved=dict(pairs))

    def write(self) -> str:
        """The cookie for this choice."""
        return urlencode([*([("off", "1")] if self.off else []), *self.moved.items()])

    @property
    def for_script(self) -> str:
        """Which key means which, as the page's script reads it; nothing for the table's own."""
        if self.off:
            return "off"
        taken = dict.fromkeys(self.moved, "")
        means = taken | {own: key for key, own in self.moved.items()}
        return json.dumps(means) if means else ""

    def shown(self, key: Key) -> str:
        """The key somebody presses for ``key``."""
        return self.moved.get(key.keys, key.keys)


def _single() -> dict[str, Key]:
    return {key.keys: key for section in SECTIONS for key in section.keys
            if key.is_single and not key.again}  # fmt: skip


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def keys(request: HttpRequest) -> HttpResponse:
    """The keys; as a page they can be changed, as a region they are only shown."""
    chosen = Keymap.read(request.COOKIES.get(COOKIE, ""))
    problem = ""
    if request.method == "POST":
        if "reset" in request.POST:
            return _kept(Keymap())
        chosen, problem = _read(request.POST)
        if not problem:
            return _kept(chosen)
    sections = [
        (section.title, [(key, chosen.shown(key)) for key in section.keys]) for section in SECTIONS
    ]
    context = {"sections": sections, "chosen": chosen, "problem": problem}
    template = "settings/_keys.html" if request.headers.get("HX-Request") else "settings/keys.html"
    return render(request, template, context, status=422 if problem else 200)


def _read(posted: Mapping[str, str]) -> tuple[Keymap, str]:
    """What was typed, and what is wrong with it."""
    typed = {key: posted.get(item.field, key).strip() or key for key, item in _single().items()}
    moved = {key: own for key, own in typed.items() if own != key}
    chosen = Keymap(off=posted.get("off") == "on", moved=moved)
    for key, own in moved.items():
        if len(own) > 1:
            return chosen, f"“{own}” is more than one character. A key is one."
        others = [other for other, used in typed.items() if used == own and other != key]
        if others:
            both = f"“{_single()[key].does}” and “{_single()[others[0]].does}”"
            return chosen, f"“{own}” would mean both {both}. Choose another key for one of them."
    return chosen, ""


def _kept(chosen: Keymap) -> HttpResponse:
    answer = redirect("keys")
    if chosen.off or chosen.moved:
        answer.set_cookie(COOKIE, chosen.write(), max_age=YEAR_SECONDS, samesite="Lax")
    else:
        answer.delete_cookie(COOKIE, samesite="Lax")
    return answer
