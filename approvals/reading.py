"""The words of a rule, read one by one. Whatever is not understood is refused with its remedy."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Final, TypeVar

from approvals.expressions import Expression, Unusable

MOST_RULES: Final = 200
MOST_NAMES: Final = 100
USUAL_EXECUTE_MINUTES: Final = 15
EFFECTS: Final = ("read", "idempotent", "transactional", "once")
ROLES: Final = ("approver", "operator", "administrator")
T = TypeVar("T")
_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,59}\Z")


class RuleFault(ValueError):
    """A rule cannot be read. ``path`` is the place, such as ``/rules/2/when``."""

    def __init__(self, rule: str, field: str, remedy: str, path: str = "") -> None:
        super().__init__(": ".join(part for part in (rule, field, remedy) if part))
        self.rule, self.field, self.remedy = rule, field, remedy
        self.path = path or "/rules"


@dataclass(frozen=True, slots=True)
class Who:
    """So many of a role or of a team have to agree."""

    role: str = ""
    team: str = ""
    count: int = 1

    def as_json(self) -> dict[str, object]:
        """As a rule writes it."""
        named = {"role": self.role} if self.role else {"team": self.team}
        return {**named, "count": self.count}


@dataclass(frozen=True, slots=True)
class Separation:
    """Who must not decide: whom the run works for, who started it, who edited the call."""

    owner: bool = True
    starter: bool = True
    editor: bool = True

    @classmethod
    def strictest(cls, several: Sequence[Separation]) -> Separation:
        """What satisfies all of them."""
        return cls(
            any(one.owner for one in several),
            any(one.starter for one in several),
            any(one.editor for one in several),
        )

    def as_json(self) -> dict[str, object]:
        """As a rule writes it."""
        return {"owner": self.owner, "starter": self.starter, "editor": self.editor}


@dataclass(frozen=True, slots=True)
class Spec:
    """What a rule says, every word of it checked. Empty lists: whatever it is."""

    id: str
    effect: str
    title: str = ""
    mode: str = "enforced"
    always: bool = False
    agents: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    effects: tuple[str, ...] = ()
    people: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()
    when: str = ""
    risk: str = "medium"
    factors: tuple[Who, ...] = (Who(role="approver"),)
    decide_minutes: int | None = None
    on_expiry: str = "deny"
    execute_minutes: int = USUAL_EXECUTE_MINUTES
    undo_seconds: int = 0
    chain: str = ""
    separation: Separation = field(default_factory=Separation)
    grants: bool = True
    feedback: str = ""

    def as_json(self) -> dict[str, object]:
        """All of it, also what is usual; :func:`read` reads it back."""
        return {one.name: _plain(getattr(self, one.name)) for one in fields(self)}

    def brief(self) -> dict[str, object]:
        """The same without what is usual, as a person would write it."""
        usual = Spec(id=self.id, effect=self.effect).as_json()
        kept = {"id", "effect"}
        said = self.as_json().items()
        return {name: value for name, value in said if name in kept or value != usual[name]}


def read(raw: object) -> tuple[Spec, ...]:
    """The rules of a policy. Raises RuleFault for the first that is not understood."""
    if not isinstance(raw, list):
        raise RuleFault("", "rules", "write a list of rules, […].")
    if len(raw) > MOST_RULES:
        raise RuleFault("", "rules", f"a policy has at most {MOST_RULES} rules; join some.")
    seen: set[str] = set()
    specs = []
    for at, rule in enumerate(raw):
        spec = _Reader(rule, at).spec()
        if spec.id in seen:
            remedy = "another rule has this id already; choose another."
            raise RuleFault(f"rule {at + 1} “{spec.id}”", "id", remedy, f"/rules/{at}/id")
        seen.add(spec.id)
        specs.append(spec)
    return tuple(specs)


class _Reader:
    """Reads one rule, word by word."""

    def __init__(self, raw: object, at: int) -> None:
        self._at, self._name = at, f"rule {at + 1}"
        if not isinstance(raw, dict):
            raise self._fault("", "write an object, {…}.")
        self._raw: dict[str, object] = raw
        named = raw.get("id")
        if isinstance(named, str) and named:
            self._name = f"rule {at + 1} “{named[:60]}”"
        unknown = [str(key) for key in raw if key not in _WORDS]
        if unknown:
            raise self._fault(unknown[0], f"no rule has this. There are: {', '.join(_WORDS)}.")

    def spec(self) -> Spec:
        """The rule. Raises RuleFault."""
        words = {name: self._read(name, reader) for name, reader in _WORDS.items()}
        given = {name: value for name, value in words.items() if value is not None}
        for name, remedy in (("id", "name the rule"), ("effect", "say allow, ask or deny")):
            if name not in given:
                raise self._fault(name, f"it is missing; {remedy}.")
        spec = Spec(**given)  # type: ignore[arg-type]  # each reader returns its field's type
        self._check(spec)
        return spec

    def _read(self, name: str, reader: Callable[[object], object]) -> object:
        value = self._raw.get(name)
        if value is None:
            return None
        try:
            return reader(value)
        except ValueError as error:
            raise self._fault(name, str(error)) from None

    def _check(self, spec: Spec) -> None:
        """What no word says by itself."""
        if spec.always and spec.effect != "ask":
            raise self._fault("always", "only a rule that asks can ask always; take it out.")
        if spec.on_expiry == "approve" and spec.risk != "low":
            raise self._fault("on_expiry", "“approve” is for rules whose risk is “low” only.")
        if spec.on_expiry in {"escalate", "approve"} and spec.decide_minutes is None:
            raise self._fault("decide_minutes", "say in how many minutes people decide.")
        if not spec.factors:
            raise self._fault("factors", "somebody has to agree; leave it out for one approver.")

    def _fault(self, field: str, remedy: str) -> RuleFault:
        path = f"/rules/{self._at}" + (f"/{field}" if field else "")
        return RuleFault(self._name, field, remedy, path)


def _text(longest: int) -> Callable[[object], str]:
    def reader(value: object) -> str:
        if not isinstance(value, str) or len(value) > longest or not value.isprintable():
            raise ValueError(f"write text of at most {longest} characters.")
        return value.strip()

    return reader


def _one_of(*words: str) -> Callable[[object], str]:
    def reader(value: object) -> str:
        if value not in words:
            raise ValueError(f"it is one of: {', '.join(words)}.")
        return str(value)

    return reader


def _names(*known: str) -> Callable[[object], tuple[str, ...]]:
    """A list of names, with * for any letters; of ``known`` ones where it says which."""

    def reader(value: object) -> tuple[str, ...]:
        if not isinstance(value, list) or len(value) > MOST_NAMES:
            raise ValueError(f"write a list of at most {MOST_NAMES} names.")
        for name in value:
            if not isinstance(name, str) or not 0 < len(name) <= 200 or not name.isprintable():
                raise ValueError("each name is text, in quotes.")
            if known and name not in known:
                raise ValueError(f"“{name}” is none of: {', '.join(known)}.")
            if "[" in name or "?" in name:
                raise ValueError(f"“{name}”: only * stands for other letters.")
        return tuple(value)

    return reader


def _number(lowest: int, highest: int) -> Callable[[object], int]:
    def reader(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError("write a whole number.")
        if not lowest <= value <= highest:
            raise ValueError(f"it is from {lowest} to {highest:,}.")
        return value

    return reader


def _yes(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("say true or false.")
    return value


def _id(value: object) -> str:
    if not isinstance(value, str) or not _ID.match(value):
        raise ValueError("write up to 60 small letters, digits, dots, dashes or underscores.")
    return value


def _when(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("write a condition, in quotes.")
    if not value.strip():
        return ""
    try:
        return Expression(value.strip()).text
    except Unusable as error:
        raise ValueError(str(error)) from None


def _factors(value: object) -> tuple[Who, ...]:
    if not isinstance(value, list) or len(value) > 5:
        raise ValueError('write a list such as [{"role": "approver", "count": 1}], five at most.')
    found = tuple(map(_who, value))
    if len({(who.role, who.team) for who in found}) < len(found):
        raise ValueError("a role or team stands there twice; write it once, with its count.")
    return found


def _who(value: object) -> Who:
    if not isinstance(value, dict) or not set(value) <= {"role", "team", "count"}:
        raise ValueError('each is {"role": …} or {"team": …}, with a "count".')
    if ("role" in value) == ("team" in value):
        raise ValueError("each names either a role or a team.")
    role = _one_of(*ROLES)(value["role"]) if "role" in value else ""
    team = _text(80)(value["team"]) if "team" in value else ""
    if not role and not team:
        raise ValueError("name the team.")
    return Who(role, team, _number(1, 10)(value.get("count", 1)))


def _separation(value: object) -> Separation:
    if not isinstance(value, dict) or not set(value) <= {"owner", "starter", "editor"}:
        raise ValueError("it says true or false of owner, starter and editor.")
    return Separation(**{name: _yes(said) for name, said in value.items()})


def _plain(value: object) -> object:
    if isinstance(value, (Who, Separation)):
        return value.as_json()
    return [_plain(part) for part in value] if isinstance(value, tuple) else value


_WORDS: Mapping[str, Callable[[object], object]] = {
    "id": _id,
    "title": _text(120),
    "effect": _one_of("allow", "ask", "deny"),
    "mode": _one_of("enforced", "watch"),
    "always": _yes,
    "agents": _names(),
    "tools": _names(),
    "effects": _names(*EFFECTS),
    "people": _names(),
    "teams": _names(),
    "when": _when,
    "risk": _one_of("low", "medium", "high"),
    "factors": _factors,
    "decide_minutes": _number(1, 60 * 24 * 90),
    "on_expiry": _one_of("deny", "escalate", "wait", "approve"),
    "execute_minutes": _number(1, 60 * 24),
    "undo_seconds": _number(0, 30),
    "chain": _text(80),
    "separation": _separation,
    "grants": _yes,
    "feedback": _text(500),
}
