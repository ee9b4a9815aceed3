"""Rules: what a policy says, read from JSON, and what they come to for one call.

Pure: no database, no clock. A rule that was saved is read again by later releases and by hands that
edit rows; what cannot be read then counts as the stricter of what it may have meant.

# Note [Precedence]
All enforced rules of all layers that speak of a call are heard: deny comes before always-ask, that
before a standing grant, that before ask, and ask before allow. The order of rules only tells which
one is named. So nothing that is added to a policy, except an allow, can make it weaker. Where
several ask, one request is made that satisfies them all. A layer without a word on a call says what
it says of all such calls, whatever another layer allows: a team can only be stricter.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from approvals.expressions import Document, Expression, Unclear
from approvals.reading import Separation, Spec, Who, read

__all__ = [
    "Facts", "Policy", "Rule", "Ruling", "Separation", "Spec", "Watched", "Who", "decide",
    "parse", "recall",
]  # fmt: skip

ALLOW, ASK, DENY = "allow", "ask", "deny"
_STRICTNESS = {ALLOW: 0, ASK: 1, DENY: 2}
_RISKS = ("low", "medium", "high")


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a call when it is judged. ``declared`` is the tool's own ``approval``."""

    agent: str
    tool: str
    effect: str
    arguments: Mapping[str, object]
    agent_version: str = ""
    declared: str = "policy"
    person: str = ""
    team: str = ""

    def document(self) -> Document:
        """The same, as conditions are asked of it."""
        return Document(
            self.arguments,
            agent=self.agent,
            version=self.agent_version,
            tool=self.tool,
            effect=self.effect,
            person=self.person,
            team=self.team,
        )


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule ready to be asked. ``fault``: it could not be read, and speaks of every call."""

    spec: Spec
    condition: Expression | None = None
    fault: str = ""

    def speaks_of(self, facts: Facts) -> bool:
        """Whether agent, tool, effect, person and team are those it names."""
        spec = self.spec
        named = (
            (spec.agents, facts.agent),
            (spec.tools, facts.tool),
            (spec.effects, facts.effect),
            (spec.people, facts.person),
            (spec.teams, facts.team),
        )
        return all(_among(value, patterns) for patterns, value in named)

    def unclear(self) -> str:
        """What it says where its condition gives no answer: the stricter."""
        return DENY if self.spec.effect == DENY else ASK


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of one layer, in order. ``version`` is the row they come from, if there is one."""

    rules: tuple[Rule, ...] = ()
    unmatched: str = ASK
    version: int | None = None


@dataclass(frozen=True, slots=True)
class Watched:
    """What a rule that only watches would have said. ``fault``: why it gave no clear answer."""

    rule: str
    title: str
    effect: str
    version: int | None
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Ruling:
    """What the rules come to.

    ``rule`` names itself and says how people are asked; None where nothing had to be said.
    ``always``: no standing grant stands in for a person. ``fault``: why a rule was unclear.
    """

    effect: str
    rule: Spec | None = None
    version: int | None = None
    always: bool = False
    fault: str = ""
    watched: tuple[Watched, ...] = ()


@dataclass(frozen=True, slots=True)
class _Said:
    """One rule that speaks of the call, and what it says."""

    effect: str
    spec: Spec
    version: int | None
    fault: str = ""

    @property
    def rank(self) -> int:
        return 2 * _STRICTNESS[self.effect] + (self.effect == ASK and self.spec.always)


_UNMATCHED = {
    effect: Spec(id="", title="No rule speaks of it", effect=effect) for effect in (ASK, DENY)
}
DECLARED = Spec(id="", title="The tool always asks", effect=ASK, always=True)


def parse(raw: object) -> tuple[Rule, ...]:
    """The rules somebody wants to save. Raises RuleFault with rule, field and remedy."""
    return tuple(Rule(spec, Expression(spec.when) if spec.when else None) for spec in read(raw))


def recall(raw: object, *, unmatched: str = ASK, version: int | None = None) -> Policy:
    """The policy a stored version holds, whatever became of it. What cannot be read is strict."""
    rows = raw if isinstance(raw, list) else [raw]
    return Policy(tuple(map(_recalled, rows)), _known(unmatched), version)


def decide(policies: Sequence[Policy], facts: Facts) -> Ruling:
    """What all policies come to for this call; see Note [Precedence]. Without any: ask."""
    document = facts.document()
    heard, watched = [], []
    for policy in policies or [Policy()]:
        spoken = [said for rule in policy.rules if (said := _ask(rule, facts, document, policy))]
        watched += [_watched(said) for said in spoken if said.spec.mode == "watch"]
        enforced = [said for said in spoken if said.spec.mode != "watch"]
        heard += enforced or _unmatched(policy, facts)
    if facts.declared == "always":
        heard.append(_Said(ASK, DECLARED, None))
    if not heard:
        return Ruling(ALLOW, watched=tuple(watched))
    worst = max(said.rank for said in heard)
    first = next(said for said in heard if said.rank == worst)
    spec = _together(first, heard) if first.effect == ASK else first.spec
    return Ruling(first.effect, spec, first.version, spec.always, first.fault, tuple(watched))


def _ask(rule: Rule, facts: Facts, document: Document, policy: Policy) -> _Said | None:
    version = policy.version
    if rule.fault:
        return _Said(rule.unclear(), rule.spec, version, rule.fault)
    if not rule.speaks_of(facts):
        return None
    try:
        holds = rule.condition is None or rule.condition.holds(document)
    except Unclear as error:
        return _Said(rule.unclear(), rule.spec, version, str(error))
    return _Said(rule.spec.effect, rule.spec, version) if holds else None


def _watched(said: _Said) -> Watched:
    return Watched(said.spec.id, said.spec.title, said.effect, said.version, said.fault)


def _unmatched(policy: Policy, facts: Facts) -> list[_Said]:
    """What a layer says where none of its rules speaks: nothing of reading, nor where it allows.

    A tool that declares ``approval="never"`` is free of this too, and of this only.
    """
    effect = _known(policy.unmatched)
    free = facts.effect == "read" or facts.declared == "never" or effect == ALLOW
    return [] if free else [_Said(effect, _UNMATCHED[effect], policy.version)]


def _together(first: _Said, heard: Iterable[_Said]) -> Spec:
    """The rule that is named, made to ask for what every rule that asks wants."""
    asking = [said.spec for said in heard if said.effect == ASK]
    risk = max((spec.risk for spec in asking), key=_RISKS.index)
    waits = [spec.on_expiry for spec in asking if spec.on_expiry != "approve"]
    careless = first.spec.on_expiry if risk == "low" and not waits else "deny"
    return replace(
        first.spec,
        effect=ASK,
        always=any(spec.always for spec in asking),
        risk=risk,
        factors=_most(who for spec in asking for who in spec.factors),
        grants=all(spec.grants for spec in asking),
        decide_minutes=min((m for spec in asking if (m := spec.decide_minutes)), default=None),
        execute_minutes=min(spec.execute_minutes for spec in asking),
        undo_seconds=max(spec.undo_seconds for spec in asking),
        on_expiry=waits[0] if waits else careless,
        separation=Separation.strictest([spec.separation for spec in asking]),
    )


def _most(factors: Iterable[Who]) -> tuple[Who, ...]:
    """Each role and team once, with the highest number anybody wants of it."""
    most: dict[tuple[str, str], Who] = {}
    for who in factors:
        known = most.get((who.role, who.team))
        if known is None or who.count > known.count:
            most[who.role, who.team] = who
    return tuple(most.values())


def _recalled(raw: object) -> Rule:
    try:
        return parse([raw])[0]
    except ValueError as error:
        said: Mapping[str, object] = raw if isinstance(raw, dict) else {}
        effect = DENY if said.get("effect") == DENY else ASK
        # A rule that only watched harms nobody by staying out of the way.
        mode = "watch" if said.get("mode") == "watch" else "enforced"
        name, title = str(said.get("id", "")), str(said.get("title", "A rule that is not readable"))
        spec = Spec(id=name, title=title, effect=effect, mode=mode, always=True, grants=False)
        return Rule(spec, fault=f"The rule cannot be read: {error}")


def _known(effect: str) -> str:
    return effect if effect in _STRICTNESS else DENY


def _among(value: str, patterns: Sequence[str]) -> bool:
    return not patterns or any(fnmatch.fnmatchcase(value, pattern) for pattern in patterns)
