"""What the environment may say, and what is refused."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from django.core.exceptions import ImproperlyConfigured

from agentops import environment
from agentops.launcher.home import PROJECT

GOOD = {
    "SECRET_KEY": "k" * 60,
    "ALLOWED_HOSTS": "agents.example.org",
    "AGENTOPS_PUBLIC_URL": "https://agents.example.org",
    "AGENTOPS_FIELD_KEYS": "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=",
    "AGENTOPS_DATA": "/nonexistent",
}


def start(**changes: str | None) -> subprocess.CompletedProcess[str]:
    """Load the settings in a process that has only this environment."""
    said = {name: value for name, value in {**GOOD, **changes}.items() if value is not None}
    return subprocess.run(
        [sys.executable, "-c", "import agentops.settings"],
        env={"PATH": os.environ["PATH"], **said},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_complete_production_starts() -> None:
    assert start().returncode == 0


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"AGENTOPS_DEBUG": "true"}, "AGENTOPS_DEBUG is on"),
        ({"SECRET_KEY": None}, "SECRET_KEY is not set"),
        ({"SECRET_KEY": "short"}, "SECRET_KEY is a default or too short"),
        ({"SECRET_KEY": "django-insecure-" + "k" * 60}, "SECRET_KEY is a default"),
        ({"ALLOWED_HOSTS": "*"}, "ALLOWED_HOSTS is *"),
        ({"ALLOWED_HOSTS": None, "AGENTOPS_PRODUCTION": "true"}, "ALLOWED_HOSTS is not set"),
        ({"AGENTOPS_FIELD_KEYS": None}, "AGENTOPS_FIELD_KEYS is not set"),
    ],
)
def test_an_unsafe_production_does_not_start(changes: dict[str, str | None], sentence: str) -> None:
    refused = start(**changes)
    assert refused.returncode != 0
    assert sentence in refused.stderr


def test_every_reason_is_told_at_once() -> None:
    refused = start(SECRET_KEY=None, AGENTOPS_FIELD_KEYS=None, AGENTOPS_DEBUG="true")
    assert refused.stderr.count("\n- ") == 3


def test_only_this_machine_needs_nothing() -> None:
    assert start(**dict.fromkeys(GOOD)).returncode == 0


def test_a_socket_folder_is_the_host() -> None:
    config = environment.database(
        "postgres://me@/runs?host=/a/b", pool_size=4, application_name="x"
    )
    assert (config["HOST"], config["NAME"], config["USER"]) == ("/a/b", "runs", "me")
    assert config["OPTIONS"]["pool"]["max_size"] == 4
    assert config["CONN_MAX_AGE"] == 0


def test_options_of_the_url_are_kept() -> None:
    config = environment.database(
        "postgres://me:a%40b@db:5433/runs?sslmode=require", pool_size=0, application_name="x"
    )
    assert (config["HOST"], config["PORT"], config["PASSWORD"]) == ("db", 5433, "a@b")
    assert config["OPTIONS"] == {"sslmode": "require", "application_name": "x"}


def test_another_database_is_refused() -> None:
    with pytest.raises(ImproperlyConfigured, match="only PostgreSQL works"):
        environment.database("sqlite:////tmp/x", pool_size=0, application_name="x")


@pytest.mark.parametrize(
    ("redis", "celery"),
    [
        ("redis://h:6379/2", "redis://h:6379/2"),
        ("rediss://u:p@h/0", "rediss://u:p@h/0"),
        ("unix:///a/b.sock?db=3", "redis+socket:///a/b.sock?virtual_host=3"),
        ("unix:///a/b.sock", "redis+socket:///a/b.sock?virtual_host=0"),
    ],
)
def test_celery_spells_sockets_its_own_way(redis: str, celery: str) -> None:
    assert environment.broker(redis) == celery
