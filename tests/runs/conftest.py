"""What tests of runs share: agents, people, and a worker that is a few rows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agentops.accounts.models import User
from agentops.sdk import catalog
from tests.runs.fake_worker import FakeWorker


@pytest.fixture(autouse=True)
def _agents() -> Iterator[None]:
    before = catalog.catalog()
    catalog.configure(("tests.runs.agents",))
    yield
    catalog._catalog = before


@pytest.fixture
def owner(db: None) -> User:
    return User.objects.create_user("olga", password="x")


@pytest.fixture
def stranger(db: None) -> User:
    return User.objects.create_user("sven", password="x")


@pytest.fixture
def operator(db: None) -> User:
    return User.objects.create_user("opal", password="x", is_staff=True)


@pytest.fixture
def worker(db: None) -> FakeWorker:
    return FakeWorker.born()
