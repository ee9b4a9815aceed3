"""What the desk can do. ``customer`` is the ticket's: the agent gives it, no model chooses it."""

from __future__ import annotations

import hashlib
import re
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated

from django.conf import settings
from pydantic import WithJsonSchema

from agentops import Preview, ToolContext, Verified, tool
from agentops.agents.support_desk import shop
from agentops.agents.support_desk.records import Order, Refund
from agentops.mail import sending
from agentops.mail.sending import Mailed

_SHIPPED = Path(__file__).with_name("policy.md")
_SECTIONS = 2
MOST_FACTS, LONGEST_FACT = 20, 500
REMEMBERED = timedelta(days=365)
_LONGEST_NAME = 150
# As a text: providers differ in what they make of numbers and of pydantic's pattern for them.
Euros = Annotated[
    Decimal, WithJsonSchema({"type": "string", "description": "Euros and cents: 24.50"})
]


@tool(effect="read", timeout=20)
def find_orders(customer: str) -> list[Order]:
    """The orders of the customer who wrote the ticket, newest first; amounts are in euros."""
    return shop.orders_of(customer)


@tool(effect="read", timeout=10, retries=1, optional=True)
def look_up_policy(topic: str) -> str:
    """The sections of the shop's rules about a topic, such as “damaged goods” or “late parcel”."""
    own = Path(settings.AGENTOPS_DATA) / "shop" / "policy.md"
    text = (own if own.exists() else _SHIPPED).read_text(encoding="utf-8")
    sections = re.split(r"\n(?=## )", text)[1:]
    wanted = _stems(topic)
    rated = sorted(sections, key=lambda section: -len(wanted & _stems(section)))
    found = [section.strip() for section in rated[:_SECTIONS] if wanted & _stems(section)]
    if found:
        return "\n\n".join(found)
    return "There are sections about " + ", ".join(s.partition("\n")[0][3:] for s in sections)


def refund_is_made(ctx: ToolContext, *_: object, **__: object) -> Verified:
    """The shop keeps the key of every call that refunded something."""
    made = shop.refund_of(ctx.idempotency_key)
    return Verified.not_done() if made is None else Verified.done(made)


# A preview is called with all arguments of its tool.
def refund_would(customer: str, order: str, amount: Euros, reason: str) -> Preview:  # noqa: ARG001
    """What a person sees before they decide. The order refunded otherwise meanwhile: asked anew."""
    paid, refunded = shop.account_of(customer, order)
    return Preview(
        f"{customer} gets {amount} € of the {paid} € paid for order {order}.",
        {"refunded, €": (refunded, refunded + amount)},
        etag=f"{order}: {refunded} of {paid}",
    )


@tool(effect="once", timeout=30, retries=3, verify=refund_is_made, preview=refund_would)
def refund(ctx: ToolContext, customer: str, order: str, amount: Euros, reason: str) -> Refund:
    """Pay back ``amount`` euros of one of the customer's orders. Cannot be undone."""
    return shop.pay_back(
        key=ctx.idempotency_key,
        run=ctx.run_id,
        customer=customer,
        order=order,
        amount=amount,
        reason=reason,
        approved=bool(ctx.approval),
    )


def reply_is_sent(ctx: ToolContext, customer: str, **_: object) -> Verified:
    """As far as anybody here can know."""
    return Verified(sending.was_sent(ctx), sending.mailed(ctx, [customer]))


@tool(effect="once", timeout=60, retries=4, verify=reply_is_sent)
def send_reply(ctx: ToolContext, customer: str, subject: str, text: str) -> Mailed:
    """Send the customer one e-mail in plain text."""
    return sending.send(ctx, [customer], subject, text)


@tool(effect="transactional", timeout=20, retries=3)
def remember(ctx: ToolContext, customer: str, fact: str) -> str:
    """Keep a fact about this customer for later tickets, in one sentence of your own."""
    known = ctx.memory.get(notes_on(customer), scope="agent")
    before = known.value if known is not None and isinstance(known.value, list) else []
    facts = [*(old for old in before if old != fact), fact[:LONGEST_FACT]][-MOST_FACTS:]
    ctx.memory.put(notes_on(customer), facts, ttl=REMEMBERED, scope="agent")
    return "Remembered."


def notes_on(customer: str) -> str:
    """The key under which the agent remembers a customer."""
    if len(customer) <= _LONGEST_NAME:
        return f"customer/{customer.lower()}"
    return f"customer/{hashlib.sha256(customer.lower().encode()).hexdigest()}"


@tool(effect="read", timeout=20)
def refunds_made(ctx: ToolContext) -> list[Refund]:
    """What this run refunded, as the shop has it."""
    return shop.refunds_of(ctx.run_id)


def _stems(text: str) -> set[str]:
    """The beginnings of its longer words, which is how “refunds” finds “refunded”."""
    return {word[:5] for word in re.findall(r"[^\W\d_]{4,}", text.lower())}
