"""Who sees what, and who may do what with it."""

from __future__ import annotations

import pytest

from agentops.accounts.access import (
    Action,
    Actor,
    Forbidden,
    NotFound,
    allows,
    authorize,
    visible_to,
)
from agentops.accounts.models import Team, User
from agentops.accounts.roles import ALLOWS, Role, Scope
from runs.models import Run
from tests import factories
from tests.people import administrator, person

pytestmark = pytest.mark.django_db


@pytest.fixture
def finance() -> Team:
    return Team.objects.create(name="finance")


@pytest.fixture
def run(finance: Team) -> Run:
    return factories.run(person("ana"), team=finance)


def may(user: User, run: Run) -> set[Action]:
    return {action for action in Action if allows(Actor(user), action, run)}


def test_owners_see_and_steer_what_is_theirs_and_settle_nothing(run: Run) -> None:
    assert run.owner is not None
    assert may(run.owner, run) == {Action.VIEW, Action.RESPOND, Action.CONTROL}
    with pytest.raises(Forbidden, match="operator or administrator"):
        authorize(Actor(run.owner), Action.OPERATE, run)


def test_strangers_do_not_learn_that_it_exists(run: Run) -> None:
    for role in set(Role) - {Role.ADMINISTRATOR}:
        elsewhere = Team.objects.create(name=f"team of {role}")
        stranger = person(f"stranger {role}", role, team=elsewhere)
        assert may(stranger, run) == set()
        assert not visible_to(Actor(stranger), Run.objects.all())
        with pytest.raises(NotFound):
            authorize(Actor(stranger), Action.VIEW, run)


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR, Role.APPROVER])
def test_a_team_shares_its_runs_as_far_as_the_roles_of_each_go(
    run: Run, finance: Team, role: Role
) -> None:
    member = person("bo", role, team=finance)
    assert may(member, run) == ALLOWS[role]
    assert list(visible_to(Actor(member), Run.objects.all())) == [run]


def test_a_member_without_a_role_sees_only_what_is_their_own(run: Run, finance: Team) -> None:
    member = person("bo", team=finance)
    own = factories.run(member)
    assert list(visible_to(Actor(member), Run.objects.all())) == [own]


def test_administrators_look_after_everything_and_decide_nothing(run: Run) -> None:
    admin = administrator("kim")
    assert Action.DECIDE not in may(admin, run)
    assert {Action.VIEW, Action.CONTROL, Action.OPERATE} <= may(admin, run)
    assert allows(Actor(admin), Action.ADMINISTER)


def test_a_token_narrows_what_its_person_may_do(run: Run) -> None:
    assert run.owner is not None
    reads = Actor(run.owner, scopes=frozenset({Scope.RUNS_READ}))
    assert allows(reads, Action.VIEW, run)
    with pytest.raises(Forbidden, match="token"):
        authorize(reads, Action.CONTROL, run)
    other = factories.run(run.owner)
    bound = Actor(run.owner, scopes=frozenset({Scope.RUNS_READ}), only=frozenset({run.public_id}))
    assert list(visible_to(bound, Run.objects.all())) == [run]
    assert not allows(bound, Action.VIEW, other)


def test_a_service_has_what_both_it_and_its_person_have(run: Run, finance: Team) -> None:
    bo = person("bo", Role.OPERATOR, team=finance)
    erp = person("erp", Role.VIEWER)
    assert allows(Actor(bo), Action.OPERATE, run)
    assert not allows(Actor(bo, service=erp), Action.OPERATE, run)
    erp.is_active = False
    assert not allows(Actor(bo, service=erp), Action.VIEW, run)


def test_who_left_sees_nothing(run: Run) -> None:
    assert run.owner is not None
    run.owner.is_active = False
    assert may(run.owner, run) == set()
    assert not visible_to(Actor(run.owner), Run.objects.all())
