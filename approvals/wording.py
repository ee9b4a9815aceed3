"""Rules as sentences, the same in console, difference, inbox and mail. Conditions stand beside."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from approvals.reading import USUAL_EXECUTE_MINUTES, Separation, Spec, Who

EFFECT_WORDS = {
    "read": "only reads",
    "idempotent": "may be repeated",
    "transactional": "writes to this database",
    "once": "happens once",
}
_EXPIRY = {
    "deny": "after that it must not happen",
    "escalate": "after that more people are asked",
    "wait": "after that it goes on waiting",
    "approve": "after that it may happen",
}
UNMATCHED = {
    "allow": "may happen",
    "ask": "is asked about",
    "deny": "must not happen",
}


def sentence(spec: Spec) -> str:
    """What a rule says, without its condition."""
    calls = f"{_agents(spec)} call {_tools(spec)}"
    begins = {
        "allow": f"Let {calls}",
        "deny": f"Do not let {calls}",
        "ask": f"{'Always ask' if spec.always else 'Ask'} {whom(spec.factors)} before {calls}",
    }[spec.effect]
    if spec.effect == "ask":
        begins = begins.replace(" call ", " calls " if _one(spec.agents) else " call ", 1)
    return begins + _for(spec) + (" when" if spec.when else "")


def terms(spec: Spec) -> list[str]:
    """What else a rule says of the asking, each in a few words; nothing that is usual."""
    if spec.effect != "ask":
        return [f"The model is told: “{spec.feedback}”"] if spec.feedback else []
    told = [f"{spec.risk} risk"]
    if spec.decide_minutes is not None:
        told.append(f"decided within {_minutes(spec.decide_minutes)}, {_EXPIRY[spec.on_expiry]}")
    if spec.execute_minutes != USUAL_EXECUTE_MINUTES:
        told.append(f"begins within {_minutes(spec.execute_minutes)} of the approval")
    if spec.undo_seconds:
        told.append(f"may be taken back for {spec.undo_seconds} s")
    if spec.chain:
        told.append(f"escalated by “{spec.chain}”")
    if not spec.grants:
        told.append("no standing grants")
    told += _separated(spec.separation)
    return told + ([f"told when rejected: “{spec.feedback}”"] if spec.feedback else [])


def whom(factors: Iterable[Who]) -> str:
    """Who has to agree: “2 approvers and 1 of finance”."""
    named = [
        f"1 of {who.team}" if who.team and who.count == 1
        else f"{who.count} of {who.team}" if who.team
        else f"{_article(who.role)} {who.role}" if who.count == 1
        else f"{who.count} {who.role}s"
        for who in factors
    ]  # fmt: skip
    return listed(named, "and")


def listed(names: Sequence[str], last: str = "or") -> str:
    """Names as people say them: a, b or c."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} {last} {names[-1]}"


def unmatched(effect: str, *, of_team: bool = False) -> str:
    """What holds where no rule speaks. A team's layer that allows leaves it to everybody's."""
    if of_team and effect == "allow":
        return "What no rule here speaks of is as everybody's rules say."
    return f"What no rule speaks of and does more than read {UNMATCHED.get(effect, 'is unclear')}."


def _agents(spec: Spec) -> str:
    return listed(spec.agents) if spec.agents else "any agent"


def _tools(spec: Spec) -> str:
    named = listed(spec.tools) if spec.tools else "any tool"
    if not spec.effects:
        return named
    kinds = listed([EFFECT_WORDS[effect] for effect in spec.effects])
    return f"{named}, if it {kinds}," if spec.tools else f"{named} that {kinds}"


def _for(spec: Spec) -> str:
    people = f" for {listed(spec.people)}" if spec.people else ""
    return people + (f" in runs of {listed(spec.teams)}" if spec.teams else "")


def _separated(separation: Separation) -> list[str]:
    may = [
        who
        for who, is_kept_out in (
            ("whom it is for", separation.owner),
            ("who started it", separation.starter),
            ("who edited it", separation.editor),
        )
        if not is_kept_out
    ]
    return [f"also {listed(may, 'and')} may decide"] if may else []


def _one(names: Sequence[str]) -> bool:
    return len(names) < 2


def _article(word: str) -> str:
    return "an" if word[:1] in "aeiou" else "a"


def _minutes(minutes: int) -> str:
    if minutes % 1440 == 0:
        return "a day" if minutes == 1440 else f"{minutes // 1440} days"
    if minutes % 60 == 0:
        return "an hour" if minutes == 60 else f"{minutes // 60} hours"
    return "a minute" if minutes == 1 else f"{minutes} minutes"
