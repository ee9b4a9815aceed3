"""A policy while somebody works on it: carried by the page itself, stored nowhere.

Every button sends all of it, so nothing is lost by going back, and two tabs are two drafts.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from django.http import HttpRequest, QueryDict

from agentops.accounts.models import Team
from agentops.views.people import ruleforms
from agentops.views.people.ruleforms import RuleForm
from approvals import comparing, policies, reading, rules, wording
from approvals.models import PolicyVersion
from approvals.reading import RuleFault, Spec
from approvals.rules import Policy

NEW: dict[str, Any] = {"id": "", "effect": "ask"}
_LARGEST = 512 * 1024


@dataclass(frozen=True, slots=True)
class Row:
    """A rule of a list as it is shown. ``fault``: why it cannot be read."""

    place: int
    raw: Any
    spec: Spec | None
    fault: str = ""

    @property
    def sentence(self) -> str:
        """What it says."""
        return wording.sentence(self.spec) if self.spec else "This rule cannot be read"

    @property
    def terms(self) -> list[str]:
        """How people are asked."""
        return wording.terms(self.spec) if self.spec else []

    @property
    def family(self) -> str:
        """Its colour."""
        families = {"allow": "green", "ask": "purple", "deny": "crimson"}
        return families[self.spec.effect] if self.spec else "olive"

    @property
    def text(self) -> str:
        """As it is stored."""
        return json.dumps(self.raw, ensure_ascii=False, indent=2)


def rows(raw: object) -> list[Row]:
    """The rules of a version or a draft, one by one; what cannot be read says so."""
    found = raw if isinstance(raw, list) else [raw]
    return [_row(place, rule) for place, rule in enumerate(found, 1)]


def _row(place: int, rule: Any) -> Row:
    try:
        return Row(place, rule, reading.read([rule])[0])
    except RuleFault as fault:
        return Row(
            place, rule, None, f"{fault.field}: {fault.remedy}" if fault.field else fault.remedy
        )


@dataclass(slots=True)
class Draft:
    """What the page carries. ``open``: the rule whose form is open; after the last: a new one."""

    team: Team | None
    based_on: int
    rules: list[Any]
    unmatched: str
    open: int | None = None
    form: RuleForm | None = field(default=None)

    @classmethod
    def of(cls, team: Team | None, like: PolicyVersion | None) -> Draft:
        """A draft that begins with what holds, or with what ``like`` said."""
        now = policies.newest(team)
        begun = like or now
        usual = policies.unruled(team).unmatched
        return cls(
            team,
            now.number if now else 0,
            list(begun.rules) if begun and isinstance(begun.rules, list) else [],
            begun.unmatched if begun else usual,
        )

    @classmethod
    def sent(cls, request: HttpRequest, team: Team | None) -> Draft:
        """The draft that a form carried; what is not readable is as if nothing was there."""
        said = request.POST
        text = said.get("rules", "[]")
        try:
            found = json.loads(text) if len(text) <= _LARGEST else []
        except ValueError:
            found = []
        kept = found if isinstance(found, list) else []
        unmatched = said.get("unmatched", "ask")
        opened = _number(said.get("open", ""))
        draft = cls(
            team,
            _number(said.get("based_on", "")) or 0,
            kept,
            unmatched if unmatched in {"allow", "ask", "deny"} else "ask",
            opened if opened is not None and opened <= len(kept) else None,
        )
        if draft.open is not None:
            draft.form = RuleForm(said)
        return draft

    # -- what buttons do ----------------------------------------------------------------------

    def do(self, said: QueryDict) -> bool:
        """What a button says. False where the open rule has a fault, which comes first."""
        verb, _, number = said.get("do", "").partition(":")
        if verb == "drop":
            self._close()
            return True
        if not self.keep():
            return False
        place = _number(number)
        if verb == "add":
            self.open_rule(len(self.rules))
        elif place is not None and place < len(self.rules):
            self._change(verb, place)
        return True

    def keep(self) -> bool:
        """Take over what the open form says. False where it has a fault."""
        if self.open is None or self.form is None:
            return True
        if not self.form.is_valid():
            return False
        others = [
            str(rule.get("id"))
            for at, rule in enumerate(self.rules)
            if at != self.open and isinstance(rule, dict)
        ]
        rule = {**self.form.rule, "id": ruleforms.unused_id(self.form.rule["id"], others)}
        self.rules[self.open : self.open + 1] = [rule]
        self._close()
        return True

    def open_rule(self, place: int) -> None:
        """Show the form of a rule."""
        begun = self.rules[place] if place < len(self.rules) else NEW
        self.open = place
        self.form = RuleForm(initial=ruleforms.shown(begun if isinstance(begun, dict) else NEW))

    def _close(self) -> None:
        self.open = self.form = None

    def _change(self, verb: str, place: int) -> None:
        rule = self.rules[place]
        if verb == "open":
            self.open_rule(place)
        elif verb == "remove":
            self.rules.pop(place)
        elif verb == "up" and place:
            self.rules[place - 1 : place + 1] = [rule, self.rules[place - 1]]
        elif verb == "down" and place + 1 < len(self.rules):
            self.rules[place : place + 2] = [self.rules[place + 1], rule]
        elif verb in {"watch", "enforced"} and isinstance(rule, dict):
            self.rules[place] = {**rule, "mode": verb}

    # -- what pages show ----------------------------------------------------------------------

    @property
    def rows(self) -> list[Row]:
        """Its rules, as the list shows them."""
        return rows(self.rules)

    @property
    def is_new_open(self) -> bool:
        """Whether the open form is of a rule that is not in the list yet."""
        return self.open is not None and self.open == len(self.rules)

    @property
    def text(self) -> str:
        """Its rules, as the page carries them."""
        return json.dumps(self.rules, ensure_ascii=False)

    def policy(self) -> Policy:
        """The policy it makes. Raises RuleFault."""
        return Policy(rules.parse(self.rules), self.unmatched)

    def wanted(self, note: str) -> policies.Draft:
        """The same for the service that saves it."""
        return policies.Draft(self.team, self.rules, self.unmatched, note, self.based_on)

    def changes(self, policy: Policy) -> list[str]:
        """What it changes against what holds, line by line."""
        return comparing.difference(policies.holding(self.team), policy)

    def widens(self, policy: Policy) -> list[str]:
        """What it lets agents do that they may not do now."""
        return comparing.widens(policies.holding(self.team), policy)


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) < 10 else None
