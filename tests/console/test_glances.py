"""Sums are read again seldom, all at once, and only while somebody looks."""

from __future__ import annotations

import json
import re

import pytest
from django.test import Client

from agentops.accounts.access import Actor
from agentops.accounts.models import User
from runs.live.audience import Subscriber
from runs.live.glances import GLANCE_SECONDS, LONGEST_SECONDS, PAINT_SECONDS, PARTS, Glances


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_changes_are_told_at_most_every_few_seconds() -> None:
    clock = Clock()
    glances, who = Glances(clock), Subscriber(Actor(User()))
    glances.watch(who)
    for _ in range(1100):
        glances.heard()
        glances.tell()
        clock.now += GLANCE_SECONDS / 500
    told = [json.loads(await who.next()) for _ in range(2)]
    assert told[0][0]["do"] == "stale"
    assert "overview-cards" in told[0][0]["ids"]
    assert glances.due_at() > clock.now


async def test_what_only_time_changes_is_told_once_in_a_while() -> None:
    clock = Clock()
    glances, who = Glances(clock), Subscriber(Actor(User()))
    assert glances.due_at() == float("inf")
    glances.watch(who)
    clock.now = LONGEST_SECONDS - 1
    glances.tell()
    assert glances.due_at() == LONGEST_SECONDS
    clock.now = LONGEST_SECONDS
    glances.tell()
    assert json.loads(await who.next())[0]["do"] == "stale"
    glances.leave(who)
    assert glances.due_at() == float("inf")


async def test_a_page_that_was_just_read_is_not_told_to_read_itself_again() -> None:
    clock = Clock()
    glances, who = Glances(clock), Subscriber(Actor(User()))
    glances.heard()
    clock.now = 1000
    glances.watch(who)
    assert glances.due_at() == 1000 + LONGEST_SECONDS


async def test_what_happened_between_reading_and_watching_is_told() -> None:
    clock = Clock()
    glances, who = Glances(clock), Subscriber(Actor(User()))
    glances.heard()
    clock.now = PAINT_SECONDS / 2
    glances.watch(who)
    assert glances.due_at() == clock.now + GLANCE_SECONDS
    clock.now += GLANCE_SECONDS
    glances.tell()
    glances.leave(who)
    glances.watch(who)
    assert glances.due_at() == clock.now + LONGEST_SECONDS


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/", "/agents/", "/agents/echo/", "/system/"])
def test_pages_of_sums_have_the_parts_that_are_told_of(page: Client, path: str) -> None:
    shown = page.get(path).content.decode()
    watched = re.findall(r'id="([\w-]+)"[^>]* data-watch="overview"', shown)
    assert watched
    assert set(watched) <= {*PARTS, "overview"}
    assert any(f'id="{part}"' in shown for part in PARTS)
