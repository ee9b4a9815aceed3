"""The shop's database: a SQLite file in the data folder, made from ``shop.sql`` at first use."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

from django.conf import settings

from agentops import Fatal, OutcomeUnknown, Retryable, ToolError
from agentops.agents.support_desk.records import Item, Order, Refund

LARGEST = Decimal("200.00")
BUSY_SECONDS = 10.0
_SEED = Path(__file__).with_name("shop.sql")
_ORDERS = """
    SELECT o.number, c.name, o.paid_cents, o.refunded_cents,
           CAST(julianday('now') - julianday(ordered_on) AS INTEGER) AS ordered,
           CAST(julianday('now') - julianday(delivered_on) AS INTEGER) AS delivered
    FROM orders o JOIN customers c ON c.email = o.customer
    WHERE o.customer = ? ORDER BY o.ordered_on DESC, o.number
"""


def file() -> Path:
    """Where the database lies."""
    return Path(settings.AGENTOPS_DATA) / "shop" / "shop.sqlite3"


@contextlib.contextmanager
def opened() -> Iterator[sqlite3.Connection]:
    """The database, for one piece of work.

    Raises Retryable while it cannot be used, Fatal when it is none; what was not committed is
    undone then.
    """
    try:
        with contextlib.closing(_connect()) as shop:
            yield shop
    except sqlite3.OperationalError as error:
        raise Retryable(f"The shop's database {file()} cannot be used: {error}.") from error
    except sqlite3.DatabaseError as error:
        raise Fatal(f"The shop's database {file()} is damaged: {error}. Delete it.") from error
    except OSError as error:
        raise Retryable(f"The shop's folder cannot be used: {error}.") from error


def _connect() -> sqlite3.Connection:
    file().parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    shop = sqlite3.connect(file(), timeout=BUSY_SECONDS, isolation_level=None)
    try:
        shop.row_factory = sqlite3.Row
        shop.execute("PRAGMA foreign_keys = ON")
        if not shop.execute("PRAGMA user_version").fetchone()[0]:
            shop.executescript(_SEED.read_text())
    except BaseException:
        shop.close()
        raise
    return shop


def orders_of(customer: str) -> list[Order]:
    """The orders of a customer, newest first; none of somebody unknown."""
    with opened() as shop:
        rows = shop.execute(_ORDERS, [customer]).fetchall()
        return [_order(shop, row) for row in rows]


def _order(shop: sqlite3.Connection, row: sqlite3.Row) -> Order:
    lines = shop.execute(
        "SELECT article, pieces, cents FROM items WHERE number = ? ORDER BY article",
        [row["number"]],
    )
    return Order(
        number=row["number"],
        customer_name=row["name"],
        items=tuple(Item(article, pieces, _euros(cents)) for article, pieces, cents in lines),
        paid=_euros(row["paid_cents"]),
        refunded=_euros(row["refunded_cents"]),
        ordered_days_ago=row["ordered"],
        delivered_days_ago=row["delivered"],
    )


def pay_back(
    *,
    key: str,
    run: str,
    customer: str,
    order: str,
    amount: Decimal,
    reason: str,
    approved: bool = False,
) -> Refund:
    """Refund a part of an order, once per ``key``.

    Raises ToolError for an order the customer does not have, for more than is left of what was
    paid, and for large amounts that no person has ``approved``: whatever rules somebody forgot.
    """
    with opened() as shop:
        shop.execute("BEGIN IMMEDIATE")
        made = _refund(shop, key)
        if made is None:
            cents = _allowed(shop, customer, order, amount, approved=approved)
            shop.execute(
                "INSERT INTO refunds (key, run, number, cents, reason) VALUES (?, ?, ?, ?, ?)",
                [key, run, order, cents, reason],
            )
            shop.execute(
                "UPDATE orders SET refunded_cents = refunded_cents + ? WHERE number = ?",
                [cents, order],
            )
            made = _refund(shop, key)
        _commit(shop)
    assert made is not None  # noqa: S101 - it was there or was just written
    return made


def refund_of(key: str) -> Refund | None:
    """The refund that a call made, if it did."""
    with opened() as shop:
        return _refund(shop, key)


def refunds_of(run: str) -> list[Refund]:
    """The refunds that a run made, oldest first."""
    with opened() as shop:
        rows = shop.execute("SELECT key FROM refunds WHERE run = ? ORDER BY rowid", [run])
        found = [_refund(shop, row["key"]) for row in rows.fetchall()]
    return [refund for refund in found if refund is not None]


def _refund(shop: sqlite3.Connection, key: str) -> Refund | None:
    row = shop.execute(
        "SELECT r.number, r.cents, r.reason, o.paid_cents - o.refunded_cents AS remaining "
        "FROM refunds r JOIN orders o USING (number) WHERE r.key = ?",
        [key],
    ).fetchone()
    if row is None:
        return None
    return Refund(row["number"], _euros(row["cents"]), _euros(row["remaining"]), row["reason"])


def account_of(customer: str, order: str) -> tuple[Decimal, Decimal]:
    """What was paid for an order, and what of it was refunded. Raises ToolError."""
    with opened() as shop:
        return _account(shop, customer, order)


def _account(shop: sqlite3.Connection, customer: str, order: str) -> tuple[Decimal, Decimal]:
    row = shop.execute(
        "SELECT paid_cents, refunded_cents FROM orders WHERE number = ? AND customer = ?",
        [order, customer],
    ).fetchone()
    if row is None:
        raise ToolError(f"{customer} has no order {order}. Look with find_orders.")
    return _euros(row["paid_cents"]), _euros(row["refunded_cents"])


def _allowed(
    shop: sqlite3.Connection, customer: str, order: str, amount: Decimal, *, approved: bool
) -> int:
    """The amount in cents. Raises ToolError."""
    paid, refunded = _account(shop, customer, order)
    left = paid - refunded
    if amount > left:
        raise ToolError(
            f"Order {order} was paid with {paid}, of which {refunded} was refunded: {amount} is "
            f"more than the {left} left."
        )
    if amount > LARGEST and not approved:
        raise ToolError(f"A refund above {LARGEST} is decided by a person. Nothing was refunded.")
    cents = amount * 100
    if cents <= 0 or cents != int(cents):
        raise ToolError(f"{amount} is no amount. Give euros and cents, such as 24.50.")
    return int(cents)


def _commit(shop: sqlite3.Connection) -> None:
    try:
        shop.execute("COMMIT")
    except sqlite3.Error as error:
        if shop.in_transaction:  # nothing was written; closing undoes it
            raise
        raise OutcomeUnknown(f"The shop's database failed while writing: {error}.") from error


def _euros(cents: int) -> Decimal:
    return Decimal(cents).scaleb(-2)
