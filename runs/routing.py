"""Addresses of sockets about runs."""

from __future__ import annotations

from django.urls import path

from runs.consumers import Console

# The stubs of path() know views only.
websocket_urlpatterns = [path("live/", Console.as_asgi())]  # type: ignore[arg-type]
