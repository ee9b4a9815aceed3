"""T17: a standing permission covers what it says, as often and as much as it says, and no more."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.conf import LazySettings
from django.utils import timezone

from agentops.accounts.access import Forbidden, NotFound, PersonRequired
from agentops.accounts.actors import Actor
from agentops.accounts.models import User
from agentops.accounts.roles import Role, Scope
from approvals import editing, grants, offers, queries
from approvals.grants import NotGranted, StaleOffer, Wish
from approvals.models import Grant, Record, Request, Revision
from approvals.refusals import MayNotDecide
from runs.labels import InvalidRequest
from runs.models import Run
from tests.approvals import making
from tests.people import person

pytestmark = pytest.mark.django_db
RULE = {"factors": [{"role": "approver", "count": 1}]}


def give(request: Request, by: User, **said: Any) -> Grant:
    wish = {"when": "double(arguments.amount) <= 240.0", "scope": "agent", **said}
    return grants.issue(request=request, actor=Actor(by), wish=Wish(**wish))


def covered(
    run: Run,
    arguments: Mapping[str, object] = making.REFUND,
    *,
    key: str = "",
    rule: Mapping[str, object] = RULE,
    bends: Mapping[str, object] | None = None,
) -> Grant | None:
    """What the gate asks for a call of this run."""
    asks = making.approval(run, arguments=arguments, key=key)
    newest = queries.newest(asks)
    assert newest is not None
    envelope = {**editing.read(newest), **(bends or {})}
    Revision.objects.filter(request=asks).delete()
    return grants.cover(
        run=run, key=asks.key, envelope=envelope, action=bytes(newest.action), rule=rule
    )


def amount(value: object) -> dict[str, object]:
    return {**making.REFUND, "amount": value}


# -- what is offered ------------------------------------------------------------------------------


def test_offers_go_from_this_very_call_to_a_bound_and_never_to_everything(asked: Request) -> None:
    made = grants.offer(asked)
    assert [(one.title, one.exact) for one in made] == [
        ("refund with exactly these arguments", True),
        ("refund with customer ada@example.com, order 4411, amount up to 240.00", False),
        ("refund with any customer, order, amount up to 240.00", False),
    ]
    assert all(one.when for one in made if not one.exact)
    assert made[0].sums == ("amount", "order")


@pytest.mark.parametrize(
    "fields",
    [
        {"rule": {"grants": False}},
        {"rule": {"always": True}},
        {"factors": [{"role": "approver", "count": 2}]},
        {"state": "rejected", "decided_at": timezone.now()},
    ],
    ids=["rule", "always", "quorum", "over"],
)
def test_nothing_is_offered_where_somebody_has_to_be_asked(
    owner: User, ada: User, fields: dict[str, Any]
) -> None:
    asked = making.approval(making.waiting_run(owner), **fields)
    assert grants.offer(asked) == []
    with pytest.raises(NotGranted):
        give(asked, ada)


@pytest.mark.parametrize(
    ("value", "literal"),
    [('a"b', r'"a\U00000022b"'), ("ü\u202e😀", r'"\U000000fc\U0000202e\U0001f600"'), (7, "7")],
)
def test_odd_texts_are_named_exactly(value: object, literal: str) -> None:
    made = offers.offers(b"", "t", {"who": value, "amount": "1.50", "odd-name": True})
    assert f"arguments.who == {literal}" in made[1].when
    assert 'arguments["odd-name"] == true' in made[1].when


# -- giving ---------------------------------------------------------------------------------------


def test_an_offer_of_before_an_edit_is_stale(asked: Request, ada: User) -> None:
    chosen = grants.offer(asked)[1].token
    making.revision(asked, amount("1.00"))
    with pytest.raises(StaleOffer):
        give(asked, ada, offer=chosen, when="")
    assert give(asked, ada, offer=grants.offer(asked)[1].token, when="").when


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"when": ""}, "offer"),
        ({"offer": "x"}, "offer"),
        ({"when": "true ||"}, "when"),
        ({"when": "arguments.nothing == 1"}, "when"),
        ({"when": "double(arguments.amount) <= 1.0"}, "when"),
        ({"hours": 0}, "hours"),
        ({"hours": 8.1}, "hours"),
        ({"scope": "everything"}, "scope"),
        ({"max_uses": 0}, "max_uses"),
        ({"max_uses": 10**6}, "max_uses"),
        ({"sum_of": "amount"}, "sum_limit"),
        ({"sum_limit": Decimal(1)}, "sum_limit"),
        ({"sum_of": "customer", "sum_limit": Decimal(1)}, "sum_of"),
        ({"sum_of": "amount", "sum_limit": Decimal(0)}, "sum_limit"),
    ],
)
def test_a_permission_has_bounds(
    asked: Request, ada: User, said: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidRequest, match=field):
        give(asked, ada, **said)


def test_who_could_not_approve_gives_no_permission(asked: Request, owner: User, ada: User) -> None:
    with pytest.raises(MayNotDecide):
        give(asked, owner)
    with pytest.raises(NotFound):
        give(asked, person("sven", Role.OPERATOR))
    actor = Actor(ada, scopes=frozenset(Scope))
    with pytest.raises(PersonRequired):
        grants.issue(request=asked, actor=actor, wish=Wish(when="true"))


def test_how_long_is_a_setting(asked: Request, ada: User, settings: LazySettings) -> None:
    settings.AGENTOPS_GRANT_HOURS = 0.5
    with pytest.raises(InvalidRequest, match=r"at most 0\.5"):
        give(asked, ada)


# -- what is covered ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "is_covered"),
    [("240.00", True), ("240.01", False), ("0.00", True), (240, True), ("NaN", False),
     ("Infinity", False), ("x", False), (None, False), ([], False)],
)  # fmt: skip
def test_t17_the_edge_of_the_bound(
    asked: Request, ada: User, value: object, is_covered: bool
) -> None:
    give(asked, ada)
    assert (covered(asked.run, amount(value)) is not None) is is_covered


@pytest.mark.parametrize(
    "bends",
    [
        {"tool_digest": "cd" * 32},
        {"agent_version": "15"},
        {"agent": "other"},
        {"tool": "send_mail"},
    ],
    ids=str,
)
def test_t17_another_version_of_tool_or_agent_asks_again(
    asked: Request, ada: User, bends: dict[str, object]
) -> None:
    give(asked, ada)
    assert covered(asked.run, bends=bends) is None
    assert covered(asked.run)


def test_t17_uses_are_counted_and_a_step_uses_one_however_often_it_is_tried(
    asked: Request, ada: User
) -> None:
    grant = give(asked, ada, max_uses=2)
    run = asked.run
    for _ in range(3):
        found = grants.cover(
            run=run, key="same#1", envelope=_envelope(asked), action=_action(asked), rule=RULE
        )
        assert found == grant
    assert covered(run, key="other#1") == grant
    assert covered(run, key="third#1") is None
    grant.refresh_from_db()
    assert grant.uses == 2
    assert Record.objects.filter(event="grant.used").count() == 2


def _envelope(asked: Request) -> dict[str, object]:
    newest = queries.newest(asked)
    assert newest is not None
    return editing.read(newest)


def _action(asked: Request) -> bytes:
    newest = queries.newest(asked)
    assert newest is not None
    return bytes(newest.action)


def test_t17_the_sum_is_kept_to_the_cent(asked: Request, ada: User) -> None:
    limit = {"sum_of": "amount", "sum_limit": Decimal(300)}
    grant = give(asked, ada, when='arguments.customer == "ada@example.com"', **limit)
    assert covered(asked.run, amount("240.00"), key="a#1")
    assert covered(asked.run, amount("60.01"), key="b#1") is None
    assert covered(asked.run, amount("60.00"), key="c#1")
    assert covered(asked.run, amount("0.0000001"), key="d#1") is None
    grant.refresh_from_db()
    assert grant.sum_used == Decimal(300)


@pytest.mark.parametrize("value", ["-5.00", -5, "1e20", "NaN", True, None])
def test_t17_nothing_is_taken_from_the_sum_or_added_beyond_measure(
    asked: Request, ada: User, value: object
) -> None:
    limit = {"sum_of": "amount", "sum_limit": Decimal(300)}
    give(asked, ada, when='arguments.customer == "ada@example.com"', **limit)
    assert covered(asked.run, amount(value)) is None


def test_a_permission_for_a_run_is_for_that_run(asked: Request, ada: User, owner: User) -> None:
    give(asked, ada, scope="run")
    assert covered(making.waiting_run(owner)) is None
    assert covered(asked.run)


def test_a_permission_for_a_person_is_for_their_runs(
    asked: Request, ada: User, owner: User
) -> None:
    give(asked, ada, scope="person")
    assert covered(making.waiting_run(person("other"))) is None
    assert covered(making.waiting_run(owner))


def test_a_permission_stays_within_the_team(asked: Request, ada: User, owner: User) -> None:
    give(asked, ada)
    assert covered(making.waiting_run(owner, team=making.team())) is None


def test_the_very_call_is_that_call(asked: Request, ada: User) -> None:
    give(asked, ada, offer=grants.offer(asked)[0].token, when="")
    assert covered(asked.run, amount("239.99")) is None
    assert covered(asked.run)


Bends = Callable[[Grant, User], object]


@pytest.mark.parametrize(
    "bend",
    [
        lambda grant, ada: Grant.objects.update(expires_at=timezone.now() - timedelta(seconds=1)),
        lambda grant, ada: grants.revoke(actor=Actor(ada), public_id=grant.public_id),
        lambda grant, ada: ada.groups.clear(),
        lambda grant, ada: User.objects.filter(pk=ada.pk).update(is_active=False),
        lambda grant, ada: Grant.objects.update(when="true ||"),
        lambda grant, ada: Run.objects.update(owner=ada),
        lambda grant, ada: Run.objects.update(started_by="ada"),
    ],
    ids=["ended", "revoked", "no approver", "left", "unreadable", "their own run", "started it"],
)
def test_t17_what_bars_the_giver_bars_the_permission(
    asked: Request, ada: User, bend: Bends
) -> None:
    grant = give(asked, ada)
    bend(grant, ada)
    asked.run.refresh_from_db()
    assert covered(asked.run) is None


@pytest.mark.parametrize(
    "rule",
    [
        {"factors": [{"role": "approver", "count": 2}]},
        {"factors": [{"team": "finance", "count": 1}]},
        {**RULE, "always": True},
        {**RULE, "grants": False},
    ],
    ids=str,
)
def test_t17_rules_that_became_stricter_ask(
    asked: Request, ada: User, rule: dict[str, object]
) -> None:
    give(asked, ada)
    assert covered(asked.run, rule=rule) is None


# -- ending ---------------------------------------------------------------------------------------


def test_who_gave_it_decides_or_administers_ends_it(
    asked: Request, ada: User, owner: User, bo: User
) -> None:
    grant = give(asked, ada, scope="person")
    with pytest.raises(Forbidden):
        grants.revoke(actor=Actor(owner), public_id=grant.public_id)
    with pytest.raises(NotFound):
        grants.revoke(actor=Actor(bo), public_id=grant.public_id)
    with pytest.raises(PersonRequired):
        grants.revoke(actor=Actor(owner, scopes=frozenset(Scope)), public_id=grant.public_id)
    admin = Actor(person("root", Role.ADMINISTRATOR))
    assert grants.revoke(actor=admin, public_id=grant.public_id).revoked_by == admin.user
    grants.revoke(actor=Actor(ada), public_id=grant.public_id)
    events = list(Record.objects.values_list("event", flat=True))
    assert (events.count("grant.issued"), events.count("grant.revoked")) == (1, 1)
