"""Live updates: one hub per web process reads what is new and draws it once for all who watch.

Hints say which runs have news. They may be lost; the hub looks by itself as well.
"""

from runs.live.hub import Hub, hub, subscribe

__all__ = ["Hub", "hub", "subscribe"]
