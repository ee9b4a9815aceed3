"""The form of one rule, read as a sentence; what it says is checked where all rules are read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from django import forms

from approvals import reading, wording
from approvals.reading import RuleFault, Spec

_EFFECTS = [("ask", "Ask before"), ("allow", "Let"), ("deny", "Never let")]
_MODES = [("enforced", "it counts"), ("watch", "watch only: it is recorded, nothing more")]
_EXPIRY = [
    ("deny", "it must not happen"),
    ("escalate", "more people are asked"),
    ("wait", "it goes on waiting"),
    ("approve", "it may happen (low risk only)"),
]
_FACTOR = re.compile(r"(?:(\d{1,2})\s+)?(of\s+)?(.+)", re.IGNORECASE)
_NAMES = ("agents", "tools", "people", "teams")
_CODE = {"class": "mono", "rows": 2, "spellcheck": "false", "autocomplete": "off"}


def _listed(label: str, anything: str, **attrs: str) -> forms.CharField:
    shown = {"placeholder": anything, "autocomplete": "off", **attrs}
    return forms.CharField(label=label, required=False, widget=forms.TextInput(shown))


class RuleForm(forms.Form):
    """One rule. Empty names: whatever it is."""

    prefix = "rule"
    # The sentence, in its order.
    effect = forms.ChoiceField(choices=_EFFECTS)
    factors = forms.CharField(
        label="Who is asked", required=False, help_text="Such as “2 approvers, 1 of finance”."
    )
    agents = _listed("Agents", "any agent", list="known-agents")
    tools = _listed("Tools", "any tool", list="known-tools")
    people = _listed("For people", "anybody")
    teams = _listed("In runs of teams", "any team or none")
    effects = forms.MultipleChoiceField(
        label="Only tools that",
        choices=[
            (name, words.removeprefix("only ")) for name, words in wording.EFFECT_WORDS.items()
        ],
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )
    when = forms.CharField(
        label="When",
        required=False,
        strip=True,
        widget=forms.Textarea(_CODE),
        help_text="A condition on what is given to the tool: double(arguments.amount) > 200.0",
    )
    mode = forms.ChoiceField(label="Whether it counts", choices=_MODES)
    # About itself.
    title = forms.CharField(required=False, max_length=120, help_text="What people call it.")
    id = forms.CharField(label="Name in records", required=False, max_length=60)
    # How people are asked.
    risk = forms.ChoiceField(choices=[(word, word) for word in ("low", "medium", "high")])
    decide_minutes = forms.IntegerField(
        label="Minutes to decide", required=False, min_value=1, help_text="Empty: no end."
    )
    on_expiry = forms.ChoiceField(label="After that", choices=_EXPIRY)
    execute_minutes = forms.IntegerField(label="Minutes until it begins", required=False)
    undo_seconds = forms.IntegerField(label="Seconds to take it back", required=False)
    chain = forms.CharField(label="Escalation chain", required=False, max_length=80)
    always = forms.BooleanField(label="Always: no standing grant covers it", required=False)
    grants = forms.BooleanField(label="Standing grants may be given", required=False)
    owner = forms.BooleanField(label="whom it is for", required=False)
    starter = forms.BooleanField(label="who started it", required=False)
    editor = forms.BooleanField(label="who edited it", required=False)
    feedback = forms.CharField(
        label="What the model is told if it must not", required=False, max_length=500
    )

    SENTENCE = ("effect", "factors", "agents", "tools", "people", "teams")
    ASKING = (
        "risk", "decide_minutes", "on_expiry", "execute_minutes", "undo_seconds", "chain",
    )  # fmt: skip
    GRANTED = ("always", "grants")
    SEPARATED = ("owner", "starter", "editor")

    def sentence(self) -> list[forms.BoundField]:
        """The fields that make the sentence."""
        return [self[name] for name in self.SENTENCE]

    def asking(self) -> list[forms.BoundField]:
        """The fields about how people are asked."""
        return [self[name] for name in self.ASKING]

    def granted(self) -> list[forms.BoundField]:
        """What standing grants have to do with it."""
        return [self[name] for name in self.GRANTED]

    def separated(self) -> list[forms.BoundField]:
        """Who must not decide."""
        return [self[name] for name in self.SEPARATED]

    @property
    def asks_strangely(self) -> bool:
        """Whether a fault lies among what is folded away."""
        folded = {*self.ASKING, *self.GRANTED, *self.SEPARATED, "feedback"}
        return not folded.isdisjoint(self.errors)

    def clean(self) -> dict[str, Any]:
        """What was typed, as a rule; its faults stand beside the fields they are in."""
        said = super().clean() or {}
        self.rule: dict[str, Any] = {}
        if not said.get("title") and not said.get("id"):
            self.add_error("title", "Name the rule.")
            return said
        try:
            spec = self._read(said)
        except RuleFault as fault:
            field = fault.field if fault.field in self.fields else None
            self.add_error(field, fault.remedy if field else str(fault))
        except ValueError as error:
            self.add_error("factors", str(error))
        else:
            self.rule = spec.brief()
        return said

    def _read(self, said: Mapping[str, Any]) -> Spec:
        raw: dict[str, Any] = {
            "id": said.get("id") or _id_of(said.get("title", "")),
            "effect": said.get("effect"),
            "mode": said.get("mode"),
            "title": said.get("title", ""),
            "effects": said.get("effects", []),
            "when": said.get("when", ""),
            "feedback": said.get("feedback", ""),
            **{name: _names(said.get(name, "")) for name in _NAMES},
        }
        if raw["effect"] == "ask":
            raw |= self._asked(said)
        return reading.read([raw])[0]

    def _asked(self, said: Mapping[str, Any]) -> dict[str, Any]:
        named = ("risk", "on_expiry", "chain", "always", "grants")
        numbers = ("decide_minutes", "execute_minutes", "undo_seconds")
        return {
            **{name: said[name] for name in named if name in said},
            **{name: said[name] for name in numbers if said.get(name) is not None},
            "factors": _factors(said.get("factors", "")),
            "separation": {name: bool(said.get(name)) for name in self.SEPARATED},
        }


def shown(rule: Mapping[str, Any]) -> dict[str, Any]:
    """What the form begins with; what cannot be read is left for them to say."""
    try:
        (spec,) = reading.read([rule])
    except RuleFault:
        spec = Spec(id="", effect="ask")
        known = {name: rule[name] for name in ("id", "effect", "title", "when") if name in rule}
        return {**_fields(spec), **{name: str(value) for name, value in known.items()}}
    return _fields(spec)


def _fields(spec: Spec) -> dict[str, Any]:
    said = spec.as_json()
    names = {name: ", ".join(getattr(spec, name)) for name in _NAMES}
    asked = ", ".join(
        f"{who.count} of {who.team}" if who.team else f"{who.count} {who.role}"
        for who in spec.factors
    )
    separation = spec.separation.as_json()
    return {**said, **names, **separation, "factors": asked}


def _names(text: str) -> list[str]:
    return [name for part in text.split(",") if (name := part.strip())]


def _factors(text: str) -> list[dict[str, Any]]:
    """“2 approvers, 1 of finance” as a rule writes it. Raises ValueError."""
    return [_factor(part) for part in _names(text)] or [{"role": "approver", "count": 1}]


def _factor(part: str) -> dict[str, Any]:
    found = _FACTOR.fullmatch(part)
    assert found is not None  # noqa: S101 - it matches whatever is not empty
    count, of_team, name = int(found[1] or 1), found[2], found[3].strip()
    if of_team:
        return {"team": name, "count": count}
    role = name.lower().removesuffix("s")
    if role not in reading.ROLES:
        raise ValueError(f"“{part}”: write “1 approver” or “1 of” and the name of a team.")
    return {"role": role, "count": count}


def _id_of(title: str) -> str:
    """A name in records, made of what people call it."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:60]


def unused_id(wanted: str, taken: Iterable[str]) -> str:
    """``wanted``, or with a number behind it where another rule has it."""
    known = set(taken)
    tries = [wanted, *(f"{wanted[:56]}-{n}" for n in range(2, reading.MOST_RULES + 2))]
    return next(name for name in tries if name not in known)
