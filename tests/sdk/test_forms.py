"""Forms for people: what may be asked, and what is an answer."""

from __future__ import annotations

import pytest

from agentops.sdk import forms
from agentops.sdk.errors import Misuse

FORM = {
    "type": "object",
    "properties": {
        "account": {"type": "string", "enum": ["EU", "US"]},
        "mail": {"type": "string", "format": "email"},
        "site": {"type": "string", "format": "uri"},
        "day": {"type": "string", "format": "date"},
        "at": {"type": "string", "format": "date-time"},
        "copies": {"type": "integer", "minimum": 1, "maximum": 5, "default": 1},
        "share": {"type": "number", "minimum": 0, "maximum": 1},
        "sure": {"type": "boolean"},
        "note": {"type": "string", "maxLength": 10},
    },
    "required": ["account"],
}


def field(**words: object) -> dict[str, object]:
    return {"type": "object", "properties": {"it": {"type": "string", **words}}}


def test_an_answer_that_fits_is_taken_with_its_kinds() -> None:
    given = {"account": "EU", "mail": "ana@example.com", "site": "https://example.com/x",
             "day": "2026-11-23", "at": "2026-11-23T14:00:00Z", "copies": 2.0, "share": 0.5,
             "sure": False, "note": "x"}  # fmt: skip
    assert forms.read(forms.check(FORM), given) == {**given, "copies": 2}


def test_what_is_left_out_is_the_default_or_nothing() -> None:
    assert forms.read(FORM, {"account": "US", "note": None}) == {"account": "US", "copies": 1}


@pytest.mark.parametrize(
    ("said", "path"),
    [
        ({}, "/account"),
        ({"account": "UK"}, "/account"),
        ({"account": 1}, "/account"),
        ({"account": "EU\0"}, "/account"),
        ({"account": "EU", "mail": "ana"}, "/mail"),
        ({"account": "EU", "site": "javascript:alert(1)"}, "/site"),
        ({"account": "EU", "day": "23.11."}, "/day"),
        ({"account": "EU", "at": "2026-11-23T14:00:00"}, "/at"),
        ({"account": "EU", "copies": 6}, "/copies"),
        ({"account": "EU", "copies": 1.5}, "/copies"),
        ({"account": "EU", "copies": True}, "/copies"),
        ({"account": "EU", "share": float("nan")}, "/share"),
        ({"account": "EU", "share": -0.1}, "/share"),
        ({"account": "EU", "sure": "yes"}, "/sure"),
        ({"account": "EU", "note": "x" * 11}, "/note"),
        ({"account": "EU", "other": 1}, "/other"),
        ([], "/"),
    ],
)
def test_an_answer_that_does_not_fit_is_refused_with_its_field(said: object, path: str) -> None:
    with pytest.raises(forms.InvalidAnswer) as refused:
        forms.read(FORM, said)
    assert refused.value.path == path


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ([], "object"),
        ({"type": "object", "properties": {}}, "properties"),
        ({**FORM, "oneOf": []}, "oneOf"),
        ({**FORM, "required": ["nobody"]}, "required"),
        (field(type="array"), "type is one of"),
        (field(pattern="(a+)+$"), "pattern"),
        (field(format="regex"), "format"),
        (field(enum=[]), "enum"),
        (field(enum=[1]), "enum"),
        (field(enum=["a"], enumNames=[]), "enumNames"),
        (field(enum=["a"], default="b"), "default"),
        ({"type": "object", "properties": {"a b": {"type": "string"}}}, "letters"),
    ],
)
def test_a_form_nobody_could_fill_in_is_refused(schema: object, said: str) -> None:
    with pytest.raises(Misuse, match=said):
        forms.check(schema)


@pytest.mark.parametrize(
    "words",
    [{"title": "Your password"}, {"title": "API key"}, {"title": "api_key"}, {"title": "PIN"}],
)
def test_nobody_is_asked_for_a_secret(words: dict[str, str]) -> None:
    with pytest.raises(Misuse, match="secret"):
        forms.check(field(**words))


@pytest.mark.parametrize("name", ["password", "apiKey", "api_key", "client_secret", "access_token"])
def test_no_field_is_named_like_a_secret(name: str) -> None:
    with pytest.raises(Misuse, match="secret"):
        forms.check({"type": "object", "properties": {name: {"type": "string"}}})


def test_a_choice_is_a_form_of_one_field() -> None:
    form = forms.check(forms.choices("Which account?", {"EU": "Acme Europe", "US": "Acme Inc."}))
    assert forms.read(form, {"choice": "US"}) == {"choice": "US"}


def test_what_counts_where_nobody_answers() -> None:
    assert forms.unasked(FORM) is None
    assert forms.unasked(field(default="later")) == {"it": "later"}
    assert forms.unasked(field()) is None
