"""Streams of somebody who may no longer read them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable

import pytest

from agentops.accounts import tokens
from agentops.accounts.actors import Actor, actor_with
from agentops.accounts.models import ApiToken, Membership, Team, User
from agentops.accounts.roles import Role
from runs.api.guarding import guarded
from runs.models import Run
from tests import factories
from tests.console.socket import done
from tests.console.test_socket import signed_in
from tests.people import person, token

pytestmark = pytest.mark.django_db(transaction=True)


async def three() -> AsyncGenerator[bytes, None]:
    for word in (b"one", b"two", b"three"):
        yield word


async def read(actor: Actor, run: Run, meanwhile: Callable[[], object]) -> list[bytes]:
    """What somebody reads who loses a right after the first chunk."""
    chunks = []
    async for chunk in guarded(three(), actor, run, check_seconds=0):
        chunks.append(chunk)
        if chunk == b"one":
            await done(meanwhile)
    return chunks


def with_a_token(owner: User) -> Actor:
    token(owner)
    return actor_with(tokens.known().get(user=owner))


def signed(owner: User) -> Actor:
    return Actor(owner, session_key=signed_in(owner).session_key)


async def test_nothing_happens_while_one_may() -> None:
    owner = await done(lambda: person("ana"))
    run = await done(lambda: factories.run(owner))
    for make in (with_a_token, signed):
        actor = await done(lambda make=make: make(owner))  # type: ignore[misc]
        assert await read(actor, run, lambda: None) == [b"one", b"two", b"three"]


@pytest.mark.parametrize(
    ("make", "loses", "code"),
    [
        (with_a_token, lambda u: ApiToken.objects.all().delete(), b"invalid_token"),
        (with_a_token, lambda u: ApiToken.objects.update(scopes=["runs:write"]), b"not_found"),
        (with_a_token, lambda u: User.objects.update(is_active=False), b"invalid_token"),
        (signed, lambda u: User.objects.update(is_active=False), b"not_authenticated"),
        (signed, lambda u: User.objects.update(password="another"), b"not_authenticated"),
    ],
)
async def test_a_stream_ends_when_its_reader_may_no_longer(
    make: Callable[[User], Actor], loses: Callable[[User], object], code: bytes
) -> None:
    owner = await done(lambda: person("ana"))
    run = await done(lambda: factories.run(owner))
    actor = await done(lambda: make(owner))
    chunks = await read(actor, run, lambda: loses(owner))
    assert chunks[0] == b"one"
    assert chunks[1:] == [b'event: stream.refused\ndata: {"code":"' + code + b'"}\n\n']


async def test_who_leaves_the_team_reads_its_runs_no_longer() -> None:
    team = await done(lambda: Team.objects.create(name="finance"))
    run = await done(lambda: factories.run(person("ana"), team=team))
    bo = await done(lambda: person("bo", Role.VIEWER, team=team))
    actor = await done(lambda: signed(bo))
    chunks = await read(actor, run, lambda: Membership.objects.all().delete())
    assert chunks[-1].endswith(b'{"code":"not_found"}\n\n')


async def test_a_run_that_moves_to_another_team_is_read_no_longer() -> None:
    team, other = await done(lambda: [Team.objects.create(name=name) for name in ("a", "b")])
    run = await done(lambda: factories.run(person("ana"), team=team))
    bo = await done(lambda: person("bo", Role.VIEWER, team=team))
    actor = await done(lambda: signed(bo))
    chunks = await read(actor, run, lambda: Run.objects.update(team=other))
    assert chunks[-1].endswith(b'{"code":"not_found"}\n\n')
