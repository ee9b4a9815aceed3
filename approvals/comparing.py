"""Two versions of a policy beside each other: what changed, and whether agents may do more."""

from __future__ import annotations

from collections.abc import Iterable

from approvals import wording
from approvals.reading import Spec
from approvals.rules import Policy

_RANK = {"allow": 0, "ask": 1, "deny": 2}
_MILDER = {"allow": "allows what was not allowed.", "ask": "asks about what was denied."}
_RISKS = ("low", "medium", "high")


def difference(old: Policy, new: Policy) -> list[str]:
    """What the newer policy changes, line by line: ``+`` new, ``-`` gone, ``~`` changed, ``↕``."""
    was = {rule.spec.id: (place, rule.spec) for place, rule in enumerate(old.rules, 1)}
    kept = {rule.spec.id for rule in new.rules}
    lines = [f"- {said(spec)}" for name, (_, spec) in was.items() if name not in kept]
    stays = [rule.spec.id for rule in old.rules if rule.spec.id in kept]
    order = [rule.spec.id for rule in new.rules if rule.spec.id in was]
    for rule in new.rules:
        spec = rule.spec
        if spec.id not in was:
            lines.append(f"+ {said(spec)}")
            continue
        lines += _changes(was[spec.id][1], spec)
        if stays.index(spec.id) != order.index(spec.id):
            lines.append(f"↕ {spec.id}: now {_nth(order.index(spec.id))} of those that stay")
    if old.unmatched != new.unmatched:
        lines.append(f"~ {wording.unmatched(new.unmatched)}")
    return lines


def widens(old: Policy, new: Policy) -> list[str]:
    """What the newer policy may let agents do that the older did not, in words; empty if nothing.

    Decided by the rules themselves and not by examples: whatever cannot be seen to be as strict as
    before counts as wider.
    """
    enforced = [rule.spec for rule in new.rules if rule.spec.mode == "enforced"]
    before = [rule.spec for rule in old.rules if rule.spec.mode == "enforced"]
    lost = [
        f"“{title(spec)}” no longer holds as it did."
        for spec in before
        if spec.effect != "allow" and not any(_is_as_strict(now, spec) for now in enforced)
    ]
    lost += [
        f"“{title(spec)}” no longer asks where its condition has no answer."
        for spec in before
        if spec.effect == "allow" and spec.when
        if not any(_doubts_as(now, spec) for now in enforced)
    ]
    # A rule that speaks takes the place of what holds where none does.
    lost += [
        f"“{title(spec)}” {_MILDER[spec.effect]}"
        for spec in enforced
        if _RANK[spec.effect] < _RANK[old.unmatched]
        if not any(_covers(was, spec) and _RANK[was.effect] <= _RANK[spec.effect] for was in before)
    ]
    if _RANK[new.unmatched] < _RANK[old.unmatched]:
        lost.append(wording.unmatched(new.unmatched))
    return lost


def said(spec: Spec) -> str:
    """A rule in one line, its condition with it."""
    mode = "watch only: " if spec.mode == "watch" else ""
    condition = f" {spec.when}" if spec.when else ""
    terms = f" ({'; '.join(wording.terms(spec))})" if wording.terms(spec) else ""
    return f"{spec.id}: {mode}{wording.sentence(spec)}{condition}{terms}"


def title(spec: Spec) -> str:
    """What people call a rule."""
    return spec.title or spec.id


def _changes(was: Spec, now: Spec) -> Iterable[str]:
    """What became of one rule: only the parts of it that are different."""
    earlier, later = _parts(was), _parts(now)
    for mark, parts, others in (("-", earlier, later), ("+", later, earlier)):
        told = [part for part in parts if part not in others]
        if told:
            yield f"{mark} {now.id}: {'; '.join(told)}"


def _parts(spec: Spec) -> list[str]:
    return [
        wording.sentence(spec).removesuffix(" when"),
        *([f"when {spec.when}"] if spec.when else []),
        *(["watch only"] if spec.mode == "watch" else []),
        *([f"called “{spec.title}”"] if spec.title else []),
        *wording.terms(spec),
    ]


def _is_as_strict(now: Spec, was: Spec) -> bool:
    """Whether wherever ``was`` spoke, ``now`` says no less."""
    if not _covers(now, was) or _RANK[now.effect] < _RANK[was.effect]:
        return False
    return now.effect == "deny" or _asks_no_less(now, was)


def _doubts_as(now: Spec, was: Spec) -> bool:
    """Whether a person is still asked wherever the condition of ``was`` gives no answer."""
    return _covers(now, was) and (now.when == was.when or now.effect != "allow")


def _covers(one: Spec, other: Spec) -> bool:
    """Whether ``one`` speaks of everything that ``other`` speaks of."""
    scopes = (
        (one.agents, other.agents),
        (one.tools, other.tools),
        (one.effects, other.effects),
        (one.people, other.people),
        (one.teams, other.teams),
    )
    wide = all(not mine or (theirs and set(theirs) <= set(mine)) for mine, theirs in scopes)
    return wide and one.when in {"", other.when}


def _asks_no_less(now: Spec, was: Spec) -> bool:
    wanted = {(who.role, who.team): who.count for who in now.factors}
    people = all(wanted.get((who.role, who.team), 0) >= who.count for who in was.factors)
    kept_out, before = now.separation, was.separation
    separated = all(
        mine or not theirs
        for mine, theirs in (
            (kept_out.owner, before.owner),
            (kept_out.starter, before.starter),
            (kept_out.editor, before.editor),
        )
    )
    careful = (
        now.always >= was.always
        and now.grants <= was.grants
        and _RISKS.index(now.risk) >= _RISKS.index(was.risk)
        and (now.on_expiry != "approve" or was.on_expiry == "approve")
    )
    return people and separated and careful


def _nth(place: int) -> str:
    return "first" if place == 0 else f"number {place + 1}"
