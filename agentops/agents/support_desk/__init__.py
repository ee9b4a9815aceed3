"""Answers tickets of a small shop: model, tools, mail and refunds that really happen."""

from agentops.agents.support_desk.flow import Resolution, support_desk
from agentops.agents.support_desk.records import Ticket

__all__ = ["Resolution", "Ticket", "support_desk"]
