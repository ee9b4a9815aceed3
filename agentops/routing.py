"""Which consumer answers which websocket address.

Origin and session are checked around all of them, in ``agentops.asgi``.
"""

from __future__ import annotations

from django.urls import URLPattern

from runs import routing

websocket_urlpatterns: list[URLPattern] = [*routing.websocket_urlpatterns]
