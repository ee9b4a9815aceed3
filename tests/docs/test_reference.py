"""What people can name is in the reference: settings, commands, addresses, keys. Links lead."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from django.core.management import get_commands
from django.urls import URLPattern, URLResolver, get_resolver

from agentops.launcher.home import PROJECT
from agentops.views.keymap import SECTIONS, Key, Section

REFERENCE = "\n".join(path.read_text() for path in (PROJECT / "docs/reference").glob("*.md"))
PAGES = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *(PROJECT / "docs").rglob("*.md")]
_OURS = ("agentops", "runs", "approvals", "credentials")
_READ = re.compile(r"""(?:env\.\w+\(\s*|environ\.get\(\s*|environ\[)"([A-Z][A-Z0-9_]+)""")
# Set by one of our processes for another, or by the system.
_NOT_FOR_PEOPLE = {"AGENTOPS_READY_FD", "DJANGO_SETTINGS_MODULE", "PYTHONPATH", "XDG_RUNTIME_DIR"}


def settings() -> set[str]:
    found: set[str] = set()
    for app in _OURS:
        for path in (PROJECT / app).rglob("*.py"):
            found |= set(_READ.findall(path.read_text()))
    return found - _NOT_FOR_PEOPLE


def addresses(patterns: Sequence[object], above: str = "/") -> Iterator[str]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver) and pattern.app_name != "admin":
            yield from addresses(pattern.url_patterns, above + str(pattern.pattern))
        elif isinstance(pattern, URLPattern):
            yield re.sub(r"<\w+:", "<", above + str(pattern.pattern))


def _names(patterns: Sequence[object]) -> Iterator[str | None]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver) and pattern.app_name != "admin":
            yield from _names(pattern.url_patterns)
        elif isinstance(pattern, URLPattern):
            yield pattern.name


def commands() -> list[str]:
    return [name for name, app in get_commands().items() if str(app) in _OURS]


@pytest.mark.parametrize("name", sorted(settings()))
def test_a_setting_is_explained(name: str) -> None:
    assert f"`{name}`" in REFERENCE


@pytest.mark.parametrize("name", sorted(commands()))
def test_a_command_is_explained(name: str) -> None:
    assert f"`manage.py {name}" in REFERENCE


@pytest.mark.parametrize("address", sorted(set(addresses(get_resolver().url_patterns))))
def test_an_address_is_explained(address: str) -> None:
    assert f"`{address}`" in REFERENCE


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.title)
def test_the_keys_of_a_section_are_those_told_of_it(section: Section) -> None:
    page = (PROJECT / "docs/reference/keys.md").read_text()
    told = page.partition(f"## {section.title}\n")[2].partition("\n## ")[0]
    rows = [f"| {_written(key)} | {key.does} |" for key in section.keys]
    assert [line for line in told.splitlines() if line.startswith("| `")] == rows


def _written(key: Key) -> str:
    return " ".join(f"`{part}`" for part in key.keys.split())


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_page_can_be_found_from_the_index() -> None:
    index = (PROJECT / "docs/index.md").read_text()
    pages = {str(path.relative_to(PROJECT / "docs")) for path in (PROJECT / "docs").rglob("*.md")}
    assert [page for page in sorted(pages - {"index.md"}) if f"]({page})" not in index] == []


def test_a_name_means_one_address() -> None:
    names = [name for name in _names(get_resolver().url_patterns) if name]
    assert sorted(names) == sorted(set(names))
