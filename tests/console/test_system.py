"""The System page: each red line has a sentence and a command; only for those who look after it."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from agentops.accounts.models import User
from agentops.accounts.roles import Role
from runs import housekeeping
from runs.housekeeping import Database
from runs.models import RunStatus, Worker
from tests import factories, people


def text(client: Client) -> str:
    answer = client.get("/system/")
    assert answer.status_code == 200
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.content.decode())).split())


def silence(worker: Worker, **ago: float) -> None:
    Worker.objects.filter(pk=worker.pk).update(heartbeat_at=timezone.now() - timedelta(**ago))


def test_workers_and_queues_are_shown(page: Client, ana: User) -> None:
    worker = factories.worker(release="r1", capacity=8)
    factories.run(ana, status=RunStatus.RUNNING, worker=worker)
    factories.run(ana, queue="slow")
    told = text(page)
    assert f"{worker.pk} · worker-1 pid 4211 default 1 of 8" in told
    assert "No worker serves queue “slow”; 1 run in it stay queued." in told
    assert "AGENTOPS_QUEUES=slow bin/up" in told


def test_without_workers_it_says_so_and_how_to_start_one(page: Client) -> None:
    told = text(page)
    assert "No worker is alive: runs are accepted and wait. bin/up" in told
    assert "No worker yet" in told


def test_a_silent_worker_is_red_and_its_lost_runs_are_left_to_find(page: Client, ana: User) -> None:
    worker = factories.worker()
    factories.run(ana, status=RunStatus.RUNNING, worker=worker)
    silence(worker, seconds=40)
    told = text(page)
    assert f"Worker {worker.pk} on worker-1 is silent for 40" in told
    assert "python manage.py sweep" in told
    assert "The sweep is behind" not in told
    silence(worker, minutes=5)
    assert "The sweep is behind: 1 silent worker." in text(page)
    Worker.objects.update(state="dead")
    assert "The sweep is behind: 1 run without a worker." in text(page)


def test_runs_that_are_due_and_unclaimed_say_that_nobody_sweeps(page: Client, ana: User) -> None:
    past = timezone.now() - timedelta(minutes=9)
    factories.run(ana, status=RunStatus.WAITING, waiting_for="timer", ready_at=past)
    factories.run(ana, expires_at=past)
    factories.worker()
    told = text(page)
    assert "The sweep is behind: 1 expired run, 1 due run." in told


def test_a_long_queue_and_a_mix_of_releases_are_told(page: Client, ana: User) -> None:
    factories.worker(release="r1")
    factories.worker(release="r2")
    factories.run(ana, ready_at=timezone.now() - timedelta(minutes=3))
    told = text(page)
    assert "Workers run 2 releases: r1, r2." in told
    assert "Runs of queue “default” wait 3m 0" in told


def test_clocks_that_differ_and_a_full_database_are_red(
    page: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurt = Database("18.6", timedelta(seconds=-90), 90, 100, 1)
    monkeypatch.setattr(housekeeping, "database", lambda: hurt)
    told = text(page)
    assert "The clocks of this process and the database are 1m 30s apart" in told
    assert "90 of 100 database connections are used." in told


def test_the_page_answers_without_redis(page: Client, settings: object) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"  # type: ignore[attr-defined]
    told = text(page)
    assert "Redis does not answer" in told
    assert "does not answer" in told


@pytest.mark.parametrize("role", [Role.VIEWER, Role.APPROVER, Role.AUDITOR])
def test_others_find_nothing_here(role: Role, db: None) -> None:
    client = Client()
    client.force_login(people.person("olga", role))
    assert client.get("/system/").status_code == 404
    assert 'href="/system/"' not in client.get("/").content.decode()


def test_signed_out_and_wrong_methods(page: Client) -> None:
    assert Client().get("/system/").status_code == 302
    assert page.post("/system/").status_code == 405


def test_it_stays_in_its_budget(
    page: Client, ana: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    factories.every_status(ana)
    for number in range(40):
        factories.worker(queues=[f"queue-{number}"])
    page.get("/system/")
    with django_assert_max_num_queries(20):
        body = page.get("/system/").content
    assert body.count(b"<") <= 2 * 2500
