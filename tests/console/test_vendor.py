"""What we ship of others is what we say it is."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = [ROOT / "static/vendor", ROOT / "tests/vendor"]
PACKAGES = [
    (folder, entry)
    for folder in FOLDERS
    for entry in json.loads((folder / "manifest.json").read_text())
]

TEMPLATES = ROOT / "templates"
PAGES = sorted(TEMPLATES.rglob("*.html"))
EXTENDS = re.compile(r"{% extends [\"']([^\"']+)")
SCRIPT = re.compile(r"{% static [\"']console/([\w.-]+\.js)[\"'] %}")
SHELL_BYTES, OWN_BYTES = 5 * 1024, 1280


@pytest.mark.parametrize(("folder", "entry"), PACKAGES, ids=lambda value: str(value)[-30:])
def test_vendored_files_match_their_manifest(
    folder: Path, entry: dict[str, dict[str, str]]
) -> None:
    there = sorted((folder / str(entry["folder"])).iterdir())
    assert [file.name for file in there] == sorted(entry["sha256"])
    for file in there:
        assert hashlib.sha256(file.read_bytes()).hexdigest() == entry["sha256"][file.name]
    assert str(entry["version"]) in str(entry["folder"])
    assert "LICENSE" in entry["sha256"]


def test_nothing_is_vendored_without_a_manifest_entry() -> None:
    for folder in FOLDERS:
        named = {entry["folder"] for where, entry in PACKAGES if where == folder}
        there = {path.name for path in folder.iterdir() if path.is_dir()} - {"__pycache__"}
        assert there == named


def test_every_page_loads_five_kilobytes_of_our_scripts_and_little_of_its_own() -> None:
    pages = {page: loaded(page) for page in PAGES if EXTENDS.search(page.read_text())}
    assert any(own for _, own in pages.values()), "no page was found to have a script of its own"
    for page, (shell, own) in pages.items():
        assert gzipped(shell) <= SHELL_BYTES, (page.name, shell, gzipped(shell))
        assert gzipped(own) <= OWN_BYTES, (page.name, own, gzipped(own))


def test_scripts_are_asked_for_by_pages_alone_and_all_are_asked_for() -> None:
    """What a part of a page asked for would not be counted above."""
    asked = [page for page in PAGES if SCRIPT.search(page.read_text())]
    shells = {TEMPLATES / name for page in PAGES for name in EXTENDS.findall(page.read_text())}
    parts = [page for page in asked if page not in shells and not EXTENDS.search(page.read_text())]
    assert parts == []
    named = {name for page in asked for name in SCRIPT.findall(page.read_text())}
    assert named == {file.name for file in (ROOT / "static/console").glob("*.js")}


def loaded(page: Path) -> tuple[set[str], set[str]]:
    """Our scripts on a page: those of its shell, and those that it adds."""
    text = page.read_text()
    above = EXTENDS.search(text)
    own = set(SCRIPT.findall(text))
    shell_page = TEMPLATES / above[1] if above else page
    # A page of the Django admin extends that of the package, which has the same name or is there.
    if shell_page == page or not shell_page.exists():
        return own, set()
    shell, more = loaded(shell_page)
    return shell, own | more


def gzipped(scripts: set[str]) -> int:
    """Bytes on the wire: each file is sent by itself."""
    return sum(
        len(gzip.compress((ROOT / "static/console" / name).read_bytes(), 9)) for name in scripts
    )
