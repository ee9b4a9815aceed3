"""The first operator: created once, told once, and made to choose a password."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse
from django_celery_beat.models import PeriodicTask
from pytest_django import Settings

from agentops.accounts.models import User
from agentops.launcher.home import Home
from agentops.management.commands import bootstrap

pytestmark = pytest.mark.django_db


@pytest.fixture
def home(tmp_path: Path, settings: Settings) -> Home:
    settings.AGENTOPS_DATA = tmp_path
    return Home(tmp_path)


@pytest.fixture
def password(home: Home) -> str:
    bootstrap.first_operator(home, name="operator")
    first: dict[str, str] = json.loads(home.first_sign_in.read_text())
    return first["password"]


def sign_in(client: Client, password: str) -> None:
    answer = client.post(reverse("login"), {"username": "operator", "password": password})
    assert answer.status_code == 302, "signing in failed"


def choose(client: Client, old: str, new: str) -> None:
    values = {"old_password": old, "new_password1": new, "new_password2": new}
    assert client.post(reverse("password"), values).status_code == 302


def test_the_printed_password_opens_only_the_page_to_choose_another(
    client: Client, password: str
) -> None:
    sign_in(client, password)
    assert client.get("/admin/").headers["location"] == reverse("password")
    assert client.get(reverse("password")).status_code == 200


def test_choosing_one_opens_everything_and_forgets_the_printed_one(
    client: Client, password: str, home: Home
) -> None:
    sign_in(client, password)
    choose(client, password, "a-much-better-secret-7")
    assert not home.first_sign_in.exists()
    assert client.get("/admin/").status_code == 200


def test_an_app_is_told_in_its_own_way(client: Client, password: str) -> None:
    sign_in(client, password)
    assert client.get("/admin/", headers={"accept": "application/json"}).status_code == 403


def test_a_second_start_creates_and_tells_nothing_new(home: Home, password: str) -> None:
    told = home.first_sign_in.read_text()
    bootstrap.first_operator(home, name="operator")
    assert home.first_sign_in.read_text() == told
    assert User.objects.count() == 1


def test_a_given_password_is_not_written_down(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTOPS_OPERATOR_PASSWORD", "given-by-the-administrator")
    bootstrap.first_operator(home, name="operator")
    assert not home.first_sign_in.exists()
    assert not User.objects.get().must_change_password


def test_the_sweep_is_registered_once_and_left_as_it_is(home: Home) -> None:
    bootstrap.register_sweep()
    task = PeriodicTask.objects.get(name="sweep")
    assert (task.task, task.interval.every) == ("runs.sweep", bootstrap.SWEEP_SECONDS)
    task.enabled = False
    task.save()
    bootstrap.register_sweep()
    assert not PeriodicTask.objects.get(name="sweep").enabled
