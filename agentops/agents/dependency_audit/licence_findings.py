"""Findings about licences: denied, not decided, unknown, and fields that disagree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from packaging.utils import canonicalize_name

from agentops.agents.dependency_audit.findings import Finding, Kind
from agentops.agents.dependency_audit.licences import Licence, licence_of
from agentops.agents.dependency_audit.packages import evidence_file
from agentops.agents.dependency_audit.policy import Policy
from agentops.agents.dependency_audit.records import Distribution
from agentops.agents.dependency_audit.standing import Standing, standing


def licences(distributions: Iterable[Distribution], policy: Policy) -> dict[str, Licence]:
    """The licence of every distribution by its path; the policy's own knowledge comes first."""
    found = {}
    for each in distributions:
        known = policy.known_licences.get(canonicalize_name(each.name)) if each.name else None
        field = "policy.known_licences"
        found[each.path] = Licence(known, field, known) if known else licence_of(each)
    return found


def judged(
    distributions: Iterable[Distribution], known: Mapping[str, Licence], policy: Policy
) -> Iterator[Finding]:
    """What the policy says about each licence. Broken metadata are reported once, as such."""
    for each in distributions:
        if known[each.path].expression or not each.problems:
            yield from _about(each, known[each.path], policy)


def _about(each: Distribution, licence: Licence, policy: Policy) -> Iterator[Finding]:
    if not licence.expression:
        yield _finding(Kind.UNKNOWN, each, licence, _unknown_sentence(licence))
        return
    verdict = standing(licence.expression, policy)
    doubt = f" {licence.note}" if licence.note else ""
    if verdict is Standing.DENIED:
        yield _finding(
            Kind.DENIED, each, licence, f"{licence.expression} is denied by the policy.{doubt}"
        )
    if verdict is Standing.UNDECIDED:
        sentence = f"{licence.expression} is in neither list of the policy.{doubt}"
        yield _finding(Kind.UNDECIDED, each, licence, sentence)
    if licence.disagreement:
        sentence = (
            f"The License field says {licence.expression}, the classifiers {licence.disagreement}."
        )
        yield _finding(Kind.DISAGREE, each, licence, sentence)


def _unknown_sentence(licence: Licence) -> str:
    if licence.value:
        return "What its metadata say about the licence names none that is known."
    return licence.note


def _finding(kind: Kind, each: Distribution, licence: Licence, sentence: str) -> Finding:
    in_metadata = licence.field in {"", "License", "License-Expression", "Classifier"}
    file = evidence_file(each) if in_metadata else f"{each.path}/{licence.field}"
    if licence.field.startswith("policy."):
        file = "policy"
    return Finding(kind, each.name, each.version, sentence, file, licence.field, licence.value)
