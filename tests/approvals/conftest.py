"""What tests of approvals share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agentops.accounts.models import User
from agentops.accounts.roles import Role
from agentops.sdk import catalog
from approvals.models import Request
from tests import people
from tests.approvals import making


@pytest.fixture(autouse=True)
def _agents() -> Iterator[None]:
    before = catalog.catalog()
    catalog.configure(("tests.runs.agents",))
    yield
    catalog._catalog = before


@pytest.fixture
def owner(db: None) -> User:
    """For whom the runs are."""
    return people.person("olga", Role.OPERATOR)


@pytest.fixture
def ada(db: None) -> User:
    """Somebody who decides."""
    return making.approver("ada")


@pytest.fixture
def bo(db: None) -> User:
    """Somebody else who decides."""
    return making.approver("bo")


@pytest.fixture
def asked(owner: User) -> Request:
    """A refund that waits for one approver."""
    return making.approval(making.waiting_run(owner))
