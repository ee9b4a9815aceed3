"""The support desk: what it does with the shop and its customers, also when everything breaks."""

from __future__ import annotations

import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from agentops import Fatal, InvalidInput, Retryable, ToolContext, ToolError, Verified
from agentops.agents.support_desk import shop, support_desk
from agentops.agents.support_desk.records import Refund
from agentops.agents.support_desk.tools import (
    find_orders,
    look_up_policy,
    refund,
    refund_is_made,
    send_reply,
)
from agentops.mail import maildir
from agentops.sdk.messages import ToolUse
from agentops.sdk.tools import Verdict
from agentops.testing import Notebook, ScriptedModel
from tests.agents.playing import output, play

BROKEN_GRINDER = {
    "customer": "bo@example.org",
    "subject": "Grinder",
    "message": "My espresso grinder came broken, please refund it.",
}
LOST_BOOTS = {
    "customer": "cem@example.org",
    "subject": "Boots",
    "message": "Order 4413 never arrived. I want my money back.",
}
OLD_BLANKET = {"subject": "Blanket", "message": "The blanket of 4390 is torn. Refund, please."}
AGAIN = {
    "customer": "dora@example.org",
    "subject": "Tea set",
    "message": "My tea set arrived broken. I want a refund.",
}
STRANGER = {"customer": "eve@example.org", "subject": "Lamp", "message": "Refund order 4411 to me."}


def rows(query: str = "SELECT number, refunded_cents FROM orders ORDER BY number") -> list[Any]:
    with closing(sqlite3.connect(shop.file())) as database:
        return database.execute(query).fetchall()


def refunded() -> dict[str, int]:
    """What the shop paid back, by order; the seed has paid back one."""
    orders = dict(rows())
    made = dict(rows("SELECT number, SUM(cents) FROM refunds GROUP BY number"))
    assert {n: c for n, c in orders.items() if c} == made, "each refund is in both tables"
    assert orders.pop("4414") == 4500
    return {number: cents for number, cents in orders.items() if cents}


def pay(call: ToolContext, order: str, amount: str, customer: str = "ana@example.org") -> Refund:
    made = refund(call, customer, order, Decimal(amount), "Broken.")
    assert isinstance(made, Refund)
    return made


def test_what_arrived_broken_is_refunded_and_the_customer_told(data: Path) -> None:
    result = play(support_desk)

    found = output(result)
    assert (result.status, result.degraded) == ("succeeded", ())
    assert found["refunds"] == [
        {"order": "4411", "amount": "89.00", "left": "24.50", "reason": "Arrived broken or wrong."}
    ]
    assert (found["refunded"], found["replied"], found["person_should_look"]) == (
        "89.00", True, False,
    )  # fmt: skip
    assert found["answered_by"] == ["scripted"]
    assert refunded() == {"4411": 8900}
    [mail] = maildir.newest(data / "mail")
    assert (mail.recipients, mail.subject) == ("ana@example.org", "Re: Lamp arrived broken")
    assert "Dear Ana" in mail.text
    assert "89.00 € of order 4411" in mail.text


@pytest.mark.parametrize(
    ("ticket", "paid", "because", "told"),
    [
        (BROKEN_GRINDER, {}, "decided by a person", "within one working day"),
        (LOST_BOOTS, {"4413": 12990}, "", "129.90 €"),
        (OLD_BLANKET, {}, "41 days after delivery", "41 days ago"),
        (AGAIN, {}, "more than the 0.00 left", "within one working day"),
        (STRANGER, {}, "not known to the shop", "send me its number"),
    ],
)
def test_the_rules_of_the_shop_decide(
    data: Path, ticket: dict[str, str], paid: dict[str, int], because: str, told: str
) -> None:
    found = output(play(support_desk, ticket))

    assert refunded() == paid
    assert because in found["because"]
    assert found["person_should_look"] is bool(because)
    [mail] = maildir.newest(data / "mail")
    assert mail.recipients == ticket.get("customer", "ana@example.org")
    assert told in mail.text


def test_a_crash_after_any_row_refunds_and_mails_once(data: Path) -> None:
    whole = play(support_desk)
    for crash_after in range(len(whole.journal.entries)):
        shutil.rmtree(data)
        crashed = play(support_desk, crash_after=crash_after)
        assert crashed.detail == "crashed"
        result = play(support_desk, journal=crashed.journal)

        assert output(result) == output(whole), crash_after
        assert refunded() == {"4411": 8900}, crash_after
        assert len(maildir.newest(data / "mail")) == 1, crash_after


def facts(book: Notebook) -> Any:
    return book.values("agent").get("customer/ana@example.org")


def test_the_desk_remembers_a_customer_and_no_other(data: Path) -> None:
    book = Notebook()
    play(support_desk, memory=book)
    assert facts(book) == ["Order 4411: 89.00 € refunded."]

    _belongs_to_another_run(data)
    found = output(play(support_desk, memory=book))
    [second] = maildir.newest(data / "mail")
    _belongs_to_another_run(data)
    play(support_desk, BROKEN_GRINDER, memory=book)

    assert found["person_should_look"] is True
    assert "thank you for writing again" in second.text
    [other] = maildir.newest(data / "mail")
    assert "again" not in other.text
    assert set(book.values("agent")) == {"customer/ana@example.org", "customer/bo@example.org"}
    assert facts(book)[1].startswith("Order 4411: nothing refunded.")


def _belongs_to_another_run(data: Path) -> None:
    """Runs in memory have one id; what was done so far was done by another then."""
    with closing(sqlite3.connect(shop.file())) as database, database:
        database.execute(
            "UPDATE refunds SET key = 'earlier', run = 'earlier' WHERE run LIKE 'run_%'"
        )
    shutil.rmtree(data / "mail")


def test_a_crash_after_any_row_remembers_once(data: Path) -> None:
    whole = play(support_desk)
    for crash_after in range(len(whole.journal.entries)):
        shutil.rmtree(data)
        crashed = play(support_desk, crash_after=crash_after)
        result = play(support_desk, journal=crashed.journal)
        assert facts(result.journal.memory) == ["Order 4411: 89.00 € refunded."], crash_after


def test_no_more_is_remembered_than_is_of_use(data: Path) -> None:
    uses = [ToolUse(str(n), "remember", {"fact": f"{n} " + "x" * 600}) for n in range(23)]
    over = ToolUse("a", "answer", {"summary": "", "replied": False, "person_should_look": True})
    book = Notebook()
    play(support_desk, models=ScriptedModel([*uses[:11], over]), memory=book)
    play(support_desk, models=ScriptedModel([*uses[12:], over]), memory=book)

    known = facts(book)
    assert isinstance(known, list)
    assert (len(known), len(known[0]), known[-1][:3]) == (20, 500, "22 ")


def test_the_model_can_neither_choose_nor_reach_another_customer(data: Path) -> None:
    greedy = ScriptedModel(
        [
            [
                ToolUse("a", "find_orders", {"customer": "bo@example.org"}),
                ToolUse("b", "refund", {"order": "4412", "amount": "10", "reason": "He says so."}),
                ToolUse("c", "send_reply", {"customer": "eve@e.org", "subject": "?", "text": "?"}),
            ],
            ToolUse("d", "answer", {"summary": "", "replied": False, "person_should_look": True}),
        ]
    )

    found = output(play(support_desk, models=greedy))

    told = {m.use_id: m.text for m in greedy.requests[1].messages if m.use_id}
    assert "/customer" in told["a"]
    assert "has no order 4412" in told["b"]
    assert "/customer" in told["c"]
    assert (found["refunds"], refunded(), maildir.newest(data / "mail")) == ([], {}, [])
    assert all("customer" not in str(t.schema["properties"]) for t in greedy.requests[0].tools)


def test_a_claim_of_the_model_is_no_refund(data: Path) -> None:
    liar = {"summary": "Refunded 89.00.", "replied": True, "person_should_look": False}

    found = output(play(support_desk, models=ScriptedModel([ToolUse("a", "answer", liar)])))

    assert (found["refunds"], found["refunded"]) == ([], "0.00")


def test_without_rules_the_desk_goes_on_and_the_run_is_degraded(data: Path) -> None:
    (data / "shop" / "policy.md").mkdir(parents=True)

    result = play(support_desk)

    assert (result.status, result.degraded) == ("succeeded", ("look_up_policy",))
    assert refunded() == {"4411": 8900}


def test_mail_that_cannot_go_out_is_left_to_a_person(data: Path, settings: Settings) -> None:
    settings.EMAIL_BACKEND = "no.such.Backend"

    found = output(play(support_desk))

    assert (found["refunded"], found["replied"]) == ("89.00", False)
    assert found["because"] == "The answer could not be sent."


@pytest.fixture
def other(call: ToolContext) -> ToolContext:
    return ToolContext(run_id=call.run_id, key="tool#2", attempt=1, deadline=0.0)


def test_one_key_one_refund(data: Path, call: ToolContext, other: ToolContext) -> None:
    arguments = ("ana@example.org", "4411", Decimal("20.00"), "Broken.")
    assert refund_is_made(call, *arguments).verdict is Verdict.NOT_DONE

    made = pay(call, "4411", "20.00")

    assert pay(call, "4411", "20.00") == made
    assert refund_is_made(call, *arguments) == Verified.done(made)
    assert refund_is_made(other, *arguments).verdict is Verdict.NOT_DONE
    assert refunded() == {"4411": 2000}


@pytest.mark.parametrize(
    ("order", "amount", "sentence"),
    [
        ("4411", "113.51", "more than the 113.50 left"),
        ("4411", "0", "is no amount"),
        ("4411", "-5", "is no amount"),
        ("4411", "0.001", "is no amount"),
        ("4411", "1e40", "more than"),
        ("4412", "1", "has no order 4412"),
        ("none", "1", "has no order none"),
    ],
)
def test_no_more_is_refunded_than_may_be(
    data: Path, call: ToolContext, order: str, amount: str, sentence: str
) -> None:
    with pytest.raises(ToolError, match=sentence):
        pay(call, order, amount)

    assert refunded() == {}


def test_parts_never_come_to_more_than_was_paid(data: Path) -> None:
    def attempt(number: int) -> str:
        call = ToolContext(run_id=f"run_{number}", key="refund#1", attempt=1, deadline=0.0)
        try:
            return str(pay(call, "4411", "30.00").amount)
        except ToolError:
            return "refused"

    with ThreadPoolExecutor(8) as pool:
        came = list(pool.map(attempt, range(8)))

    assert sorted(came) == ["30.00"] * 3 + ["refused"] * 5
    assert refunded() == {"4411": 9000}


def test_the_shop_is_made_once_however_many_open_it(data: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(shop.orders_of, ["ana@example.org"] * 8))

    assert all(found == seen[0] for found in seen)
    assert [order.number for order in seen[0]] == ["4411", "4390"]
    assert shop.orders_of("nobody@example.org") == []


def test_a_busy_database_is_tried_again_and_a_broken_one_not(
    data: Path, call: ToolContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shop, "BUSY_SECONDS", 0.05)
    find_orders("ana@example.org")
    with closing(sqlite3.connect(shop.file(), isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        with pytest.raises(Retryable, match="locked"):
            pay(call, "4411", "20.00")
    assert refunded() == {}

    shop.file().write_bytes(b"no database, only words" * 100)
    with pytest.raises(Fatal, match="damaged"):
        pay(call, "4411", "20.00")


def test_the_rules_are_found_by_topic_and_may_be_ones_own(data: Path) -> None:
    assert str(look_up_policy("a damaged lamp")).startswith("## Damaged or wrong goods")
    assert "Late delivery, Large amounts" in str(look_up_policy("xylophones"))

    (data / "shop").mkdir(parents=True)
    (data / "shop" / "policy.md").write_text("# Ours\n\n## Lamps\n\nNever refund a lamp.\n")
    assert look_up_policy("lamps") == "## Lamps\n\nNever refund a lamp."


def test_models_are_told_of_an_amount_in_words_every_provider_takes() -> None:
    schema = refund.given(customer="ana@example.org").schema["properties"]
    assert schema == {
        "order": {"title": "Order", "type": "string"},
        "amount": {"type": "string", "description": "Euros and cents: 24.50", "title": "Amount"},
        "reason": {"title": "Reason", "type": "string"},
    }
    for given in ("20.00", 20, 20.5):
        arguments = refund.arguments({"customer": "a", "order": "1", "amount": given, "reason": ""})
        assert arguments["amount"] == Decimal(str(given))


def test_a_subject_of_two_lines_sends_nothing(data: Path, call: ToolContext) -> None:
    with pytest.raises(Fatal, match="cannot be made"):
        send_reply(call, "ana@example.org", "Hi\nBcc: eve@example.org", "?")

    assert maildir.newest(data / "mail") == []


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"customer": "nobody"}, "/customer"),
        ({"customer": "a@b\nBcc: c@d"}, "/customer"),
        ({"text": "?"}, "/text"),
        ({"message": 7}, "/message"),
    ],
)
def test_wrong_input_is_refused_where_it_is_wrong(given: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        support_desk.validate_input(given)

    assert refused.value.path == path
