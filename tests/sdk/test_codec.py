from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import math
import uuid

import pytest
from pydantic import BaseModel

from agentops import PayloadError, PayloadTooLarge
from agentops.sdk import codec


class Model(BaseModel):
    name: str
    tags: set[str] = set()


@dataclasses.dataclass
class Point:
    x: int
    inner: Model


class Colour(enum.Enum):
    RED = "red"


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        -1,
        1.5,
        "",
        "a\0b",
        "\ud800",
        "ü€😀",
        [],
        {},
        {"a": [1, {"b": None}]},
        "x" * 9000,
    ],
)
def test_plain_data_comes_back_as_it_was(value: object) -> None:
    assert codec.decode(*codec.encode(value)) == value


def test_numbers_json_has_no_word_for_come_back() -> None:
    assert codec.decode(*codec.encode([math.inf, -math.inf])) == [math.inf, -math.inf]
    assert math.isnan(codec.decode(*codec.encode(math.nan)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Point(1, Model(name="n")), {"x": 1, "inner": {"name": "n", "tags": []}}),
        ({"b", "a"}, ["a", "b"]),
        (dt.date(2026, 1, 2), "2026-01-02"),
        (decimal.Decimal("1.50"), "1.50"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Colour.RED, "red"),
        (b"\xff\x00", "_wA="),
        ((1, 2), [1, 2]),
        ({1: "a"}, {"1": "a"}),
    ],
)
def test_typed_values_are_written_in_a_plain_form(value: object, plain: object) -> None:
    encoded = codec.encode(value)

    assert codec.decode(*encoded) == plain
    assert codec.as_recorded(value, encoded) == plain


def test_a_number_python_does_not_print_is_refused() -> None:
    with pytest.raises(PayloadError):
        codec.encode(10**5000)


@pytest.mark.parametrize("value", [object(), lambda: 1, {(1, 2): 3}])
def test_what_has_no_json_form_is_refused_with_advice(value: object) -> None:
    with pytest.raises(PayloadError, match="Return plain data"):
        codec.encode(value)


def test_what_contains_itself_is_refused() -> None:
    endless: list[object] = []
    endless.append(endless)

    with pytest.raises(PayloadError):
        codec.encode(endless)


def test_a_value_over_the_limit_is_refused_before_compression() -> None:
    with pytest.raises(PayloadTooLarge, match="at most 100 are stored"):
        codec.encode("x" * 101, limit=100)


def test_long_text_is_deflated_and_short_text_is_not() -> None:
    assert codec.encode("x" * 5000).codec == codec.DEFLATED
    assert codec.encode("x" * 100).codec == codec.JSON


def test_a_codec_of_a_later_release_is_named() -> None:
    with pytest.raises(PayloadError, match="Codec 9 is not known"):
        codec.decode(9, b"")


def test_equal_values_have_equal_digests() -> None:
    assert codec.digest({"a": 1, "b": 2}) == codec.digest({"b": 2, "a": 1})
    assert codec.digest({"a": 1}) != codec.digest({"a": 2})
