"""What is approved is bytes: the same for the same call, and what runs comes out of them."""

from __future__ import annotations

import enum
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from agentops import Tool, ToolContext, tool
from agentops.execution.records import Claim
from agentops.sdk import steps
from approvals import envelope
from approvals.envelope import Asking, Envelope, Unfit

CLAIM = Claim(1, "run_1", 3, "desk", "v1", None, datetime.now(UTC))


class Colour(enum.Enum):
    RED = "red"


@dataclass
class Item:
    name: str
    price: Decimal


class Order(BaseModel):
    items: list[Item]
    due: date | None = None


@tool
def refund(
    ctx: ToolContext,
    order: int,
    amount: Decimal = Decimal("20.00"),
    colour: Colour = Colour.RED,
) -> str:
    return f"{order} {amount}"


@tool
def ship(order: Order, weight: float = 1.0) -> str:
    return str(order)


@tool
def loose(value, *more, key=None, **rest):  # type: ignore[no-untyped-def]
    return value


@tool
def limited(amount: Annotated[int, Field(le=100)]) -> int:
    return amount


def work(called: Tool[..., Any], *args: object, **kwargs: object) -> steps.Work:
    return steps.tool_call(called, args, kwargs, None)


def frozen(called: Tool[..., Any], *args: object, **kwargs: object) -> Envelope:
    call = work(called, *args, **kwargs)
    return envelope.freeze(CLAIM, "refund#1", call, version="v1", principal="ana")


def arguments(frozen: Envelope) -> object:
    return frozen.fields["arguments"]


def test_defaults_are_in_it_and_positions_have_names() -> None:
    made = frozen(refund, 17)
    assert arguments(made) == {"order": 17, "amount": "20.00", "colour": "red"}
    assert made == frozen(refund, order=17, amount=Decimal("20.00"))


def test_it_names_all_an_approval_is_bound_to() -> None:
    made = envelope.asked(frozen(refund, 17), Asking(2, 4, "money", "e1", "later"))
    version = envelope.tool_digest(work(refund, 1))
    assert {k: v for k, v in made.fields.items() if k not in {"arguments", "kinds"}} == {
        "run": "run_1", "key": "refund#1", "revision": 1, "round": 2, "agent": "desk",
        "agent_version": "v1", "tool": "refund", "tool_digest": version,
        "effect": "once", "principal": "ana", "credential": "", "policy": 4, "rule": "money",
        "etag": "e1", "expires_at": "later",
    }  # fmt: skip


def test_what_runs_has_the_types_it_had() -> None:
    order = Order(items=[Item("cup", Decimal("3.50"))], due=date(2026, 1, 2))
    call = work(ship, order, 2)
    made = envelope.freeze(CLAIM, "k", call, version="", principal="")
    thawed = envelope.thaw(made, call)
    assert thawed == {"order": order, "weight": 2.0}
    assert type(thawed["weight"]) is float


def test_what_runs_is_fresh_each_time() -> None:
    call = work(ship, Order(items=[Item("cup", Decimal(1))]))
    made = envelope.freeze(CLAIM, "k", call, version="", principal="")
    first: Any = envelope.thaw(made, call)
    first["order"].items.clear()
    second: Any = envelope.thaw(made, call)
    assert len(second["order"].items) == 1


def test_a_tool_without_types_gets_what_it_was_given() -> None:
    call = work(loose, Item("cup", Decimal(1)), 2, key={"a": date(2026, 1, 2)}, other=[1])
    made = envelope.freeze(CLAIM, "k", call, version="", principal="")
    thawed = envelope.thaw(made, call)
    args, kwargs = loose.spread(thawed)
    assert args == (Item("cup", Decimal(1)), 2)
    assert kwargs == {"key": {"a": date(2026, 1, 2)}, "other": [1]}


@pytest.mark.parametrize(
    ("called", "given", "words"),
    [
        (loose, {"value": float("nan")}, "no canonical form"),
        (loose, {"value": 2**53}, "no canonical form"),
        (loose, {"value": "\ud800"}, "no canonical form"),
        (loose, {"value": {"\udfff": 1}}, "no canonical form"),
        (loose, {"value": object()}, "/value is of type"),
        (loose, {"value": "x" * 270_000}, "at most 262,144"),
        (limited, {"amount": 101}, "/amount: Input should be less"),
        (limited, {"amount": "many"}, "/amount: Input should be a valid integer"),
    ],
)
def test_what_cannot_be_shown_or_does_not_fit_is_refused_with_its_place(
    called: Tool[..., Any], given: dict[str, object], words: str
) -> None:
    with pytest.raises(Unfit, match=words):
        frozen(called, **given)


def test_an_edit_is_the_next_revision_and_nothing_else() -> None:
    first = envelope.asked(frozen(refund, 17, Decimal("240.00")), Asking())
    made = envelope.edited(first, {"order": 17, "amount": "40.00", "colour": "red"})
    assert made.fields["revision"] == 2
    assert made.is_edit_of(first)
    assert (made.digest == first.digest, made.action == first.action) == (False, False)
    assert envelope.thaw(made, work(refund, 1))["amount"] == Decimal("40.00")
    other = Envelope(made.data.replace(b'"tool":"refund"', b'"tool":"pay"'))
    assert not other.is_edit_of(first)


def test_an_edit_of_what_has_no_type_is_plain() -> None:
    call = work(loose, date(2026, 1, 2), key=date(2026, 1, 2))
    made = envelope.freeze(CLAIM, "k", call, version="", principal="")
    given = {**made.fields["arguments"], "value": "tomorrow"}
    thawed = envelope.thaw(envelope.edited(made, given), call)
    assert (thawed["value"], thawed["key"]) == ("tomorrow", date(2026, 1, 2))


def test_an_edit_that_does_not_fit_the_tool_does_not_run() -> None:
    made = envelope.edited(frozen(limited, 1), {"amount": 1000})
    with pytest.raises(Unfit, match="less than or equal to 100"):
        envelope.thaw(made, work(limited, 1))


def test_what_the_agent_says_differently_has_names() -> None:
    first, then = frozen(refund, 17), frozen(refund, 18)
    assert first.changes(then) == ["arguments"]
    assert envelope.asked(first, Asking(9)).changes(first) == []


def made(code: Callable[..., object], **how: Any) -> str:
    code.__name__ = "same"
    return envelope.tool_digest(work(tool(**how)(code) if how else tool(code), 1))


def test_the_version_of_a_tool_is_what_it_says_and_does() -> None:
    def one(a: int) -> int:
        return a + 1 if a in {1, 2, 3} else 0

    def same(a: int) -> int:
        return a + 1 if a in {1, 2, 3} else 0

    def other(a: int) -> int:
        return a + 2 if a in {1, 2, 3} else 0

    def wider(a: int | str) -> object:
        return a

    assert made(one) == made(same)
    assert len({made(one), made(other), made(wider), made(same, effect="read")}) == 4


def test_what_an_agent_fixes_is_an_argument_and_no_version() -> None:
    ada, bob = (refund.given(order=order) for order in (1, 2))
    first, then = (
        envelope.freeze(CLAIM, "k", work(one, **one.arguments({})), version="", principal="")
        for one in (ada, bob)
    )
    assert arguments(first) == {"order": 1, "amount": "20.00", "colour": "red"}
    assert first.changes(then) == ["arguments"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda part: st.lists(part, max_size=4) | st.dictionaries(st.text(), part, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(JSON)
def test_it_is_made_or_refused_and_what_is_made_comes_back(value: Any) -> None:
    call = work(loose, value)
    try:
        made = envelope.freeze(CLAIM, "k", call, version="", principal="")
    except Unfit:
        return
    back = envelope.thaw(made, call)["value"]
    assert json.loads(json.dumps(back)) == back == value
    again = envelope.freeze(CLAIM, "k", work(loose, back), version="", principal="")
    assert again == made
