"""The part that is played where no provider of models has a key.

It works on the ticket as a careful clerk would: with the tools it is offered, by what they
answer, and it never says that something was done which was not.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation

from pydantic import TypeAdapter

from agentops.agents.support_desk.records import Item, Order
from agentops.sdk.messages import Message, Role, ToolUse
from agentops.sdk.models import ModelRequest
from agentops.sdk.scripted import Answer

REFUND_DAYS = 30
LOST_DAYS = 14
_WANTS_MONEY = re.compile(r"refund|money back|reimburs|charge ?back|my money", re.IGNORECASE)
_IS_BROKEN = re.compile(
    r"broken|crack|damag|defect|scratch|torn|faulty|wrong|missing|leak", re.IGNORECASE
)
_IS_LATE = re.compile(
    r"not (?:yet )?(?:arrived|come)|never (?:arrived|came)|where is|late|lost", re.IGNORECASE
)
_AMOUNT = re.compile(
    r"(?:€|\beur(?:os?)?)\s?(\d+(?:[.,]\d\d)?)|(\d+(?:[.,]\d\d)?)\s?(?:€|eur)", re.IGNORECASE
)
_ORDERS = TypeAdapter(list[Order])


@dataclass
class Desk:
    """What is known of a ticket at this point of the talk."""

    ticket: str
    offered: set[str]
    notes: str = ""
    told: dict[str, Message] = field(default_factory=dict)

    @property
    def orders(self) -> list[Order]:
        return _ORDERS.validate_python(_data(self.told.get("find_orders")) or [])

    @property
    def order(self) -> Order | None:
        """The order it is about: by number, by article, or the only one there is."""
        numbers = set(re.findall(r"\d{3,}", self.ticket))
        named = [o for o in self.orders if o.number in numbers]
        named = named or [o for o in self.orders if _articles(o, self.ticket)]
        if named:
            return named[0]
        return self.orders[0] if len(self.orders) == 1 and not numbers else None

    @property
    def name(self) -> str:
        return self.orders[0].customer_name.split()[0] if self.orders else "there"

    @property
    def refused(self) -> str:
        """Why the shop refused the refund, if it did."""
        answer = self.told.get("refund")
        return answer.text if answer is not None and answer.failed else ""

    @property
    def paid_back(self) -> Decimal:
        answer = self.told.get("refund")
        made = None if answer is None or answer.failed else _data(answer)
        return Decimal(str(made["amount"])) if isinstance(made, dict) else Decimal(0)


def play(request: ModelRequest) -> Answer:
    """The next thing to do for the ticket."""
    desk = _desk(request)
    if not desk.told:
        return _look(desk)
    amount = _due(desk)
    if amount and "refund" in desk.offered - set(desk.told):
        order = desk.order
        assert order is not None  # noqa: S101 - something of it is due
        asked = {"order": order.number, "amount": str(amount), "reason": _reason(desk)}
        return ToolUse("refund", "refund", {**asked})
    text, because = _letter(desk)
    uses = [
        ToolUse("reply", "send_reply", {"subject": _subject(desk), "text": text}),
        ToolUse("note", "remember", {"fact": _fact(desk, because)}),
    ]
    uses = [use for use in uses if use.name in desk.offered - set(desk.told)]
    if uses:
        return uses[0]
    return ToolUse("answer", "answer", _outcome(desk, because))


def _desk(request: ModelRequest) -> Desk:
    said = [message.text for message in request.messages if message.role is Role.USER]
    desk = Desk(said[-1] if said else "", {tool.name for tool in request.tools})
    desk.notes = "".join(said[:-1])
    desk.told = {m.name: m for m in request.messages if m.role is Role.TOOL}
    return desk


def _look(desk: Desk) -> list[ToolUse]:
    """Orders and rules at once."""
    topic = "late delivery" if _IS_LATE.search(desk.ticket) else "returns and refunds"
    topic = "damaged goods" if _IS_BROKEN.search(desk.ticket) else topic
    uses = [
        ToolUse("orders", "find_orders", {}),
        ToolUse("policy", "look_up_policy", {"topic": topic}),
    ]
    return [use for use in uses if use.name in desk.offered]


def _due(desk: Desk) -> Decimal:
    """What the rules say goes back; nothing when they leave it to a person."""
    order = desk.order
    if order is None or not _WANTS_MONEY.search(desk.ticket):
        return Decimal(0)
    if order.delivered_days_ago is None:
        is_lost = order.ordered_days_ago > LOST_DAYS
        return order.paid - order.refunded if is_lost else Decimal(0)
    if not _IS_BROKEN.search(desk.ticket) or order.delivered_days_ago > REFUND_DAYS:
        return Decimal(0)
    articles = _articles(order, desk.ticket)
    price = sum((item.price * item.pieces for item in articles), Decimal(0)) or order.paid
    return min(_named_amount(desk.ticket) or price, price)


def _named_amount(text: str) -> Decimal | None:
    found = _AMOUNT.search(text)
    try:
        return Decimal((found[1] or found[2]).replace(",", ".")) if found else None
    except InvalidOperation:
        return None


def _articles(order: Order, text: str) -> list[Item]:
    """The articles of the order that the text speaks of, by their last word."""
    return [i for i in order.items if re.search(rf"\b{i.article.split()[-1]}", text, re.IGNORECASE)]


def _reason(desk: Desk) -> str:
    return "Arrived broken or wrong." if _IS_BROKEN.search(desk.ticket) else "Never arrived."


def _letter(desk: Desk) -> tuple[str, str]:
    """What the customer is told, and why a person should look, if one should."""
    body, because = _news(desk)
    if desk.order is not None and f"rder {desk.order.number}:" in desk.notes:
        body = f"thank you for writing again. {body[0].upper()}{body[1:]}"
    return f"Dear {desk.name},\n\n{body}\n\nKind regards,\nyour shop\n", because


def _news(desk: Desk) -> tuple[str, str]:
    order = desk.order
    colleague = "A colleague of mine answers you within one working day."
    if order is None:
        return (
            "thank you for writing. I could not tell which of your orders this is about; please "
            "send me its number, which is on the invoice.",
            "" if desk.orders else "The address of the customer is not known to the shop.",
        )
    if desk.paid_back:
        return (
            f"I am sorry about this. I have refunded {desk.paid_back:.2f} € of order "
            f"{order.number}; the money is with you within five days. There is nothing you have "
            "to send back.",
            "",
        )
    if desk.refused:
        return f"I am sorry about this. {colleague}", f"The shop refused: {desk.refused}"
    return _without_money(desk, order, colleague)


def _without_money(desk: Desk, order: Order, colleague: str) -> tuple[str, str]:
    days = order.delivered_days_ago
    if days is None:
        sent = (
            f"order {order.number} was placed {order.ordered_days_ago} days ago and is on its way"
        )
        if order.ordered_days_ago > LOST_DAYS:
            return f"{sent}; it counts as lost. {colleague}", "A parcel is lost."
        return f"{sent}. If it is not here after {LOST_DAYS} days, write to me again.", ""
    if not _WANTS_MONEY.search(desk.ticket):
        return f"thank you for writing about order {order.number}. {colleague}", (
            "The desk has no rule for this question."
        )
    if days > REFUND_DAYS:
        return f"order {order.number} reached you {days} days ago. {colleague}", (
            f"A refund is wanted {days} days after delivery."
        )
    return (
        f"you may return what you did not use of order {order.number} within {REFUND_DAYS} days; "
        f"the money goes back once the parcel is here. {colleague}",
        "A return has to be looked at.",
    )


def _subject(desk: Desk) -> str:
    found = re.search(r"^Subject: *(.+)$", desk.ticket, re.MULTILINE)
    return f"Re: {found[1].strip()}" if found else "Your message"


def _outcome(desk: Desk, because: str) -> dict[str, object]:
    reply = desk.told.get("send_reply")
    replied = reply is not None and not reply.failed
    if not replied:
        because = f"{because} The answer could not be sent.".strip()
    return {
        "summary": f"{_done(desk)}, {'answered' if replied else 'not answered'}.",
        "replied": replied,
        "person_should_look": bool(because),
        "because": because,
    }


def _done(desk: Desk) -> str:
    about = f"Order {desk.order.number}" if desk.order else "No order was found"
    did = f"{desk.paid_back:.2f} € refunded" if desk.paid_back else "nothing refunded"
    return f"{about}: {did}"


def _fact(desk: Desk, because: str) -> str:
    return f"{_done(desk)}. {because}".strip()


def _data(message: Message | None) -> object:
    """What a tool returned. Before it may stand what a person changed about the call."""
    if message is None or message.failed:
        return None
    try:
        return json.loads(message.text.rpartition("\n\n")[2])
    except ValueError:
        return None
