"""Routes: versions are added, compared and made current again; endpoints in use stay.

| what goes wrong | what happens |
|---|---|
| two administrators save the same route at once | the second is shown the first version |
| a save changes nothing | it is refused with the version that says the same |
| somebody changes a stored version in SQL | the database refuses |
| candidates cannot be read | refused with the place, at the field |
| an endpoint is deleted that a current route asks | refused with the names |
| the author of a version is deleted | the version stays |
| a key is typed where its variable's name belongs | refused, not stored, not shown again |
| no worker says which keys it has | said as unknown, not as missing |
"""

from __future__ import annotations

import json
import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.db import DatabaseError, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from agentops.accounts.models import User
from agentops.accounts.roles import Role, Scope
from runs import routes, standing
from runs.models import AgentLimit, Breaker, LimitBucket, ModelEndpoint, RouteVersion
from runs.routes import Refused
from tests import factories, people

pytestmark = pytest.mark.django_db
HERE: dict[str, Any] = {"endpoint": "here", "model": "m"}
THERE: dict[str, Any] = {"endpoint": "there", "model": "n"}


@pytest.fixture
def endpoints() -> None:
    ModelEndpoint.objects.create(
        name="here", protocol="openai", base_url="http://m:1/v1", key_variable="HERE_KEY",
        requests_per_minute=60,
    )  # fmt: skip
    ModelEndpoint.objects.create(name="there", protocol="anthropic", key_variable="THERE_KEY")


def saved(*candidates: object, based_on: int | None = None, route: str = "main") -> RouteVersion:
    return routes.save(
        route=route, candidates=list(candidates), note="", made_by=None, based_on=based_on
    )


def client_of(user: User) -> Client:
    """A browser in which somebody gave their password a moment ago."""
    client = Client()
    client.post(reverse("login"), {"username": user.username, "password": "x"})
    return client


@pytest.fixture
def admin() -> Client:
    return client_of(people.administrator("opal"))


def words(answer: Any) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.content.decode())).split())


# -- versions --------------------------------------------------------------------------------


def test_saving_adds_a_version_and_leaves_the_others() -> None:
    first, second = saved(HERE), saved(HERE, THERE)
    assert (first.number, second.number) == (1, 2)
    first.refresh_from_db()
    assert first.candidates == [HERE]
    again = routes.make_current_again(version=first, made_by=None)
    assert (again.number, again.candidates) == (3, [HERE])
    assert [v.number for v in routes.current()] == [3]


def test_what_changes_nothing_or_not_what_was_seen_is_refused() -> None:
    saved(HERE)
    with pytest.raises(Refused, match="Version 1 of “main” says the same"):
        saved({**HERE, "when": {}})
    with pytest.raises(Refused, match="Meanwhile version 1"):
        saved(THERE, based_on=0)
    assert saved(THERE, based_on=1).number == 2


def test_the_database_itself_refuses_to_change_a_version() -> None:
    version = saved(HERE)
    with pytest.raises(DatabaseError, match="never changed"), transaction.atomic():
        RouteVersion.objects.update(candidates=[THERE])
    author = User.objects.create(username="gone")
    other = routes.save(route="x", candidates=[HERE], note="", made_by=author, based_on=None)
    author.delete()
    other.refresh_from_db()
    assert (other.made_by, version.number) == (None, 1)


def test_a_difference_reads_as_lines() -> None:
    old = saved(HERE, THERE)
    new = saved({**THERE, "when": {"agents": ["support"]}}, {"endpoint": "x", "model": "y"})
    assert routes.difference(old, new) == [
        "- 1. here/m",
        "↕ there/n: place 2 → 1",
        "~ there/n: always → only agents support",
        "+ 2. x/y",
    ]
    assert routes.difference(None, old) == ["+ 1. here/m", "+ 2. there/n"]


# -- how things stand ------------------------------------------------------------------------


def test_it_says_who_is_asked_and_why_not_the_others(endpoints: None) -> None:
    factories.worker(key_variables=["THERE_KEY"])
    saved(HERE, {"endpoint": "no", "model": "m"}, THERE, {"endpoint": "scripted", "model": "s"})
    route = standing.now(timezone.now()).route("main")
    assert route is not None
    assert [(row.endpoint, row.asked_now, row.why_not) for row in route.candidates] == [
        ("here", False, "HERE_KEY is not set on any worker"),
        ("no", False, "there is no such endpoint"),
        ("there", True, ""),
        ("scripted", False, "comes after the one asked"),
    ]
    until = timezone.now() + timedelta(seconds=30)
    Breaker.objects.create(target="model:there/n", failures=5, open_until=until)
    route = standing.now(timezone.now()).route("main")
    assert route is not None
    assert route.candidates[2].why_not.startswith("is left alone for")
    assert route.asked == route.candidates[3]
    assert route.candidates[3].scripted


def test_the_routes_of_the_product_follow_the_keys_of_the_workers() -> None:
    assert standing.now(timezone.now()).is_scripted
    factories.worker(key_variables=["OPENAI_API_KEY"])
    factories.worker(key_variables=None)
    fast = standing.now(timezone.now()).route("fast")
    assert fast is not None
    assert fast.asked is not None
    assert (fast.version, fast.asked.endpoint) == (0, "openai")


def test_keys_are_missing_on_named_workers_or_unknown(endpoints: None) -> None:
    silent = factories.worker()
    known = standing.keys([silent])
    assert known.words("HERE_KEY") == "HERE_KEY: no worker says whether it has it"
    has, lacks = factories.worker(key_variables=["HERE_KEY"]), factories.worker(key_variables=[])
    known = standing.keys([silent, has, lacks])
    assert known.words("HERE_KEY") == f"HERE_KEY is missing on worker {lacks.pk}"
    assert known.fault("HERE_KEY") == ""
    assert known.words("") == "needs no key"


def test_a_level_fills_as_workers_reckon(endpoints: None) -> None:
    LimitBucket.objects.create(
        key="here/r", level=-10, changed_at=timezone.now() - timedelta(seconds=30)
    )
    rows = {row.name: row for row in standing.now(timezone.now()).endpoints}
    [level] = rows["here"].levels
    assert (level.left, level.per_minute, level.what) == (20, 60, "requests")
    assert rows["there"].levels == []


# -- REST ------------------------------------------------------------------------------------


def test_operators_and_administrators_read_routes(endpoints: None) -> None:
    saved(THERE)
    client = client_of(people.person("ana", Role.OPERATOR))
    names = [row["name"] for row in client.get("/api/v1/routes").json()["items"]]
    assert names == ["fast", "main", "smart"]
    told = client.get("/api/v1/routes/main").json()
    assert (told["version"], told["candidates"][0]["asked_now"]) == (1, True)
    assert client.get("/api/v1/routes/none").status_code == 404
    assert client.post("/api/v1/routes").status_code == 405


@pytest.mark.parametrize("role", [Role.VIEWER, Role.APPROVER, Role.AUDITOR])
def test_others_do_not(role: Role) -> None:
    client = client_of(people.person("olga", role))
    assert client.get("/api/v1/routes").status_code == 403
    assert client.get("/api/v1/routes/fast").status_code == 403
    assert Client().get("/api/v1/routes").status_code == 401


def test_a_token_needs_the_scope() -> None:
    ana = people.person("ana", Role.OPERATOR)
    reads = Client(headers={"authorization": f"Bearer {people.token(ana, Scope.RUNS_READ)}"})
    assert reads.get("/api/v1/routes").status_code == 403
    operates = Client(headers={"authorization": f"Bearer {people.token(ana, Scope.RUNS_OPERATE)}"})
    assert operates.get("/api/v1/routes").status_code == 200


# -- the admin -------------------------------------------------------------------------------

ADD = "/admin/runs/routeversion/add/"
ENDPOINT = "/admin/runs/modelendpoint/add/"


def route_form(*candidates: object, **said: object) -> dict[str, object]:
    return {
        "route": "main", "candidates": json.dumps(candidates), "note": "cheaper", "based_on": 0,
        **said,
    }  # fmt: skip


def test_a_route_is_saved_with_who_and_why_and_doubts_are_told(
    admin: Client, endpoints: None
) -> None:
    factories.worker(key_variables=["THERE_KEY"])
    answer = admin.post(ADD, route_form(HERE, {"endpoint": "no", "model": "m"}), follow=True)
    version = RouteVersion.objects.get()
    assert (str(version), version.note, str(version.made_by)) == ("main v1", "cheaper", "opal")
    told = words(answer)
    assert "ere/m: HERE_KEY is not set on any worker." in told
    assert "o/m: there is no endpoint “no” yet." in told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[{"endpoint": "here"}]', "/0/model: Field required"),
        ('[{"endpoint": "here",\n "model"}]', "Line 2, column 9: no JSON"),
        ("[]", "at least 1 item"),
    ],
)
def test_a_fault_is_named_at_the_field_with_its_place(admin: Client, text: str, told: str) -> None:
    answer = admin.post(ADD, route_form() | {"candidates": text})
    assert told in str(answer.context["adminform"].form.errors["candidates"])
    assert RouteVersion.objects.count() == 0


def test_a_version_shows_what_it_changes_and_becomes_current_again(admin: Client) -> None:
    first, second = saved(HERE), saved(THERE)
    page = words(admin.get(f"/admin/runs/routeversion/{second.pk}/change/"))
    assert "- 1. here/m" in page
    assert "+ 1. there/n" in page
    assert admin.get(f"/admin/runs/routeversion/{first.pk}/again/").status_code == 405
    admin.post(f"/admin/runs/routeversion/{first.pk}/again/")
    assert [str(v) for v in routes.current()] == ["main v3"]
    told = words(admin.post(f"/admin/runs/routeversion/{first.pk}/again/", follow=True))
    assert "says the same already" in told
    form = admin.get(f"{ADD}?like={second.pk}").context["adminform"].form
    assert form.initial["based_on"] == 3
    assert json.loads(form.initial["candidates"]) == [THERE]


def test_who_was_overtaken_is_shown_the_newer_version(admin: Client) -> None:
    saved(HERE)
    answer = admin.post(ADD, route_form(THERE), follow=True)
    assert "Meanwhile version 1 of “main” was saved" in words(answer)
    assert RouteVersion.objects.count() == 1


def test_no_version_is_changed_or_deleted(admin: Client) -> None:
    version = saved(HERE)
    address = f"/admin/runs/routeversion/{version.pk}"
    assert admin.post(f"{address}/change/", route_form(THERE)).status_code == 403
    assert admin.post(f"{address}/delete/", {"post": "yes"}).status_code == 403


@pytest.mark.parametrize(
    "key", ["sk-ant-api03-AAAAbbbbCCCC", "AKIAIOSFODNN7EXAMPLE1", "AIzaSyA1234567890abcdefgh"]
)
def test_a_key_is_refused_and_not_shown_again(admin: Client, key: str) -> None:
    said = {"name": "mine", "protocol": "openai", "key_variable": key}
    answer = admin.post(ENDPOINT, said)
    assert "no name of a variable" in words(answer)
    assert key not in answer.content.decode()
    assert not ModelEndpoint.objects.exists()


def test_an_address_with_a_password_is_refused_and_not_shown_again(admin: Client) -> None:
    said = {"name": "mine", "protocol": "openai", "base_url": "https://me:hunter2@m.example/v1"}
    answer = admin.post(ENDPOINT, said)
    assert "Give the address alone" in words(answer)
    assert "hunter2" not in answer.content.decode()


def test_what_is_called_scripted_is_scripted(admin: Client) -> None:
    answer = admin.post(ENDPOINT, {"name": "scripted", "protocol": "openai"})
    assert "says that no model answers" in words(answer)
    admin.post(ENDPOINT, {"name": "GOOD-one", "protocol": "openai"})
    assert not ModelEndpoint.objects.exists()


def test_an_endpoint_that_a_route_asks_cannot_be_deleted(admin: Client, endpoints: None) -> None:
    saved(HERE)
    here = ModelEndpoint.objects.get(name="here")
    address = f"/admin/runs/modelendpoint/{here.pk}/delete/"
    assert "Route main v1 asks here" in words(admin.get(address))
    admin.post(address, {"post": "yes"})
    assert ModelEndpoint.objects.filter(pk=here.pk).exists()
    with pytest.raises(Refused, match="is asked by main v1"):
        routes.delete_endpoint(endpoint=here)
    saved(THERE)
    admin.post(address, {"post": "yes"})
    assert not ModelEndpoint.objects.filter(pk=here.pk).exists()


def test_the_list_of_endpoints_says_where_a_key_is_missing(admin: Client, endpoints: None) -> None:
    lacks = factories.worker(key_variables=[])
    factories.worker(key_variables=["HERE_KEY", "THERE_KEY"])
    told = words(admin.get("/admin/runs/modelendpoint/"))
    assert f"HERE_KEY is missing on worker {lacks.pk}" in told


def test_a_limit_is_for_an_agent_that_exists(admin: Client) -> None:
    address = "/admin/runs/agentlimit/add/"
    told = words(admin.post(address, {"agent": "nobody", "max_running": 2}))
    assert "There is no agent of this name." in told
    factories.run(agent="old-one")
    admin.post(address, {"agent": "old-one", "max_running": 2})
    assert AgentLimit.objects.get().max_running == 2


@pytest.mark.parametrize("model", ["routeversion", "modelendpoint", "agentlimit"])
def test_staff_without_the_role_sees_none_of_it(model: str) -> None:
    user = people.person("staff", Role.OPERATOR)
    User.objects.filter(pk=user.pk).update(is_staff=True)
    client = client_of(user)
    # The console's sign-in is where those are led who may not.
    assert client.get(f"/admin/runs/{model}/").status_code in {302, 403}
    assert client.get(f"/admin/runs/{model}/add/").status_code in {302, 403}
    version = saved(HERE)
    again = client.post(f"/admin/runs/routeversion/{version.pk}/again/")
    assert again.status_code in {302, 403}
    assert RouteVersion.objects.count() == 1
