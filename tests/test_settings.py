"""The house stands: settings load, migrations are complete, the admin answers."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.test import Client


@pytest.mark.django_db
def test_migrations_match_the_models() -> None:
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)


@pytest.mark.django_db
def test_admin_answers(client: Client) -> None:
    get_user_model().objects.create_user("operator", email="Operator@example.org")
    assert client.get("/admin/", follow=True).status_code == 200
