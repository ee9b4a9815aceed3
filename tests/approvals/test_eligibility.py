"""Who may decide: T6 and T8 of the threats, asked of the service itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from agentops.accounts.actors import Actor
from agentops.accounts.models import Delegation, Membership, User
from agentops.accounts.roles import Role, Scope
from approvals import deciding, eligibility, quorum
from approvals.models import Deputy, Request, State, Verdict
from approvals.refusals import AlreadyVoted, MayNotDecide
from tests.approvals import making
from tests.people import person

pytestmark = pytest.mark.django_db


def why_not(by: User, request: Request) -> str | None:
    return eligibility.may_decide(Actor(by), request)


def approves(request: Request, by: User, **said: Any) -> deciding.Decided:
    given = {"verdict": Verdict.APPROVE, **making.shown(request), **said}
    return deciding.decide(request=request, actor=Actor(by), **given)


def stands_in(deputy: User, person: User, *tools: str, **fields: Any) -> Deputy:
    ends = {"ends_at": timezone.now() + timedelta(days=1), **fields}
    return Deputy.objects.create(person=person, deputy=deputy, tools=list(tools), **ends)


@pytest.mark.parametrize(
    ("roles", "may"),
    [
        ((), False),
        ((Role.VIEWER,), False),
        ((Role.OPERATOR,), False),
        ((Role.CREDENTIAL_MANAGER,), False),
        ((Role.AUDITOR,), False),
        ((Role.ADMINISTRATOR,), False),
        ((Role.APPROVER,), True),
        ((Role.APPROVER, Role.ADMINISTRATOR), True),
    ],
)
def test_only_the_role_of_an_approver_decides(
    asked: Request, roles: tuple[Role, ...], may: bool
) -> None:
    assert (why_not(person("x", *roles), asked) is None) is may


def test_t8_nobody_decides_about_a_run_that_is_for_them(owner: User) -> None:
    ada = making.approver("ada")
    own = making.approval(making.waiting_run(ada))
    assert why_not(ada, own) == eligibility.OWN
    with pytest.raises(MayNotDecide):
        approves(own, ada)


@pytest.mark.parametrize("started_by", ["ada", "erp for ada"])
def test_t8_nobody_decides_about_a_run_they_started(owner: User, started_by: str) -> None:
    ada = making.approver("ada")
    run = making.waiting_run(owner, started_by=started_by)
    assert why_not(ada, making.approval(run)) == eligibility.STARTED
    child = making.waiting_run(owner, started_by="run", root=run)
    assert why_not(ada, making.approval(child)) == eligibility.STARTED


def test_t8_a_superuser_is_no_exception(owner: User) -> None:
    root = User.objects.create_superuser("root", password="x")
    assert why_not(root, making.approval(making.waiting_run(root))) == eligibility.OWN
    assert why_not(root, making.approval(making.waiting_run(owner))) is None


def test_t8_a_token_a_service_and_who_acts_for_one_never_decide(
    asked: Request, ada: User, owner: User
) -> None:
    robot = person("robot", Role.APPROVER)
    User.objects.filter(pk=robot.pk).update(is_service=True)
    robot.refresh_from_db()
    given = Delegation(person=ada, service=robot)
    for actor in (
        Actor(ada, scopes=frozenset(Scope)),
        Actor(ada, service=robot, scopes=frozenset(Scope), delegation=given),
        Actor(ada, service=robot),
    ):
        assert eligibility.may_decide(actor, asked) == eligibility.PERSONS_ONLY
    assert why_not(robot, asked) == eligibility.NEEDS_ROLE


def test_t8_who_edited_is_no_independent_voice_where_several_must_agree(owner: User) -> None:
    ada, two = making.approver("ada"), [{"role": "approver", "count": 2}]
    asked = making.approval(making.waiting_run(owner), factors=two)
    making.revision(asked, {**making.REFUND, "amount": "1.00"}, made_by=ada)
    assert why_not(ada, asked) == eligibility.EDITED


def test_an_editor_counts_where_the_rule_lets_them(owner: User) -> None:
    ada, two = making.approver("ada"), [{"role": "approver", "count": 2}]
    loose = {"separation": {"editor": False}}
    asked = making.approval(making.waiting_run(owner), factors=two, rule=loose)
    assert approves(asked, ada, arguments={**making.REFUND, "amount": "1.00"}).missing == [1]
    assert asked.votes.get().revision.number == 2


def test_the_only_one_who_decides_may_take_back_their_edit_and_approve_it_again(
    owner: User, ada: User
) -> None:
    asked = making.approval(making.waiting_run(owner), undo_seconds=20)
    approves(asked, ada, arguments={**making.REFUND, "amount": "1.00"})
    deciding.withdraw(request=asked, actor=Actor(ada))
    assert approves(asked, ada).is_settled


@pytest.mark.parametrize("loose", [{"owner": False}, {"owner": False, "starter": False}])
def test_a_rule_can_let_people_decide_about_their_own(loose: Mapping[str, bool]) -> None:
    ada = making.approver("ada")
    run = making.waiting_run(ada, started_by="somebody")
    assert why_not(ada, making.approval(run, rule={"separation": loose})) is None


def test_a_team_decides_by_its_members(owner: User) -> None:
    finance = making.team("finance")
    ida, ada = making.approver("ida", finance), making.approver("ada")
    asked = making.approval(making.waiting_run(owner), factors=[{"team": "finance", "count": 1}])
    assert why_not(ida, asked) is None
    assert why_not(ada, asked) == "It asks for 1 of team finance; you are none of them."


def test_a_role_decides_where_it_may_look(owner: User) -> None:
    finance, sales = making.team("finance"), making.team("sales")
    asked = making.approval(making.waiting_run(owner, team=finance))
    assert why_not(making.approver("ida", finance), asked) is None
    assert why_not(making.approver("sol", sales), asked)
    chief = making.approver("chief", None, Role.ADMINISTRATOR)
    assert why_not(chief, asked) is None


def test_a_deputy_decides_for_whom_they_stand_in(owner: User, ada: User) -> None:
    finance = making.team("finance")
    ida = making.approver("ida", finance)
    asked = making.approval(
        making.waiting_run(owner, team=finance), factors=[{"team": "finance", "count": 1}]
    )
    row = stands_in(ada, ida)
    assert approves(asked, ada).request.state == State.APPROVED
    vote = asked.votes.get()
    assert (vote.voter, vote.deputy) == (ada, row)
    assert asked.records.get(event="approval.voted").detail["for"] == "ida"


Bends = Callable[[Deputy, User, User], None]


@pytest.mark.parametrize(
    "bend",
    [
        lambda row, ada, ida: Deputy.objects.update(ends_at=timezone.now()),
        lambda row, ada, ida: Deputy.objects.update(ended_at=timezone.now()),
        lambda row, ada, ida: Deputy.objects.update(
            begins_at=timezone.now() + timedelta(minutes=5)
        ),
        lambda row, ada, ida: Deputy.objects.update(tools=["send_mail"]),
        lambda row, ada, ida: ada.groups.clear(),
        lambda row, ada, ida: ida.groups.clear(),
        lambda row, ada, ida: User.objects.filter(pk=ida.pk).update(is_active=False),
        lambda row, ada, ida: Membership.objects.filter(user=ida).delete(),
    ],
    ids=["ended", "taken back", "not begun", "other tool", "no approver", "principal no approver",
         "principal left", "principal left the team"],
)  # fmt: skip
def test_t8_a_deputy_decides_nothing_more(owner: User, ada: User, bend: Bends) -> None:
    ida = making.approver("ida", making.team("finance"))
    asked = making.approval(making.waiting_run(owner), factors=[{"team": "finance", "count": 1}])
    row = stands_in(ada, ida)
    assert why_not(ada, asked) is None
    bend(row, ada, ida)
    assert why_not(ada, asked)


def test_t8_what_bars_the_one_bars_their_deputy(ada: User) -> None:
    ida = making.approver("ida", making.team("finance"))
    factors = [{"team": "finance", "count": 1}]
    stands_in(ada, ida)
    assert why_not(ada, making.approval(making.waiting_run(ida), factors=factors))
    assert why_not(ada, making.approval(making.waiting_run(ada), factors=factors))


def test_t8_standing_in_is_not_handed_on(owner: User, ada: User, bo: User) -> None:
    ida = making.approver("ida", making.team("finance"))
    asked = making.approval(making.waiting_run(owner), factors=[{"team": "finance", "count": 1}])
    stands_in(ada, ida)
    stands_in(bo, ada)
    assert why_not(bo, asked)


def test_t8_nobody_has_two_voices_through_a_deputy(owner: User, ada: User) -> None:
    finance = making.team("finance")
    ida, kim = making.approver("ida", finance), making.approver("kim", finance)
    asked = making.approval(making.waiting_run(owner), factors=[{"team": "finance", "count": 2}])
    stands_in(ada, ida)
    approves(asked, ada)
    with pytest.raises(AlreadyVoted):
        approves(asked, ida)
    assert approves(asked, kim).is_settled


def test_who_left_in_between_does_not_count_when_it_closes(owner: User) -> None:
    finance = making.team("finance")
    ida, kim, lou = (making.approver(name, finance) for name in ("ida", "kim", "lou"))
    asked = making.approval(making.waiting_run(owner), factors=[{"team": "finance", "count": 2}])
    approves(asked, ida)
    Membership.objects.filter(user=ida).delete()
    assert approves(asked, kim).missing == [1]
    assert approves(asked, lou).is_settled
    assert asked.votes.get(voter=ida).factor is None


def test_who_could_stand_for_both_leaves_the_place_that_only_they_do_not_need(owner: User) -> None:
    ida = making.approver("ida", making.team("finance"))
    ada = making.approver("ada")
    factors = [{"role": "approver", "count": 1}, {"team": "finance", "count": 1}]
    asked = making.approval(making.waiting_run(owner), factors=factors)
    assert approves(asked, ida).missing in ([0, 1], [1, 0])
    assert approves(asked, ada).is_settled
    assert dict(asked.votes.values_list("voter__username", "factor")) == {"ida": 1, "ada": 0}


@pytest.mark.parametrize(
    ("able", "counts", "seats"),
    [
        ({1: {0, 1}, 2: {0}}, [1, 1], {1: 1, 2: 0}),
        ({1: {0}, 2: {0}}, [1, 1], {1: 0}),
        ({1: set(), 2: {1}}, [1, 1], {2: 1}),
        ({1: {0, 1}, 2: {0, 1}, 3: {0}}, [2, 1], None),
    ],
)
def test_places_are_given_so_that_most_are_filled(
    able: dict[int, set[int]], counts: list[int], seats: dict[int, int] | None
) -> None:
    factors = [{"role": "approver", "count": count} for count in counts]
    found = quorum.seated({pk: frozenset(at) for pk, at in able.items()}, factors)
    assert found == seats if seats is not None else len(found) == 3
    assert all(at in able[pk] for pk, at in found.items())
