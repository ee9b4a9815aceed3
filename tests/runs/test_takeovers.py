"""Who may take a run over, over REST and in the console, and what that keeps others from."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from agentops.accounts.access import Actor, Forbidden, NotFound, PersonRequired
from agentops.accounts.models import User
from agentops.accounts.roles import Role, Scope
from approvals import duties, questions
from approvals.models import Request, State
from runs import services, takeovers
from runs.engine import store
from runs.labels import InvalidRequest
from runs.models import Journal, Phase, Run, RunStatus, TakeOver, WaitingFor
from tests import factories, people
from tests.approvals import making

pytestmark = pytest.mark.django_db


@pytest.fixture
def ana(db: None) -> User:
    return people.person("ana", Role.OPERATOR)


def held(owner: User, key: str = "pay#1", **fields: Any) -> Run:
    """A run that a stop holds at a step."""
    run = factories.run(
        owner, status=RunStatus.WAITING, waiting_for=WaitingFor.OPERATOR, ready_at=None,
        waiting_detail="stop:stp_1", **fields,
    )  # fmt: skip
    story = factories.Story.of(run).note("run.created", 0)
    story.note("stop.held", key=f"@stop.held/{key}", stop="stp_1", type="tool").save()
    return run


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def post(client: Client, path: str, body: object = None) -> tuple[int, dict[str, Any]]:
    answer = client.post(path, body or {}, content_type="application/json")
    return answer.status_code, answer.json()


def test_operators_of_the_run_take_it_in_person(ana: User) -> None:
    run = held(ana)
    taken = takeovers.take(run=run, actor=Actor(ana), minutes=15)
    assert (taken.person, taken.run) == (ana, run)
    assert (taken.until - taken.since).total_seconds() == pytest.approx(900, abs=1)
    longer = takeovers.take(run=run, actor=Actor(ana), minutes=60)
    assert longer.since == taken.since
    with pytest.raises(PersonRequired):
        takeovers.take(run=run, actor=Actor(ana, scopes=frozenset(Scope)))
    with pytest.raises(Forbidden):
        takeovers.take(
            run=held(people.person("olga")), actor=Actor(User.objects.get(username="olga"))
        )
    with pytest.raises(NotFound):
        takeovers.take(run=held(people.person("sven")), actor=Actor(ana))
    with pytest.raises(InvalidRequest, match="minutes: 1 to 1440"):
        takeovers.take(run=run, actor=Actor(ana), minutes=0)


def test_a_waiting_run_waits_for_them_and_goes_back_to_where_it_was(ana: User) -> None:
    run = factories.run(ana, status=RunStatus.WAITING, waiting_for=WaitingFor.APPROVAL,
                        ready_at=None)  # fmt: skip
    takeovers.take(run=run, actor=Actor(ana))
    run.refresh_from_db()
    assert (run.waiting_for, run.waiting_detail) == ("operator", "paused:ana, taking over")
    after = takeovers.hand_back(run=run, actor=Actor(ana))
    assert (after.status, after.pause_by) == ("queued", "")
    assert [line.kind for line in Journal.objects.filter(run=run).order_by("seq")] == [
        "run.paused", "run.resumed"
    ]  # fmt: skip
    with pytest.raises(store.NotTaken):
        takeovers.hand_back(run=run, actor=Actor(ana))


def test_what_somebody_paused_before_stays_paused(ana: User) -> None:
    run = services.pause_run(run=factories.run(ana), actor="bo")
    takeovers.take(run=run, actor=Actor(ana))
    after = takeovers.hand_back(run=run, actor=Actor(ana))
    assert after.waiting_detail == "paused:bo"


def test_what_is_uncertain_stays_so(ana: User) -> None:
    run = factories.uncertain(ana)
    takeovers.take(run=run, actor=Actor(ana))
    after = takeovers.hand_back(run=run, actor=Actor(ana))
    assert after.waiting_detail.startswith("uncertain:")
    assert after.pause_by == ""


def test_its_holder_may_also_resume_it(ana: User) -> None:
    run = factories.run(ana)
    takeovers.take(run=run, actor=Actor(ana))
    assert services.resume_run(run=run, actor="ana").status == "queued"
    assert not TakeOver.objects.exists()


def test_a_result_is_supplied_once_for_a_step_that_waits(ana: User) -> None:
    run, actor = held(ana), Actor(ana)
    with pytest.raises(store.NotTaken):
        takeovers.supply(run=run, actor=actor, key="pay#1", result=1)
    takeovers.take(run=run, actor=actor)
    assert [step.key for step in takeovers.open_steps(run)] == ["pay#1"]
    takeovers.supply(run=run, actor=actor, key="pay#1", result=1)
    assert takeovers.open_steps(run)[0].supplied
    with pytest.raises(store.NotOpen, match="before"):
        takeovers.supply(run=run, actor=actor, key="pay#1", result=2)
    with pytest.raises(store.NotOpen):
        takeovers.supply(run=run, actor=actor, key="other#1", result=1)


@pytest.mark.parametrize("type", ["timer", "child", "event", "model"])
def test_only_tools_and_plain_steps_are_done_by_hand(ana: User, type: str) -> None:
    run = factories.run(ana)
    story = factories.Story.of(run).note("run.created", 0)
    story.add("nap#1", Phase.STARTED, f"{type}.started", n=1, type=type).save()
    takeovers.take(run=run, actor=Actor(ana))
    assert takeovers.open_steps(run) == []
    with pytest.raises(store.NotOpen):
        takeovers.supply(run=run, actor=Actor(ana), key="nap#1", result=1)


def test_what_may_have_happened_is_settled_not_supplied(ana: User) -> None:
    run = factories.uncertain(ana)
    key = run.waiting_detail.removeprefix("uncertain:")
    takeovers.take(run=run, actor=Actor(ana))
    with pytest.raises(store.NotOpen, match=r"may have acted already\. Settle"):
        takeovers.supply(run=run, actor=Actor(ana), key=key, result=1)


def test_nothing_is_supplied_while_a_worker_ends_a_step(ana: User) -> None:
    run = held(ana)
    Run.objects.filter(pk=run.pk).update(
        status="running", waiting_for="", waiting_detail="", worker=factories.worker()
    )
    takeovers.take(run=run, actor=Actor(ana))
    with pytest.raises(store.RunIsBusy):
        takeovers.supply(run=run, actor=Actor(ana), key="pay#1", result=1)


def test_only_its_holder_answers_what_it_asks(ana: User) -> None:
    olga = people.person("olga")
    asked = making.question(making.waiting_run(olga, WaitingFor.ANSWER))
    root = people.administrator("root")
    takeovers.take(run=asked.run, actor=Actor(root))
    with pytest.raises(store.TakenOver, match="root took this run over"):
        questions.answer(request=asked, actor=Actor(olga), answer={"account": "EU"})
    questions.answer(request=asked, actor=Actor(root), answer={"account": "EU"})
    assert Request.objects.get().decided_by == root


def test_an_approval_of_what_was_done_by_hand_is_superseded(ana: User) -> None:
    asked = making.approval(making.waiting_run(ana))
    other = making.approval(making.waiting_run(ana))
    factories.Story.of(asked.run).add(asked.key, Phase.OUTCOME, "step.supplied", by="ana").save()
    duties.sweep()
    asked.refresh_from_db()
    other.refresh_from_db()
    assert (asked.state, other.state) == (State.SUPERSEDED, State.PENDING)


# -- doors -----------------------------------------------------------------------------------


def test_over_rest_a_person_takes_supplies_and_hands_back(ana: User) -> None:
    run = held(ana)
    at, client = f"/api/v1/runs/{run.public_id}", client_of(ana)
    code, taken = post(client, f"{at}/take-over", {"minutes": 30})
    assert (code, taken["person"], taken["run"]) == (200, "ana", run.public_id)
    assert post(client, f"{at}/steps/pay%231/supply", {"result": {"ok": True}})[0] == 200
    assert post(client, f"{at}/steps/other%231/supply", {"result": 1})[1]["code"] == "not_open"
    other = client_of(people.administrator("bo"))
    code, refused = post(other, f"{at}/hand-back")
    assert (code, refused["code"]) == (409, "taken_over")
    code, back = post(client, f"{at}/hand-back")
    assert (code, back["status"]) == (200, "queued")
    assert post(client, f"{at}/hand-back")[1]["code"] == "not_taken"
    token = {"HTTP_AUTHORIZATION": f"Bearer {people.token(ana)}"}
    answer = Client().post(f"{at}/take-over", {}, content_type="application/json", **token)  # type: ignore[arg-type]
    assert answer.json()["code"] == "person_required"


def test_in_the_console_a_person_takes_supplies_and_hands_back(ana: User) -> None:
    run = held(ana, title="Reconcile invoices")
    at, client = f"/runs/{run.public_id}", client_of(ana)
    assert f'href="{at}/take-over/"' in client.get(f"{at}/").content.decode()
    assert "Take over run Reconcile invoices?" in client.get(f"{at}/take-over/").content.decode()
    assert not TakeOver.objects.exists()
    assert client.post(f"{at}/take-over/", {"minutes": "15"}).status_code == 302
    mine = client.get(f"{at}/take-over/").content.decode()
    assert "You have run Reconcile invoices in hand" in mine
    assert "Supply the result of" in mine
    other = client_of(people.administrator("bo"))
    assert "ana has run Reconcile invoices" in other.get(f"{at}/take-over/").content.decode()
    other.post(f"{at}/supply/", {"key": "pay#1", "result": "no"})
    client.post(f"{at}/supply/", {"key": "pay#1", "result": '{"ok": true}'})
    assert takeovers.supplied(run) == {"pay#1"}
    assert "Its result is kept" in client.get(f"{at}/take-over/").content.decode()
    for path in ("supply", "hand-back"):
        assert client.get(f"{at}/{path}/").status_code == 405
    assert client.post(f"{at}/hand-back/")["location"] == f"{at}/"
    assert not TakeOver.objects.exists()


def test_others_neither_see_nor_take_it(ana: User) -> None:
    sven, olga = people.person("sven"), people.person("olga")
    run = held(olga)
    at = f"/runs/{run.public_id}/take-over/"
    assert client_of(sven).get(at).status_code == 404
    assert client_of(ana).post(at).status_code == 404
    assert client_of(olga).get(at).status_code == 403
    assert "take-over" not in client_of(olga).get(f"/runs/{run.public_id}/").content.decode()
