"""What the rules say of arguments that a person put in place of the agent's.

Nobody reaches by an edit what a rule denies; and where other arguments want other people, or more
of them, those are asked too. An edit never makes the asking weaker.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from agentops.sdk.tools import Effect
from approvals import policies, quorum, rules
from approvals.models import OnExpiry, Request, Risk
from approvals.refusals import InvalidEdit
from approvals.rules import ASK, DENY, Facts, Spec

_RISKS = [Risk.LOW, Risk.MEDIUM, Risk.HIGH]


def judge(request: Request, envelope: Mapping[str, object], arguments: Mapping[str, object]) -> str:
    """Ask the rules of the run about these arguments, and let a locked request ask for what they
    want besides. Answers with who is asked then, in words; nothing where that is as before.

    Raises InvalidEdit where a rule denies them.
    """
    rulings = [
        rules.decide(policies.in_force(request.team), _facts(request, envelope, arguments, effect))
        for effect in _effects(envelope)
    ]
    denied = next((one for one in rulings if one.effect == DENY), None)
    if denied is not None:
        title = denied.rule.title or denied.rule.id if denied.rule else ""
        raise InvalidEdit(f"arguments: the rule “{title}” denies this. Change them, or reject it.")
    before = quorum.words(request.factors)
    for ruling in rulings:
        # A rule of somebody's, not what holds where none speaks.
        if ruling.effect == ASK and ruling.rule is not None and ruling.rule.id:
            _tighten(request, ruling.rule, always=ruling.always)
    now = quorum.words(request.factors)
    return "" if now == before else now


def _effects(envelope: Mapping[str, object]) -> Sequence[str]:
    """The effect of the tool; all there are, where an older release did not write it down."""
    known = envelope.get("effect")
    return [str(known)] if known else [effect.value for effect in Effect if effect != Effect.READ]


def _facts(
    request: Request, envelope: Mapping[str, object], arguments: Mapping[str, object], effect: str
) -> Facts:
    return Facts(
        agent=request.agent,
        tool=request.name,
        effect=effect,
        arguments=arguments,
        agent_version=str(envelope.get("agent_version", "")),
        person=request.owner.get_username() if request.owner else "",
        team=request.team.name if request.team else "",
    )


def _tighten(request: Request, spec: Spec, *, always: bool) -> None:
    factors = _most([*quorum.factors_of(request.factors), *(who.as_json() for who in spec.factors)])
    risk = max((Risk(request.risk), Risk(spec.risk)), key=_RISKS.index)
    if request.on_expiry == OnExpiry.APPROVE and risk != Risk.LOW:
        request.on_expiry = OnExpiry.DENY
    request.factors, request.risk = factors, risk
    request.rule = {
        **request.rule,
        "always": always or bool(request.rule.get("always", False)),
        "grants": spec.grants and bool(request.rule.get("grants", True)),
    }
    request.save(update_fields=["factors", "risk", "on_expiry", "rule"])


def _most(factors: Sequence[Mapping[str, object]]) -> list[Mapping[str, object]]:
    """Each role and team once, with the highest number anybody wants of it."""
    most: dict[tuple[str, str], Mapping[str, object]] = {}
    for one in factors:
        named = str(one.get("role") or ""), str(one.get("team") or "")
        known = most.get(named)
        if known is None or quorum.count_of(one) > quorum.count_of(known):
            most[named] = one
    return cast("list[Mapping[str, object]]", list(most.values()))
