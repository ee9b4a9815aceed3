"""What tests of runs share: agents, people, and a worker that is a few rows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agentops.accounts.models import User
from agentops.accounts.roles import Role
from agentops.sdk import catalog
from tests import people
from tests.runs.fake_worker import FakeWorker


@pytest.fixture(autouse=True)
def _agents() -> Iterator[None]:
    before = catalog.catalog()
    catalog.configure(("tests.runs.agents",))
    yield
    catalog._catalog = before


@pytest.fixture
def owner(db: None) -> User:
    return people.person("olga", Role.OPERATOR)


@pytest.fixture
def stranger(db: None) -> User:
    return User.objects.create_user("sven", password="x")


@pytest.fixture
def operator(db: None) -> User:
    return people.administrator("opal")


@pytest.fixture
def worker(db: None) -> FakeWorker:
    return FakeWorker.born()
