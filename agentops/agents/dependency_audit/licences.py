"""Which licence the metadata mean, as an SPDX expression, and what says so."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from agentops.agents.dependency_audit import licence_names
from agentops.agents.dependency_audit.records import Distribution

_LONGEST_NAME = 120
_SHOWN = 100
_OR = re.compile(r"\s+or\s+|\s*/\s*|\s*\|+\s*", re.IGNORECASE)
_AND = re.compile(r"\s+and\s+|\s*[,;&]\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Licence:
    """An SPDX expression, empty when unknown, with the field and the words that prove it."""

    expression: str = ""
    field: str = ""
    value: str = ""
    note: str = ""
    """What is doubtful about it, in a sentence."""
    disagreement: str = ""
    """What the classifiers say, when they say something else."""


def licence_of(found: Distribution) -> Licence:
    """The licence of a distribution.

    The first of these that is understood counts: License-Expression, License, classifiers, the
    head of a licence file.
    """
    text = normalise(found.licence_text)
    classified = _classified(found.licence_classifiers)
    if expression := spdx(found.licence_expression):
        return Licence(expression, "License-Expression", found.licence_expression)
    if text:
        return _from_text(found.licence_text, text, classified)
    if classified.expression:
        return classified
    if expression := recognise(found.licence_file_text):
        return Licence(expression, found.licence_file, _shown(found.licence_file_text))
    return _unknown(found)


def spdx(text: str) -> str:
    """``text`` as a canonical SPDX expression, or nothing if it is none."""
    try:
        return str(canonicalize_license_expression(text)) if text.strip() else ""
    except InvalidLicenseExpression:
        return ""


def normalise(text: str) -> str:
    """The SPDX expression that free ``text`` means, or nothing. Never raises.

    A family whose version is not said becomes ``LicenseRef-<family>``.
    """
    words = " ".join(text.split())
    if not words:
        return ""
    if len(words) > _LONGEST_NAME:
        return recognise(text)
    return _one(words) or _joined(words) or licence_names.gnu(words)


def recognise(text: str) -> str:
    """The licence whose words ``text`` holds, or nothing."""
    return licence_names.worded(" ".join(text.lower().split()))


def _one(words: str) -> str:
    return spdx(words) or licence_names.named(words)


def _joined(words: str) -> str:
    """Several names with a conjunction between them, if every one is understood."""
    for separator, conjunction in ((_OR, " OR "), (_AND, " AND ")):
        parts = [part.strip(" ()") for part in separator.split(words)]
        understood = [_one(part) or licence_names.gnu(part) for part in parts]
        if len(parts) > 1 and all(understood):
            return spdx(conjunction.join(_bracketed(understood, conjunction)))
    return ""


def _bracketed(expressions: Iterable[str], conjunction: str) -> list[str]:
    unique = list(dict.fromkeys(expressions))
    return [f"({e})" if " " in e and conjunction not in e else e for e in unique]


def _classified(classifiers: tuple[str, ...]) -> Licence:
    """What the classifiers say; they cannot say whether all or any of several apply."""
    meant = {c: licence_names.classifier(c) for c in classifiers}
    known = {c: e for c, e in meant.items() if e}
    names = list(dict.fromkeys(known.values()))
    note = ""
    if len(names) > 1:
        note = f"Classifiers name {', '.join(names)} without saying whether all or any apply."
    return Licence(spdx(" AND ".join(names)), "Classifier", "; ".join(known or classifiers), note)


def _from_text(raw: str, expression: str, classified: Licence) -> Licence:
    """The License field; classifiers make a bare family exact, and may disagree."""
    other = classified.expression
    if expression.startswith("LicenseRef-") and licence_names.is_family(expression, other):
        return classified
    agrees = not other or _parts(other) <= _parts(expression) or any(
        licence_names.is_family(family, expression) for family in _parts(other)
    )  # fmt: skip
    disagreement = "" if agrees else other.replace(" AND ", " and ")
    return Licence(expression, "License", _shown(raw), disagreement=disagreement)


def _parts(expression: str) -> set[str]:
    return {word for word in re.split(r"[\s()]+", expression) if word not in {"", "AND", "OR"}}


def _unknown(found: Distribution) -> Licence:
    said = (
        ("License-Expression", found.licence_expression),
        ("License", found.licence_text),
        ("Classifier", "; ".join(found.licence_classifiers)),
        (found.licence_file, found.licence_file_text),
    )
    for field, value in said:
        if value.strip():
            return Licence(field=field, value=_shown(value))
    return Licence(note="No field and no licence file names a licence.")


def _shown(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"
