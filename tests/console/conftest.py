"""What tests of the console share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.test import Client

from agentops.accounts.models import User
from agentops.accounts.roles import Role
from agentops.sdk import catalog
from tests import people


@pytest.fixture(autouse=True)
def _agents() -> Iterator[None]:
    before = catalog.catalog().modules
    catalog.configure(("tests.runs.agents",))
    yield
    catalog.configure(before)


@pytest.fixture
def ana(db: None) -> User:
    return people.person("ana", Role.OPERATOR)


@pytest.fixture
def stranger(db: None) -> User:
    return User.objects.create_user("sven", password="x")


@pytest.fixture
def operator(db: None) -> User:
    return people.administrator("opal")


@pytest.fixture
def page(ana: User) -> Client:
    """A browser in which ana is signed in."""
    client = Client()
    client.force_login(ana)
    return client
