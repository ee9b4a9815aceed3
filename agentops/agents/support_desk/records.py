"""What the support desk gets, finds out and does."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from agentops.mail.addresses import MailAddress


class Ticket(BaseModel):
    """What a customer wrote. Without input: a lamp that arrived broken."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    customer: MailAddress = Field(
        "ana@example.org", description="Who wrote it; answers go there and nowhere else."
    )
    subject: str = Field("Lamp arrived broken", max_length=200)
    message: str = Field(
        "Hello, the brass desk lamp of order 4411 arrived with a cracked shade. I would like my "
        "money back for it, please. Ana",
        max_length=20_000,
    )


@dataclass(frozen=True, slots=True)
class Item:
    """A line of an order."""

    article: str
    pieces: int
    price: Decimal
    """Of one piece."""


@dataclass(frozen=True, slots=True)
class Order:
    """An order of a customer. Money is in euros."""

    number: str
    customer_name: str
    items: tuple[Item, ...]
    paid: Decimal
    refunded: Decimal
    ordered_days_ago: int
    delivered_days_ago: int | None
    """None while it is on its way."""


@dataclass(frozen=True, slots=True)
class Refund:
    """Money that went back to a customer."""

    order: str
    amount: Decimal
    left: Decimal
    """What of the order's price has not been refunded."""
    reason: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the model says about its work on a ticket."""

    summary: Annotated[str, Field(description="What was asked and what was done, briefly.")]
    replied: Annotated[bool, Field(description="Whether the customer was sent an answer.")]
    person_should_look: bool
    because: Annotated[str, Field(description="Why a person should look, in a sentence.")] = ""
