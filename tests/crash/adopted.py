"""What its owner says about the help desk, to let more of it be repeated."""

from __future__ import annotations

from agentops import adopt
from tests.crash.desk import desk

help_desk = adopt(desk, effects={"look_up": "read", "reserve": "idempotent"})
