"""Every door asks who may do what, or stands in the short list of those open to everybody."""

from __future__ import annotations

from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse

from agentops.accounts.actors import actor_of
from agentops.routing import websocket_urlpatterns
from tests.accounts.doors import asks, doors, handlers

# Why nobody is asked there.
PUBLIC = {
    "/": "leads to the list of runs, which asks",
    "/sign-in/": "is where one says who one is",
    "/sign-out/": "ends the session it comes with, if any",
    "/signed-out/": "says so",
    "/settings/theme/": "sets a cookie of whoever asks",
    "/api/v1/schema": "is the contract, the same for everybody",
    "/api/v1/": "says that there is nothing",
}
# What is the same for everybody who signed in; the default permission and signed_in() ask that.
SHARED = {
    "/api/v1/info": "the installation and its limits",
    "/api/v1/try": "the page to try the API, drawn from the schema",
    "/api/v1/agents": "the agents of the installation and their schemas",
    "/settings/password/": "everybody's own",
    "/settings/keys/": "the keys of the console; what one chose is in one's own cookie",
}
HANDLERS = [
    pytest.param(address, handler, kind, id=f"{method} {address}")
    for address, view in doors()
    for method, handler, kind in handlers(view)
]


@pytest.mark.parametrize(("address", "handler", "kind"), HANDLERS)
def test_a_door_asks_who_may(address: str, handler: Any, kind: type | None) -> None:
    if address not in PUBLIC and address not in SHARED:
        assert asks(handler, kind), f"{address} asks nobody; use authorize, visible_to or actor_of."


@pytest.mark.parametrize("pattern", websocket_urlpatterns, ids=str)
def test_a_consumer_asks_who_may(pattern: Any) -> None:
    consumer = pattern.callback.consumer_class
    assert any(asks(method, consumer) for method in vars(consumer).values())


def test_what_is_public_still_exists() -> None:
    assert {*PUBLIC, *SHARED} <= {address for address, _ in doors()}


def test_a_door_that_forgot_to_ask_is_found() -> None:
    def forgot(request: HttpRequest) -> HttpResponse:
        return HttpResponse(request.user.get_username())

    def asked(request: HttpRequest) -> HttpResponse:
        return HttpResponse(actor_of(request).name)

    for view in (forgot, asked):
        view.__module__ = "runs.views.made_up"
    assert not asks(forgot)
    assert asks(asked)
