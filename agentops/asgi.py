"""The web process: HTTP through Django, websockets through Channels."""

from __future__ import annotations

import gc
import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentops.settings")

# Django is set up here, so that the imports below may use models.
http = get_asgi_application()

from channels.auth import AuthMiddlewareStack  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402

from agentops import health  # noqa: E402
from agentops.routing import websocket_urlpatterns  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": health.answering(http),
        "websocket": AllowedHostsOriginValidator(
            # The stubs name a private type where Django's path() gives a URLPattern.
            AuthMiddlewareStack(URLRouter(websocket_urlpatterns))  # type: ignore[arg-type]
        ),
    }
)

# What is loaded by now stays: to look at it for garbage would stop everybody for a while.
gc.collect()
gc.freeze()
