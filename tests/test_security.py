"""What every page carries, and what happens to people who guess."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from agentops.accounts.models import User

pytestmark = pytest.mark.django_db


def test_a_page_may_load_from_here_alone(client: Client) -> None:
    said = client.get(reverse("login")).headers["content-security-policy"]
    policy = dict(part.strip().split(" ", 1) for part in said.split(";") if part.strip())
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["form-action"] == "'self'"
    assert policy["img-src"] == "'self' data:"
    assert "unsafe" not in said


def test_a_session_is_out_of_reach_for_scripts_and_other_sites(client: Client) -> None:
    User.objects.create_user("ada", password="a-good-secret-1")
    client.post(reverse("login"), {"username": "ada", "password": "a-good-secret-1"})
    cookie = client.cookies["agentops_session"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"


def test_guessing_closes_the_name_for_that_address_only(client: Client, settings: Settings) -> None:
    User.objects.create_user("ada", password="a-good-secret-1")
    right = {"username": "ada", "password": "a-good-secret-1"}
    for _ in range(settings.AXES_FAILURE_LIMIT):
        client.post(reverse("login"), {**right, "password": "wrong"}, REMOTE_ADDR="10.0.0.1")
    assert client.post(reverse("login"), right, REMOTE_ADDR="10.0.0.1").status_code == 429
    assert client.post(reverse("login"), right, REMOTE_ADDR="10.0.0.2").status_code == 302
