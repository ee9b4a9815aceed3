"""Agents: how each does, and one of them with its form, tools and versions."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from agentops.accounts.models import User
from runs import fleet
from runs.models import Run, RunStatus
from tests import factories


def text(client: Client, path: str) -> str:
    shown = client.get(path).content.decode()
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", shown)).split())


def ended(
    owner: User, agent: str, *, took: float, status: str = "succeeded", version: str = ""
) -> None:
    began = timezone.now() - timedelta(hours=1)
    factories.run(owner, agent=agent, status=status, stop_reason="completed", created_at=began,
                  agent_version=version, finished_at=began + timedelta(seconds=took))  # fmt: skip


def test_each_agent_has_its_day(page: Client, ana: User) -> None:
    for took in range(1, 11):
        ended(ana, "echo", took=took)
    ended(ana, "echo", took=500, status="failed")
    told = text(page, "/agents/")
    assert "Say it again." in told
    assert "11 10 of 11 9.5 s 0" in told


def test_numbers_of_a_day_are_those_of_the_runs(page: Client, ana: User) -> None:
    factories.every_status(ana)
    now = timezone.localtime()
    days = {day.name: day for day in fleet.agent_days(
        Run.objects.all(), fleet.endings(Run.objects.all(), now), now)}  # fmt: skip
    clerk = Run.objects.filter(agent="invoice-clerk")
    assert days["invoice-clerk"].ended == clerk.filter(finished_at__isnull=False).count()
    assert days["invoice-clerk"].waiting == 1
    assert days["dependency-audit"].success == "4 of 4"
    hours = days["dependency-audit"].hours
    assert hours is not None
    assert (sum(hours.good), sum(hours.bad)) == (4, 0)
    assert all(bar.good_y + bar.good == pytest.approx(17) for bar in hours.bars)


def test_an_agent_that_is_gone_is_shown_to_those_who_have_runs_of_it(
    page: Client, ana: User, stranger: User
) -> None:
    factories.run(ana, agent="old-one")
    assert "not loaded" in text(page, "/agents/")
    told = text(page, "/agents/old-one/")
    assert "this release does not know it" in told
    assert "Start a run" not in told
    factories.run(stranger, agent="secret-one")
    assert page.get("/agents/secret-one/").status_code == 404
    assert "secret-one" not in text(page, "/agents/")


def test_one_agent_tells_of_versions_tools_and_recent_runs(page: Client, ana: User) -> None:
    ended(ana, "echo", took=2, version="1")
    ended(ana, "echo", took=4, version="0", status="failed")
    told = text(page, "/agents/echo/")
    assert "1 now 1 1 of 1" in told
    assert "0 1 0 of 1" in told
    assert "2.0 s half of them; 95 % within 2.0 s" in told
    assert "Input schema" in told


def test_an_agent_without_runs_says_so(page: Client) -> None:
    assert "It has not run yet." in text(page, "/agents/echo/")
    assert "never" in text(page, "/agents/")


def test_many_agents_stay_in_the_budget(
    page: Client, ana: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(60):
        ended(ana, f"agent-{number}", took=number)
        factories.run(ana, agent=f"agent-{number}", status=RunStatus.QUEUED)
    page.get("/agents/")
    with django_assert_max_num_queries(12):
        body = page.get("/agents/").content
    assert body.count(b"<") <= 2 * 2500
    with django_assert_max_num_queries(12):
        page.get("/agents/echo/")
