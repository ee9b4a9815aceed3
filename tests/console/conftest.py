"""What tests of the console share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.test import Client

from agentops.accounts.models import User
from agentops.sdk import catalog


@pytest.fixture(autouse=True)
def _agents() -> Iterator[None]:
    before = catalog.catalog().modules
    catalog.configure(("tests.runs.agents",))
    yield
    catalog.configure(before)


@pytest.fixture
def ana(db: None) -> User:
    return User.objects.create_user("ana", password="x")


@pytest.fixture
def stranger(db: None) -> User:
    return User.objects.create_user("sven", password="x")


@pytest.fixture
def operator(db: None) -> User:
    return User.objects.create_user("opal", password="x", is_staff=True)


@pytest.fixture
def page(ana: User) -> Client:
    """A browser in which ana is signed in."""
    client = Client()
    client.force_login(ana)
    return client
