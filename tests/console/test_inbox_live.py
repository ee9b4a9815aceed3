"""Tabs on the inbox: for everything that happens, the page before plus the news is the page now."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from agentops.accounts.access import Actor
from agentops.accounts.models import Membership, Team, User
from agentops.accounts.roles import Role
from approvals import acknowledging, asking_back, attention, deciding, questions
from approvals.models import Request, Risk, State, Verdict
from runs.live.hub import hub
from tests import factories, people
from tests.approvals import factories as asked
from tests.console import dom
from tests.console.socket import Frames, Socket, done
from tests.console.test_socket import signed_in

pytestmark = pytest.mark.django_db(transaction=True)


class Desk:
    """An approver with a tab, a colleague, and something that waits for both."""

    def __init__(self) -> None:
        self.finance = Team.objects.create(name="finance")
        both = (Role.APPROVER, Role.OPERATOR)
        self.bo = people.person("bo", *both, team=self.finance)
        self.ida = people.person("ida", *both, team=self.finance)
        self.ana = people.person("ana")
        self.made = asked.approval(self.ana, {"to": "Acme", "n": 1}, team=self.finance,
                                   risk=Risk.LOW)  # fmt: skip
        self.question = asked.question(self.ana, team=self.finance)
        self.session = signed_in(self.bo)
        self.client = Client()
        self.client.force_login(self.bo)

    def page(self, path: str) -> dom.Node:
        return dom.parse(self.client.get(path).content.decode())

    def word(self, who: User, verdict: Verdict, **more: object) -> Request:
        revision = self.made.revisions.order_by("-number")[0]
        return deciding.decide(
            request=self.made, actor=Actor(who), verdict=verdict, revision=revision.number,
            digest=bytes(revision.digest).hex(), **more,  # type: ignore[arg-type]
        ).request  # fmt: skip


@pytest.fixture
async def desk(db: None) -> AsyncIterator[Desk]:
    yield await done(Desk)
    await hub().close()


def approve(desk: Desk) -> object:
    return desk.word(desk.ida, Verdict.APPROVE)


def reject(desk: Desk) -> object:
    return desk.word(desk.ida, Verdict.REJECT, comment="No")


def edit(desk: Desk) -> object:
    Request.objects.filter(pk=desk.made.pk).update(factors=[{"role": "approver", "count": 2}])
    desk.made.refresh_from_db()
    return desk.word(desk.ida, Verdict.APPROVE, arguments={"to": "Acme", "n": 2})


def vote(desk: Desk) -> object:
    Request.objects.filter(pk=desk.made.pk).update(factors=[{"role": "approver", "count": 2}])
    return desk.word(desk.ida, Verdict.APPROVE)


def take_up(desk: Desk) -> object:
    return acknowledging.acknowledge(request=desk.made, actor=Actor(desk.ida), now=timezone.now())


def ask_back(desk: Desk) -> object:
    return asking_back.say(request=desk.made, actor=Actor(desk.ida), text="Which one?")


def answer(desk: Desk) -> object:
    return questions.answer(
        request=desk.question, actor=Actor(desk.ida), answer={"account": "Acme GmbH"}
    )


HAPPENINGS = [approve, reject, edit, vote, take_up, ask_back, answer]


async def news(desk: Desk, page: dom.Node, path: str, happens: Callable[[Desk], object]) -> Frames:
    """What a tab that shows ``page`` is sent when something happens."""
    socket = await Socket.of(desk.bo, desk.session).opened()
    watched = [node for node in page.walk() if "data-watch" in node.attrs]
    for node in watched:
        rows = [child.id for child in node.walk() if child.tag == "tr" and child.id]
        after = node.attrs.get("data-after") or node.attrs.get("data-newest")
        await socket.say(
            do="watch", topic=node.attrs["data-watch"], query=node.attrs.get("data-query"),
            after=int(after or 0), ids=rows,
        )  # fmt: skip
    frames: Frames = []
    while not await socket.is_silent(0.6):
        frames += await socket.frames()
    await done(lambda: happens(desk))
    while not await socket.is_silent(2.5):
        frames += await socket.frames()
    await socket.disconnect()
    return frames


@pytest.mark.slow
@pytest.mark.parametrize("happens", HAPPENINGS, ids=lambda call: call.__name__)
async def test_a_request_page_plus_what_happens_is_the_page_reloaded(
    desk: Desk, happens: Callable[[Desk], object]
) -> None:
    about = desk.question if happens is answer else desk.made
    path = f"/inbox/{about.public_id}/"
    page = await done(lambda: desk.page(path))
    frames = await news(desk, page, path, happens)

    def same() -> None:
        dom.apply(page, frames, lambda: desk.page(path))
        fresh = desk.page(path)
        shown, now = page.find("request"), fresh.find("request")
        assert shown is not None
        assert now is not None
        assert shown.canonical() == now.canonical()

    assert any(frame["do"] == "stale" for frame in frames)
    await done(same)


@pytest.mark.slow
@pytest.mark.parametrize("happens", HAPPENINGS, ids=lambda call: call.__name__)
async def test_rows_and_counts_of_the_list_follow_where_they_stand(
    desk: Desk, happens: Callable[[Desk], object]
) -> None:
    page = await done(lambda: desk.page("/inbox/?tab=team"))
    before = [row.id for row in page.all("tr") if row.id]
    frames = await news(desk, page, "/inbox/?tab=team", happens)

    def same() -> None:
        dom.apply(page, frames, lambda: desk.page("/inbox/?tab=team"))
        fresh = desk.page("/inbox/?tab=team")
        assert [row.id for row in page.all("tr") if row.id] == before
        for row in fresh.all("tr"):
            if row.id:
                shown = page.find(row.id)
                assert shown is not None
                assert shown.canonical() == row.canonical()
        for name in ("tally-mine", "tally-team", "rail-inbox"):
            shown, now = page.find(name), fresh.find(name)
            assert shown is not None
            assert now is not None
            assert shown.text == now.text, name
        for gone in set(before) - {row.id for row in fresh.all("tr")}:
            there = page.find(gone)
            assert there is not None
            assert "gone-by" in there.attrs["class"]

    await done(same)


@pytest.mark.slow
async def test_new_requests_wait_in_a_pill_and_move_nothing(desk: Desk) -> None:
    page = await done(lambda: desk.page("/inbox/"))

    def more(desk: Desk) -> None:
        run = asked.waiting(desk.ana, team=desk.finance)
        asked.approval(run=run, decide_by=timezone.now() + timedelta(minutes=1))
        Request.objects.filter(run=run).update(owner=desk.ana, team=desk.finance)
        run = factories.uncertain(desk.ana)
        type(run).objects.filter(pk=run.pk).update(team=desk.finance)
        attention.keep()

    frames = await news(desk, page, "/inbox/", more)
    pills = [frame["text"] for frame in frames if frame.get("id") == "new-requests"]
    assert pills[-1] == "2 new"
    assert not [f for f in frames if f["do"] == "place" and str(f["id"]).startswith("req_")]
    counts = [frame["text"] for frame in frames if frame.get("id") == "tally-mine"]
    assert counts[-1] == "4"


@pytest.mark.slow
async def test_who_loses_the_right_is_told_nothing_more_of_it(desk: Desk) -> None:
    path = f"/inbox/{desk.made.public_id}/"
    page = await done(lambda: desk.page(path))

    def leave(desk: Desk) -> None:
        Membership.objects.filter(user=desk.bo).delete()
        approve(desk)

    frames = await news(desk, page, path, leave)
    assert "Acme" not in str(frames)


async def test_strangers_cannot_watch_a_request(desk: Desk) -> None:
    sven = await done(lambda: people.person("sven"))
    session = await done(lambda: signed_in(sven))
    socket = await Socket.of(sven, session).opened()
    topic = f"request:{desk.made.public_id}"
    await socket.say(do="watch", topic=topic, after=0)
    assert await socket.frames() == [{"do": "bye", "topic": topic, "code": 4403}]
    await socket.say(do="watch", topic="inbox", query="tab=team", after=0,
                     ids=[desk.made.public_id])  # fmt: skip
    await done(lambda: approve(desk))
    told: Frames = []
    while not await socket.is_silent(2.5):
        told += await socket.frames()
    assert desk.made.public_id not in str(told)
    assert "send e-mail" not in str(told)
    await socket.disconnect()


def test_every_state_has_a_row_and_a_page(ana: User) -> None:
    client = Client()
    client.force_login(ana)
    for state in State:
        made = asked.approval(ana, {"n": 1}, state=state)
        assert client.get(f"/inbox/{made.public_id}/").status_code == 200
    assert client.get("/inbox/?tab=done").content.count(b'<tr id="req_') == len(State) - 1
