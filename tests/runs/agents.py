"""Agents for tests of the doors: they are started, never run."""

from __future__ import annotations

from pydantic import BaseModel

from agentops import RunContext, agent


class Ticket(BaseModel):
    """What the agent works on."""

    ticket: str
    urgency: int = 0


@agent(name="echo", version="1", title=lambda ticket: ticket.ticket)
async def echo(ctx: RunContext, ticket: Ticket) -> str:
    """Say it again."""
    return ticket.ticket


@agent(name="anything", version="1", timeout=60, queue="slow")
async def anything(ctx: RunContext, value: object = None) -> object:
    """Take any value."""
    return value


def _no_title(value: object) -> str:
    raise ZeroDivisionError


@agent(name="odd-title", version="1", title=lambda value: "a\0b\ud800")
async def odd_title(ctx: RunContext, value: object = None) -> object:
    """Its title holds what PostgreSQL does not store."""
    return value


@agent(name="bad-title", version="1", title=_no_title)
async def bad_title(ctx: RunContext, value: object = None) -> object:
    """Its title function is broken."""
    return value


@agent(name="pair", version="1")
async def pair(ctx: RunContext, left: str, right: str) -> str:
    """Take two texts, so that one alone belongs nowhere."""
    return left + right


@agent(name="talkative", version="1")
async def talkative(ctx: RunContext, message: str, loud: bool = False) -> str:
    """Take a text, and how to say it."""
    return message.upper() if loud else message
