"""The pages of the kill switch, and the banner that no page lacks while something is stopped."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from agentops.accounts.models import User
from agentops.accounts.roles import Role
from agentops.sdk import catalog
from runs.models import Run, Stop
from tests import factories, people

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _agents() -> Iterator[None]:
    before = catalog.catalog()
    catalog.configure(("tests.runs.agents",))
    yield
    catalog._catalog = before


def client_of(name: str, *roles: Role) -> Client:
    return signed_in(people.person(name, *roles))


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    fresh(client)
    return client


def fresh(client: Client, seconds_ago: float = 0) -> None:
    """They gave their password so long ago."""
    session = client.session
    record = {"method": "password", "at": time.time() - seconds_ago}
    session["account_authentication_methods"] = [record]
    session["account_authentication_methods_user"] = session["_auth_user_id"]
    session.save()


def form(scope: str = "everything", target: str = "", **changed: str) -> dict[str, str]:
    said = {"scope": scope, "target": target, "reason": "It pays twice.", **changed}
    return {"typed": target or "everything", **said}


def body(client: Client, path: str) -> str:
    return client.get(path).content.decode()


def test_an_operator_stops_everything_with_a_reason_and_what_they_typed() -> None:
    client = client_of("ana", Role.OPERATOR)
    factories.run()
    asked = body(client, "/stops/new/")
    assert "Stop everything?" in asked
    assert "1 queued" in asked
    answer = client.post("/stops/new/", form())
    stop = Stop.objects.get()
    assert answer.status_code == 302
    assert answer["location"] == f"/stops/{stop.public_id}/"
    assert (stop.scope, stop.reason, stop.by) == ("everything", "It pays twice.", "ana")
    page = body(client, "/")
    assert "Everything is stopped" in page
    assert f'href="/stops/{stop.public_id}/"' in page


@pytest.mark.parametrize("typed", ["", "yes", "Everything"])
def test_what_was_not_typed_is_not_stopped(typed: str) -> None:
    client = client_of("ana", Role.OPERATOR)
    answer = client.post("/stops/new/", form(typed=typed))
    assert answer.status_code == 422
    assert "Type everything" in answer.content.decode()
    assert not Stop.objects.exists()


def test_a_get_stops_nothing_and_a_mistyped_name_says_so() -> None:
    client = client_of("ana", Role.OPERATOR)
    assert "Stop agent echo?" in body(client, "/stops/new/?scope=agent&target=echo&typed=echo")
    assert not Stop.objects.exists()
    answer = client.post("/stops/new/", form("agent", "ecko"))
    assert answer.status_code == 422
    assert "no agent is called" in answer.content.decode()
    assert "No agent here declares" in body(client, "/stops/new/?scope=tool&target=paay")
    assert client.get("/stops/new/?scope=credential&target=x").status_code == 404
    assert client.get("/stops/nothing/").status_code == 404


@pytest.mark.parametrize("role", [None, Role.VIEWER, Role.APPROVER])
def test_others_read_what_is_stopped_and_change_nothing(role: Role | None) -> None:
    stop = Stop.objects.create(scope="agent", target="echo", reason="It pays twice.", by="ana")
    hidden = Stop.objects.create(scope="person", target="olga", reason="Private.", by="ana")
    client = client_of("eve", *([role] if role else []))
    for path in ("/", "/stops/", f"/stops/{stop.public_id}/"):
        page = body(client, path)
        assert "agent echo" in page
        assert "Private." not in page
    assert "needs the role operator" in body(client, "/stops/")
    assert client.get(f"/stops/{hidden.public_id}/").status_code == 404
    assert client.get("/stops/new/").status_code == 403
    assert client.post("/stops/new/", form()).status_code == 403
    lift = {"typed": "echo", "reason": "Mended."}
    assert client.post(f"/stops/{stop.public_id}/lift/", lift).status_code == 403
    assert Stop.objects.filter(lifted_at=None).count() == 2


def test_the_banner_tells_people_of_a_stop_of_their_own_runs() -> None:
    Stop.objects.create(scope="person", target="olga", reason="Wait.", by="ana")
    assert "Stopped: runs for olga" in body(client_of("olga"), "/runs/")
    assert "Stopped:" not in body(client_of("sven"), "/runs/")


def test_to_lift_people_say_once_more_who_they_are() -> None:
    stop = Stop.objects.create(scope="agent", target="echo", reason="x", by="ana")
    client = client_of("bo", Role.OPERATOR)
    fresh(client, seconds_ago=16 * 60)
    said = {"typed": "echo", "reason": "Mended."}
    lift = f"/stops/{stop.public_id}/lift/"
    assert client.get(lift).status_code == 405
    answer = client.post(lift, said)
    assert answer["location"].startswith("/sign-in/again/")
    assert Stop.objects.get().lifted_at is None
    fresh(client)
    assert client.post(lift, {**said, "typed": "ecko"}).status_code == 422
    assert client.post(lift, {**said, "reason": " "}).status_code == 422
    assert Stop.objects.get().lifted_at is None
    assert client.post(lift, said).status_code == 302
    assert Stop.objects.get().lifted_at is not None
    assert "goes on" in body(client, f"/stops/{stop.public_id}/")
    assert "Stopped:" not in body(client, "/")


def test_everything_is_lifted_by_the_second_person() -> None:
    ana, bo = client_of("ana", Role.OPERATOR), client_of("bo", Role.OPERATOR)
    ana.post("/stops/new/", form())
    at = f"/stops/{Stop.objects.get().public_id}/"
    said = {"typed": "everything", "reason": "Mended."}
    assert "Two people lift it" in body(ana, at)
    ana.post(f"{at}lift/", said)
    assert "Another operator has to agree" in body(ana, at)
    assert "ana agreed" in body(bo, at)
    assert ana.post(f"{at}lift/", said).status_code == 422
    assert Stop.objects.get().lifted_at is None
    bo.post(f"{at}lift/", said)
    assert Stop.objects.get().lifted_at is not None


def test_a_held_run_leads_to_the_stop_that_holds_it() -> None:
    ana = client_of("ana", Role.OPERATOR)
    run = factories.run(User.objects.get(username="ana"))
    ana.post("/stops/new/", form("run", run.public_id))
    stop = Stop.objects.get()
    page = body(ana, f"/runs/{run.public_id}/")
    assert "held by a stop" in page
    assert f'href="/stops/{stop.public_id}/">See the stop' in page
    assert "Resume run" not in page


def test_stops_are_thrown_from_anywhere() -> None:
    """From the palette, the Overview, the page of an agent, of its tools, and of a run."""
    client = client_of("ana", Role.OPERATOR)
    run = factories.run(User.objects.get(username="ana"))
    assert 'href="/stops/new/"' in body(client, "/")
    assert "Stop everything…" in body(client, "/find/?q=stop")
    assert "scope=agent&amp;target=echo" in body(client, "/find/?q=stop+echo")
    assert "scope=agent&amp;target=echo" in body(client, "/agents/echo/")
    assert f"scope=run&amp;target={run.public_id}" in body(client, f"/runs/{run.public_id}/")
    reader = client_of("vera", Role.VIEWER)
    for path in ("/", "/find/?q=stop", "/agents/echo/"):
        assert "/stops/new/" not in body(reader, path)


def test_pages_ask_no_more_while_nothing_is_stopped() -> None:
    client = client_of("ana", Role.OPERATOR)
    client.get("/stops/")
    with CaptureQueriesContext(connection) as asked:
        body(client, "/settings/profile/")
    about = [query["sql"] for query in asked if '"stop"' in query["sql"]]
    assert len(about) == 1, "only as a part of what the rail asks anyway"
    assert "UNION ALL" in about[0]


# -- over REST -------------------------------------------------------------------------------


def bearer(user: User) -> dict[str, Any]:
    return {"headers": {"Authorization": f"Bearer {people.token(user)}"},
            "content_type": "application/json"}  # fmt: skip


def test_a_program_throws_and_a_person_lifts() -> None:
    ana = people.person("ana", Role.OPERATOR)
    said = {"scope": "tool", "target": "pay", "reason": "It pays twice."}
    client = Client()
    first = client.post("/api/v1/stops", said, **bearer(ana))
    again = client.post("/api/v1/stops", said, **bearer(ana))
    assert (first.status_code, again.status_code) == (201, 200)
    stop = first.json()
    assert (stop["scope"], stop["target"], stop["by"], stop["lifted_at"]) == (
        "tool", "pay", "ana", None
    )  # fmt: skip
    at = f"/api/v1/stops/{stop['id']}"
    assert client.get(at, **bearer(ana)).json() == stop
    assert client.get("/api/v1/stops", **bearer(ana)).json() == {"items": [stop]}
    refused = client.post(f"{at}/lift", {"reason": "Mended."}, **bearer(ana))
    assert (refused.status_code, refused.json()["code"]) == (403, "person_required")
    browser = signed_in(ana)
    lifted = browser.post(f"{at}/lift", {"reason": "Mended."}, content_type="application/json")
    assert lifted.status_code == 200
    assert lifted.json()["lifted_by"] == "ana"
    twice = browser.post(f"{at}/lift", {"reason": "Mended."}, content_type="application/json")
    assert (twice.status_code, twice.json()["code"]) == (409, "not_holding")


def test_of_everything_the_first_answer_says_who_agreed() -> None:
    ana, bo = people.person("ana", Role.OPERATOR), people.person("bo", Role.OPERATOR)
    first, second = signed_in(ana), signed_in(bo)
    said = {"scope": "everything", "reason": "It pays twice."}
    stop = first.post("/api/v1/stops", said, content_type="application/json").json()
    at, why = f"/api/v1/stops/{stop['id']}/lift", {"reason": "Mended."}
    half = first.post(at, why, content_type="application/json").json()
    assert (half["lifted_at"], half["agreed_by"]) == (None, "ana")
    same = first.post(at, why, content_type="application/json")
    assert (same.status_code, same.json()["code"]) == (409, "second_person_needed")
    whole = second.post(at, why, content_type="application/json").json()
    assert (whole["lifted_by"], whole["agreed_by"]) == ("bo", None)


def test_others_are_refused_and_what_is_wrong_is_named() -> None:
    ana, eve = people.person("ana", Role.OPERATOR), people.person("eve", Role.VIEWER)
    said = {"scope": "everything", "reason": "It pays twice."}
    client = Client()
    for method, path in (("get", "/api/v1/stops"), ("post", "/api/v1/stops")):
        answer = getattr(client, method)(path, said, **bearer(eve))
        assert answer.status_code == 403
    wrong = client.post("/api/v1/stops", {**said, "scope": "agent"}, **bearer(ana))
    assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid_request")
    assert "name the agent" in wrong.json()["message"]
    assert client.get("/api/v1/stops/stp_0", **bearer(ana)).status_code == 404
    run = factories.run(people.person("olga"))
    hers = {"scope": "run", "target": run.public_id, "reason": "x"}
    assert client.post("/api/v1/stops", hers, **bearer(ana)).status_code == 404
    assert not Stop.objects.exists()
    assert Run.objects.get().status == "queued"
    assert reverse("api:api-stops") == "/api/v1/stops"
