"""Every page answers, to whom it should."""

from __future__ import annotations

import pytest
from django.test import Client

from agentops.accounts.models import User
from tests import factories


def test_every_run_can_be_looked_at(page: Client, ana: User) -> None:
    runs = factories.every_status(ana)
    assert page.get("/runs/").status_code == 200
    for run in runs.values():
        for view in ("timeline", "conversation", "journal", "related"):
            answer = page.get(f"/runs/{run.public_id}/", {"view": view})
            assert answer.status_code == 200, (run.title, view)
            assert run.public_id in answer.content.decode()


@pytest.mark.parametrize("path", ["/agents/", "/agents/echo/", "/agents/anything/"])
def test_agents_are_shown(page: Client, path: str) -> None:
    assert page.get(path).status_code == 200


def test_gallery(operator: User) -> None:
    client = Client()
    client.force_login(operator)
    assert client.get("/system/gallery/").status_code == 200


def test_after_sign_in_one_lands_on_the_overview(page: Client) -> None:
    answer = page.get("/sign-in/", follow=True)
    assert answer.redirect_chain == [("/", 302)]
    assert "<h1>Overview</h1>" in answer.content.decode()
