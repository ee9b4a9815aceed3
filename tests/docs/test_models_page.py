"""What the page about models shows works: its candidates can be read, its addresses answer."""

from __future__ import annotations

import json
import re

import pytest
from django.test import Client

from agentops.accounts.roles import Role
from agentops.launcher.home import PROJECT
from agentops.providers import routing
from tests import people

PAGE = (PROJECT / "docs/how-to/choose-models.md").read_text()


def test_the_candidates_of_the_page_can_be_read() -> None:
    [text] = re.findall(r"<!-- candidates -->\s*```json\n(.*?)```", PAGE, re.DOTALL)
    assert next(c.endpoint for c in routing.candidates(json.loads(text))) == "anthropic"


def test_the_mistake_of_the_page_is_the_one_that_is_told() -> None:
    with pytest.raises(ValueError, match="/1/model: Field required"):
        routing.candidates([{"endpoint": "a", "model": "m"}, {"endpoint": "b"}])


def test_the_addresses_of_the_page_answer(db: None) -> None:
    ana = people.person("ana", Role.OPERATOR)
    client = Client(headers={"authorization": f"Bearer {people.token(ana)}"})
    found = re.findall(r'"\$AGENTOPS_URL(/api/v1/[^"]*)"', PAGE)
    assert len(found) == 2
    for address in found:
        assert client.get(address).status_code == 200
