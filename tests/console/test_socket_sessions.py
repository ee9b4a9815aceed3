"""A socket lives no longer than the session it was opened with."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from agentops.accounts import rechecks
from agentops.accounts.models import User
from agentops.accounts.roles import Role
from runs import consumers
from runs.live.hub import hub
from tests.console.socket import Socket, done
from tests.console.test_socket import signed_in

pytestmark = pytest.mark.django_db(transaction=True)


def two_browsers(user: User) -> tuple[SessionStore, Client]:
    """The session of one browser, and another one, of the same person."""
    clients = Client(), Client()
    for client in clients:
        said = {"username": user.username, "password": "x"}
        assert client.post(reverse("login"), said).status_code == 302
    return SessionStore(clients[0].session.session_key), clients[1]


async def test_ending_a_session_in_the_settings_closes_its_socket(
    ana: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert rechecks.CHECK_SECONDS < 30
    monkeypatch.setattr(consumers, "CHECK_SECONDS", 0.05)
    there, here = await done(lambda: two_browsers(ana))
    socket = await Socket.of(ana, there).opened()
    assert (await done(lambda: here.post(reverse("sessions-end")))).status_code == 302
    assert await socket.frames() == [{"do": "bye", "code": 4401}]
    assert await socket.closed() == 4401
    await socket.disconnect()
    await hub().close()


async def test_a_session_that_is_over_closes_its_socket(
    ana: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "CHECK_SECONDS", 0.05)
    there, _ = await done(lambda: two_browsers(ana))
    socket = await Socket.of(ana, there).opened()
    await done(lambda: Session.objects.update(expire_date=timezone.now()))
    assert await socket.frames() == [{"do": "bye", "code": 4401}]
    await socket.disconnect()
    await hub().close()


async def test_without_a_factor_that_is_required_no_socket_opens(
    ana: User, settings: Settings
) -> None:
    settings.AGENTOPS_MFA_REQUIRED = True
    session = await done(lambda: signed_in(ana))
    await done(lambda: ana.groups.add(Group.objects.get_or_create(name=Role.APPROVER)[0]))
    socket = Socket.of(ana, session)
    assert await socket.connect()
    assert await socket.frames() == [{"do": "bye", "code": 4401}]
    await socket.disconnect()
