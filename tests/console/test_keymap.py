"""Keys: what ``?`` tells is what the pages have; people move or switch off single keys."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path

import pytest
from django.test import Client

from agentops.accounts.models import User
from agentops.views.keymap import SECTIONS, Keymap
from runs.models import Run
from tests import factories

ROOT = Path(__file__).resolve().parents[2]
TOLD = {key.keys for section in SECTIONS for key in section.keys}


def test_every_key_of_a_template_is_told() -> None:
    found = set()
    for file in (ROOT / "templates").rglob("*.html"):
        for keys in re.findall(r'data-keys="([^"{]+)"', file.read_text()):
            found |= {
                key if key == "-" else unescape(key).replace("-", " ") for key in keys.split()
            }
    assert found - TOLD - {"Escape"} == set()


# What the script does itself, on rows and on what lies on top.
BY_SCRIPT = {"Ctrl K", "Esc", "j", "k", "Enter", "o", "Space", "x", "X"}


def test_every_key_that_is_told_of_lists_is_somewhere(page: Client, ana: User) -> None:
    for _ in range(51):
        factories.run(ana)
    first = page.get("/runs/").content.decode()
    (older,) = re.findall(r'href="(\?[^"]+)" data-keys="&gt;"', first)
    kept = page.post("/runs/views/", {"query": "status=queued", "name": "Mine too"}, follow=True)
    shown = first + page.get(f"/runs/{unescape(older)}").content.decode() + kept.content.decode()
    shown += page.get(f"/runs/{Run.objects.all()[0].public_id}/").content.decode()
    there = {
        unescape(key).replace("-", " ")
        for keys in re.findall(r'data-keys="([^"]+)"', shown)
        for key in keys.split()
    }
    shells = [s for s in SECTIONS if s.title in ("Everywhere", "Lists")]
    told = {key.keys for section in shells for key in section.keys}
    assert told - there - BY_SCRIPT == set()


def test_a_key_has_one_field_and_one_meaning_on_a_page(page: Client) -> None:
    shown = page.get("/settings/keys/").content.decode()
    names = re.findall(r'name="(key-\w+)"', shown)
    assert sorted(names) == sorted(set(names))
    for section in SECTIONS:
        keys = [key.keys for key in section.keys]
        assert sorted(keys) == sorted(set(keys))
    both = {k.keys for s in SECTIONS[:2] for k in s.keys}
    assert not any(key.keys in both for section in SECTIONS[2:] for key in section.keys)


def test_the_rail_says_where_its_keys_lead(page: Client) -> None:
    shown = page.get("/").content.decode()
    rail = dict(re.findall(r'data-keys="g-(\w)" title="(\w+)"', shown))
    assert rail["r"] == "Runs"
    for key, label in rail.items():
        assert any(
            told.keys == f"g {key}" and told.does == label for s in SECTIONS for told in s.keys
        )


def test_a_moved_key_means_what_the_old_one_did_and_the_old_one_nothing(page: Client) -> None:
    answer = page.post("/settings/keys/", {"key-6a": "n", "key-6e": "j"})
    assert answer.status_code == 302
    shown = page.get("/runs/").content.decode()
    (means,) = re.findall(r'data-keymap="([^"]+)"', shown)
    assert json.loads(unescape(means)) == {"j": "n", "n": "j"}
    page.post("/settings/keys/", {"key-6a": "ü"})
    (means,) = re.findall(r'data-keymap="([^"]+)"', page.get("/runs/").content.decode())
    assert json.loads(unescape(means)) == {"j": "", "ü": "j"}


def test_two_meanings_for_one_key_are_refused_by_name(page: Client) -> None:
    answer = page.post("/settings/keys/", {"key-6a": "k"})
    assert answer.status_code == 422
    assert "“k” would mean both “Next row” and “Row before”." in answer.content.decode()
    assert "data-keymap" not in page.get("/runs/").content.decode()


def test_single_keys_can_be_switched_off_and_come_back(page: Client) -> None:
    page.post("/settings/keys/", {"off": "on"})
    assert 'data-keymap="off"' in page.get("/runs/").content.decode()
    page.post("/settings/keys/", {"reset": "1"})
    assert "data-keymap" not in page.get("/runs/").content.decode()


@pytest.mark.parametrize("cookie", ["j=", "j=nn", "q=x", "j=z&k=z", "%00=%ff", "off"])
def test_a_cookie_that_makes_no_sense_spoils_no_page(page: Client, cookie: str) -> None:
    page.cookies["keys"] = cookie
    assert page.get("/").status_code == 200
    assert Keymap.read(cookie).moved == {}


def test_the_region_is_only_shown_and_strangers_get_neither(page: Client, ana: User) -> None:
    part = page.get("/settings/keys/", headers={"HX-Request": "true"}).content.decode()
    assert ("<form" in part, "Next row" in part) == (False, True)
    assert Client().get("/settings/keys/").status_code == 302
    assert page.delete("/settings/keys/").status_code == 405
