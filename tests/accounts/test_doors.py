"""Every door asks who may do what, or stands in the short list of those open to everybody."""

from __future__ import annotations

from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client

from agentops.accounts.actors import actor_of
from agentops.api.authentication import (
    ConsoleSession,
    Password,
    SeenPassword,
    TokenAuthentication,
)
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
    "/api/v1/agents/<str:name>": "one of them",
    "/settings/password/": "everybody's own, with the present one",
    "/settings/": "leads to one's own profile",
    "/sign-in/again/": "is where one says once more who one is",
    "/settings/keys/": "the keys of the console; what one chose is in one's own cookie",
}
# allauth's pages about one's own second factors; they ask for a sign-in, and often for a fresh one.
FACTORS = "/settings/security/"
HANDLERS = [
    pytest.param(address, handler, kind, id=f"{method} {address}")
    for address, view in doors()
    for method, handler, kind in handlers(view)
]


@pytest.mark.parametrize(("address", "handler", "kind"), HANDLERS)
def test_a_door_asks_who_may(address: str, handler: Any, kind: type | None) -> None:
    if address not in {*PUBLIC, *SHARED} and not address.startswith(FACTORS):
        assert asks(handler, kind), f"{address} asks nobody; use authorize, visible_to or actor_of."


@pytest.mark.parametrize("pattern", websocket_urlpatterns, ids=str)
def test_a_consumer_asks_who_may(pattern: Any) -> None:
    consumer = pattern.callback.consumer_class
    assert any(asks(method, consumer) for method in vars(consumer).values())


@pytest.mark.parametrize(
    "view", sorted({view.cls for _, view in doors() if hasattr(view, "cls")}, key=str), ids=str
)
def test_a_door_of_the_api_knows_who_may_not_come_in_yet(view: Any) -> None:
    """The middleware leaves these to their authentication."""
    assert set(view.authentication_classes) <= {
        TokenAuthentication, ConsoleSession, Password, SeenPassword,
    }  # fmt: skip


@pytest.mark.django_db
@pytest.mark.parametrize("address", [at for at, _ in doors() if at.startswith(FACTORS)])
def test_the_pages_about_factors_ask_for_a_sign_in(client: Client, address: str) -> None:
    answer = client.get(address.replace("<int:pk>", "1"))
    assert answer.status_code == 302
    assert answer["location"].startswith("/sign-in/")


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
