"""The sentences of ``manage.py check``: each appears when it should, and only then."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.checks import CheckMessage
from pytest_django import Settings

import agentops
from agentops import checks
from agentops.sdk import catalog


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(str(tmp_path))
    before = catalog.catalog().modules
    yield tmp_path
    catalog.configure(before)


def ids(messages: list[CheckMessage]) -> list[str | None]:
    return [message.id for message in messages]


def test_a_broken_module_is_told_with_its_place(modules: Path) -> None:
    (modules / "broken_agents.py").write_text("import nothing_of_that_name\n")
    catalog.configure(("broken_agents",))
    (message,) = checks.author_modules_import()
    assert "broken_agents does not import" in message.msg
    assert "nothing_of_that_name" in message.msg
    assert "take broken_agents out of AGENTOPS_AGENTS" in str(message.hint)


def test_a_pydantic_ai_agent_without_a_name_is_told(modules: Path) -> None:
    source = "from pydantic_ai import Agent\nhelper = Agent()\ndesk = Agent(name='check_desk')\n"
    (modules / "nameless_agents.py").write_text(source)
    catalog.configure(("nameless_agents",))
    (message,) = checks.author_modules_import()
    assert message.msg.startswith("nameless_agents.helper is a Pydantic AI agent without a name.")
    assert [agent.name for agent in catalog.catalog().agents()] == ["check-desk"]


def test_a_package_of_another_origin_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert checks.our_package_is_ours() == []
    monkeypatch.setattr(agentops, "__file__", str(tmp_path / "agentops/__init__.py"))
    assert ids(checks.our_package_is_ours()) == ["agentops.E001"]


def test_an_installed_namesake_is_told(modules: Path) -> None:
    folder = modules / "agentops-9.9.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: agentops\nVersion: 9.9\n")
    assert ids(checks.our_package_is_ours()) == ["agentops.W001"]


def test_a_lease_shorter_than_two_heartbeats_is_refused(settings: Settings) -> None:
    assert checks.engine_settings_fit() == []
    settings.AGENTOPS_LEASE_SECONDS = 9
    assert ids(checks.engine_settings_fit()) == ["agentops.E002"]


@pytest.mark.parametrize("name", ["", "Fast", "a b", "-a", "a,b"])
def test_a_queue_needs_a_plain_name(settings: Settings, name: str) -> None:
    settings.AGENTOPS_QUEUES = ["default", name]
    assert ids(checks.engine_settings_fit()) == ["agentops.E003"]


def test_production_without_tls_or_keys_is_told(settings: Settings) -> None:
    settings.AGENTOPS_PUBLIC_URL = "http://agents.example.org"
    settings.AGENTOPS_FIELD_KEYS = []
    assert ids(checks.production_is_reachable_safely()) == ["agentops.W003", "agentops.W004"]
    settings.AGENTOPS_PUBLIC_URL = "https://agents.example.org"
    settings.AGENTOPS_FIELD_KEYS = ["key"]
    assert checks.production_is_reachable_safely() == []


@pytest.mark.parametrize(
    ("said", "found"),
    [("ask", []), ("deny", []), ("alow", ["agentops.E005"]), ("", ["agentops.E005"])],
)
def test_a_misspelt_word_for_what_is_unruled_is_told(
    settings: Settings, said: str, found: list[str]
) -> None:
    settings.AGENTOPS_UNRULED = said
    assert ids(checks.unruled_is_known()) == found
