from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import ipaddress
import math
import os
import subprocess
import sys
import threading
import uuid
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
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


class Mark(enum.StrEnum):
    GOOD = "good"


class Level(enum.IntEnum):
    LOW = 1


@dataclasses.dataclass(frozen=True, slots=True)
class Pinned:
    """Its constructor changes what it is given."""

    name: str
    parts: list[object] = dataclasses.field(default_factory=list)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name + "!")


class Secretive(BaseModel):
    """What pydantic writes of it is not read back as the same."""

    raw: bytes
    far: float

    def __init__(self, raw: bytes = b"", far: float = 0.0, **rest: object) -> None:
        super().__init__(raw=raw, far=far, **rest)


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
        (Mark.GOOD, "good"),
        (b"\xff\x00", "_wA="),
        ({"a": [{"b": dt.timedelta(seconds=90)}]}, {"a": [{"b": "PT1M30S"}]}),
        (Secretive(b"\xff", math.inf), {"raw": "_w==", "far": math.inf}),
        (ipaddress.ip_address("10.0.0.1"), "10.0.0.1"),
        ({(1, b"x"), (2, b"y")}, [[1, "eA=="], [2, "eQ=="]]),
    ],
)
def test_typed_values_come_back_and_are_read_by_others_in_a_plain_form(
    value: object, plain: object
) -> None:
    encoded = codec.encode(value)

    assert codec.decode(*encoded) == plain
    assert codec.revive(*encoded) == value
    assert type(codec.as_recorded(value, encoded)) is type(value)


@pytest.mark.parametrize(("value", "plain"), [((1, 2), [1, 2]), ({1: "a"}, {"1": "a"})])
def test_tuples_and_keys_that_are_no_texts_become_what_json_has(
    value: object, plain: object
) -> None:
    encoded = codec.encode(value)

    assert codec.revive(*encoded) == plain == codec.as_recorded(value, encoded)


def test_what_an_earlier_release_wrote_is_read_as_before() -> None:
    assert codec.revive(codec.JSON, b'{"at":"2026-01-02","kind":"set"}') == {
        "at": "2026-01-02",
        "kind": "set",
    }
    raw = zlib.compress(b'["2026-01-02"]', 1)
    assert codec.revive(codec.DEFLATED, raw) == ["2026-01-02"]


def test_a_class_made_in_a_function_comes_back_as_its_plain_data() -> None:
    @dataclasses.dataclass
    class Local:
        at: dt.date

    encoded = codec.encode(Local(dt.date(2026, 1, 2)))

    assert codec.revive(*encoded) == {"at": dt.date(2026, 1, 2)}


def test_a_class_that_is_gone_leaves_its_plain_data() -> None:
    encoded = codec.encode(Point(1, Model(name="n")))
    gone = encoded.data.replace(b":Point", b":Gone!")

    assert codec.revive(encoded.codec, gone) == {"x": 1, "inner": Model(name="n")}


def test_data_of_others_is_never_taken_for_a_note() -> None:
    odd = {"text": '\n[[[],"set"]]', "when": dt.date(2026, 1, 2)}

    assert codec.revive(*codec.encode(odd)) == odd
    assert codec.revive(*codec.encode('\n[[[],"set"]]')) == '\n[[[],"set"]]'


def test_a_value_enclosed_in_others_keeps_its_notes() -> None:
    for stored in (codec.encode({"at": dt.date(2026, 1, 2)}), codec.encode([1]), codec.NULL):
        enclosed = codec.enclose({"run": "r"}, "output", stored)
        assert codec.revive(*enclosed) == {"run": "r", "output": codec.revive(*stored)}


def test_a_long_value_with_notes_is_deflated() -> None:
    encoded = codec.encode({"at": dt.date(2026, 1, 2), "text": "x" * 5000})

    assert encoded.codec == codec.NOTED_DEFLATED
    assert codec.revive(*encoded) == {"at": dt.date(2026, 1, 2), "text": "x" * 5000}


def test_a_number_python_does_not_print_is_refused() -> None:
    with pytest.raises(PayloadError):
        codec.encode(10**5000)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (object(), "The value is of type builtins.object and"),
        ({"a": [1, {"b": lambda: 1}]}, "The value at /a/1/b is of type builtins.function and"),
        ({"a": {(1, 2): 3}}, "The value at /a has a key of type tuple (keys are texts) and"),
        (Point(1, threading.Lock()), "The value at /inner is of type _thread.lock and"),  # type: ignore[arg-type]  # on purpose
        ({"far": [10**5000]}, "The value at /far/0 has more digits than Python prints and"),
    ],
)
def test_what_cannot_be_stored_is_refused_with_its_place_and_advice(
    value: object, words: str
) -> None:
    with pytest.raises(PayloadError, match="Return plain data") as refused:
        codec.encode(value)

    assert str(refused.value).startswith(words)


def test_what_contains_itself_is_refused() -> None:
    endless: list[object] = []
    endless.append(endless)

    with pytest.raises(PayloadError, match="The value at /0 contains itself"):
        codec.encode(endless)


def test_what_is_nested_too_deep_is_refused() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]

    with pytest.raises(PayloadError, match="nested too deep"):
        codec.encode(deep)


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


_IN_EACH_PROCESS = """
from tests.sdk.test_codec import Model, Point
from agentops.sdk import codec
words = {f"word {n}" for n in range(9)}
both = frozenset([frozenset(words), frozenset(["a", "b"])])
value = {"plain": words, "sets": both, "model": Model(name="m", tags=words),
         "inside": [Point(1, Model(name="p", tags=words))]}
print(codec.encode(value).data.hex(), codec.canonical(value).decode())
"""


def test_sets_are_written_in_the_same_order_by_every_process() -> None:
    written = {
        subprocess.run(
            [sys.executable, "-c", _IN_EACH_PROCESS],
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in (1, 2, 3)
    }
    assert len(written) == 1


# -- whatever it is, it comes back ------------------------------------------------------------

texts = st.text(st.characters(codec=None, exclude_categories=()), max_size=8)
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    texts,
    st.binary(max_size=8),
    st.decimals(allow_nan=False),
    st.uuids(),
    st.dates(),
    st.times(),
    st.datetimes(),
    st.datetimes(timezones=st.just(dt.UTC)),
    st.timedeltas(),
    st.sampled_from([*Colour, *Mark, *Level]),
    st.frozensets(st.one_of(texts, st.integers(), st.binary(max_size=4), st.dates()), max_size=3),
    st.sets(st.one_of(st.decimals(allow_nan=False), st.sampled_from(Colour)), max_size=3),
    st.builds(Model, name=st.text(max_size=4), tags=st.sets(st.text(max_size=3), max_size=2)),
    st.builds(Secretive, st.binary(max_size=4), st.floats(allow_nan=False)),
)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(texts, inner, max_size=4),
        st.builds(Pinned, texts, st.lists(inner, max_size=3)),
    ),
    max_leaves=20,
)


@given(values)
def test_every_value_comes_back_with_its_types(value: object) -> None:
    encoded = codec.encode(value)
    back = codec.revive(*encoded)

    assert back == value
    assert shape(back) == shape(value)
    assert codec.encode(back) == encoded


def shape(value: object) -> object:
    """The types of a value and all its parts."""
    if isinstance(value, dict):
        return {k: shape(v) for k, v in value.items()}
    if isinstance(value, list):
        return [shape(v) for v in value]
    if isinstance(value, (set, frozenset)):
        return type(value), {(v, type(v)) for v in value}
    if isinstance(value, Pinned):
        return Pinned, shape(value.parts)
    return type(value)
