"""A server that speaks like the providers of models, answers what a test wrote, and breaks.

In a test::

    async with ModelServer([Answer(calls=(Call("look", {"at": "sky"}),)), "It is blue."]) as server:
        ...  # ask at server.openai or server.anthropic
        assert len(server.asked) == 2

As a process of its own: ``python -m tests.modelserver --port 8123 --delay 0.2 --log asked.jsonl``.
What it answers is then decided by the name of the model asked for; see ``behaviours``.
"""

from tests.modelserver.answers import Answer, Call
from tests.modelserver.asked import Asked, Count
from tests.modelserver.faults import FAULTS, Fault
from tests.modelserver.server import ModelServer

__all__ = ["FAULTS", "Answer", "Asked", "Call", "Count", "Fault", "ModelServer"]
