"""Forms of chains and rotas: what is kept as JSON, as fields that people fill in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from django import forms

from approvals import chains
from approvals.chains import InvalidChain, Step

_THEN = [
    ("", "it goes on waiting until its own deadline"),
    ("reject", "it is rejected"),
    ("approve", "it may happen, if its risk is low"),
]
_DAYS = list(enumerate(("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")))
_KINDS = ("person", "team", "role", "rota")
# Rows beyond those that are filled in.
MORE_STEPS = 2


class ChainForm(forms.Form):
    """What a chain is called."""

    name = forms.CharField(max_length=80)
    is_usual = forms.BooleanField(required=False, label="The usual chain, where a rule names none")


class EndForm(forms.Form):
    """What comes after the steps."""

    again = forms.IntegerField(
        label="Then begin anew, times", min_value=0, max_value=chains.MOST_AGAIN, initial=0
    )
    then = forms.ChoiceField(label="If nobody decided", choices=_THEN, required=False)
    note = forms.CharField(
        label="Why it changes", max_length=200, required=False, help_text="Kept with the version."
    )


class StepForm(forms.Form):
    """One step: who is told, and how long is waited."""

    tell = forms.CharField(
        label="Tell",
        max_length=500,
        required=False,
        help_text="deciders, person ada, team finance, role operator, rota on-call; with commas.",
    )
    wait_minutes = forms.IntegerField(
        label="Wait, minutes", min_value=1, max_value=chains.MOST_MINUTES, initial=30
    )
    times = forms.IntegerField(min_value=1, max_value=chains.MOST_TIMES, initial=1)
    urgent = forms.BooleanField(required=False, label="Urgent: quiet hours do not count")

    def clean_tell(self) -> list[dict[str, object]]:
        """The receivers by their words."""
        said = (word.strip() for word in str(self.cleaned_data["tell"]).split(","))
        return [_receiver(word) for word in said if word]


Rows: TypeAlias = "forms.BaseFormSet[StepForm]"
Steps = forms.formset_factory(StepForm, extra=MORE_STEPS, max_num=chains.MOST_STEPS)


def _receiver(said: str) -> dict[str, object]:
    if said.lower() == "deciders":
        return {"deciders": True}
    kind, _, name = said.partition(" ")
    if kind.lower() not in _KINDS or not name.strip():
        raise forms.ValidationError(
            f"“{said}” is no receiver. Write deciders, or {', '.join(_KINDS)} and a name."
        )
    return {kind.lower(): name.strip()}


def steps_of(end: EndForm, rows: Iterable[Mapping[str, Any]]) -> list[Step]:
    """The steps that were filled in, as a chain keeps them."""
    found: list[Step] = [
        {"tell": row["tell"], "wait_minutes": row["wait_minutes"], "times": row["times"]}
        | ({"urgent": True} if row["urgent"] else {})
        for row in rows
        if row.get("tell")
    ]
    if end.cleaned_data["again"]:
        found.append({"again": end.cleaned_data["again"]})
    if end.cleaned_data["then"]:
        found.append({"then": end.cleaned_data["then"]})
    return found


def filled(steps: Sequence[Step]) -> tuple[dict[str, object], list[dict[str, object]]]:
    """The same the other way: what the form and its rows begin with."""
    head: dict[str, object] = {"again": 0, "then": ""}
    rows: list[dict[str, object]] = []
    for step in steps:
        if "tell" in step:
            rows.append({**step, "tell": ", ".join(_words(step))})
        else:
            head |= step
    return head, rows


def _words(step: Step) -> Iterable[str]:
    try:
        (telling, *_) = chains.plan([step])
    except InvalidChain:
        return []
    return [
        "deciders" if target.kind == "deciders" else f"{target.kind} {target.name}"
        for target in telling.tell
    ]


class RotaForm(forms.Form):
    """Who takes turns, and when somebody is there."""

    name = forms.CharField(max_length=80)
    turns = forms.CharField(
        max_length=2000,
        help_text="Names to sign in with, in the order of their turns, with commas.",
    )
    each_days = forms.IntegerField(label="Days each", min_value=1, max_value=366, initial=7)
    begins = forms.CharField(
        label="First turn begins", max_length=20, initial="2026-01-05T09:00",
        help_text="Turns change at this time of the day.",
    )  # fmt: skip
    zone = forms.CharField(label="Time zone", max_length=64, initial="UTC")
    days = forms.TypedMultipleChoiceField(
        label="On these days", choices=_DAYS, coerce=int, required=False,
        initial=[day for day, _ in _DAYS], widget=forms.CheckboxSelectMultiple,
    )  # fmt: skip
    hours_from = forms.TimeField(
        label="From", required=False, widget=forms.TimeInput({"type": "time"}, format="%H:%M")
    )
    hours_to = forms.TimeField(
        label="Until", required=False,
        widget=forms.TimeInput({"type": "time"}, format="%H:%M"),
        help_text="Both empty: all day. Outside these hours nobody is told until they begin.",
    )  # fmt: skip
    holidays = forms.CharField(
        required=False, max_length=4000, help_text="Dates such as 2026-12-25, with commas."
    )
    instead = forms.CharField(
        label="Somebody else takes turns", required=False, max_length=4000,
        widget=forms.Textarea({"rows": 3}),
        help_text="One per line: name, from, to; such as eve 2026-07-01T00:00 2026-07-08T00:00.",
    )  # fmt: skip

    def plan(self) -> dict[str, object]:
        """The plan as a rota keeps it; what is wrong with it, reading it says."""
        said = self.cleaned_data
        found: dict[str, object] = {
            "zone": said["zone"], "turns": _listed(said["turns"]), "each_days": said["each_days"],
            "from": said["begins"], "holidays": _listed(said["holidays"]),
            "instead": [_instead(line) for line in said["instead"].splitlines() if line.strip()],
        }  # fmt: skip
        begins, ends = said["hours_from"], said["hours_to"]
        if begins or ends or len(said["days"]) < len(_DAYS):
            times = {"from": _clock(begins), "to": _clock(ends)}
            found["hours"] = [{"days": said["days"], **times}]
        return found


def _clock(said: Any) -> str:
    return f"{said:%H:%M}" if said else "00:00"


def _listed(said: str) -> list[str]:
    return [word.strip() for word in said.split(",") if word.strip()]


def _instead(line: str) -> dict[str, object]:
    return dict(zip(("person", "from", "to"), line.split(), strict=False))


def rota_filled(name: str, plan: Mapping[str, Any]) -> dict[str, object]:
    """What the form of a rota begins with."""
    hours = (plan.get("hours") or [{}])[0]
    swaps = (f"{one['person']} {one['from']} {one['to']}" for one in plan.get("instead") or [])
    return {
        "name": name,
        "turns": ", ".join(plan.get("turns", [])),
        "each_days": plan.get("each_days", 7),
        "begins": plan.get("from", ""),
        "zone": plan.get("zone", "UTC"),
        "days": hours.get("days", [day for day, _ in _DAYS]),
        "hours_from": hours.get("from"),
        "hours_to": hours.get("to"),
        "holidays": ", ".join(plan.get("holidays") or []),
        "instead": "\n".join(swaps),
    }
