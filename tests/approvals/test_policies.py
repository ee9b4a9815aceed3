"""Policies: versions that are added by the right people, two of them for more."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import IntegrityError, ProgrammingError, connection, transaction
from django.test import override_settings

from agentops.accounts.access import Forbidden, PersonRequired
from agentops.accounts.actors import Actor
from agentops.accounts.models import Team, User
from agentops.accounts.roles import Role, Scope
from agentops.agents.support_desk import tools
from agentops.management.commands import bootstrap
from approvals import policies, rules, samples
from approvals.models import PolicyProposal, PolicyVersion, Record
from approvals.policies import Draft
from approvals.reading import RuleFault
from approvals.rules import Facts
from tests.people import administrator, person

pytestmark = pytest.mark.django_db
ASK = {"id": "big", "effect": "ask", "tools": ["refund"]}
ALLOW = {"id": "small", "effect": "allow", "tools": ["mail"]}


@pytest.fixture(autouse=True)
def _asks(settings: Any) -> None:
    settings.AGENTOPS_UNRULED = "ask"


@pytest.fixture
def ida() -> User:
    return administrator("ida")


def draft(*given: dict[str, Any], **said: Any) -> Draft:
    fields: dict[str, Any] = {"team": None, "unmatched": "ask", "note": "Why", "based_on": 0}
    return Draft(**{"rules": list(given), **fields, **said})


def save(by: User, *given: dict[str, Any], **said: Any) -> policies.Saved:
    return policies.save(actor=Actor(by), draft=draft(*given, **said))


def holds(by: User, *given: dict[str, Any], **said: Any) -> PolicyVersion:
    saved = save(by, *given, **said)
    assert saved.version is not None
    return saved.version


def test_saving_adds_a_version_and_a_record(ida: User) -> None:
    first = holds(ida, ASK)
    second = holds(ida, ASK, {"id": "no", "effect": "deny"}, based_on=1)
    assert (first.number, second.number) == (1, 2)
    assert policies.newest(None) == second
    assert policies.before(second) == first
    assert policies.difference(second) == ["+ no: Do not let any agent call any tool"]
    record = Record.objects.filter(event="policy.saved").latest("pk")
    assert (record.by, record.person) == ("ida", ida)
    assert record.detail["changes"] == policies.difference(second)
    assert record.detail["layer"] == "everybody"


def test_rules_are_stored_as_a_person_would_write_them(ida: User) -> None:
    made = holds(ida, {**ASK, "mode": "enforced", "agents": [], "risk": "medium"})
    assert made.rules == [ASK]


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.ADMINISTRATOR])
def test_only_administrators_write_rules(role: Role) -> None:
    with pytest.raises(Forbidden):
        save(person("x", role), ASK)
    assert not PolicyVersion.objects.exists()


@pytest.mark.parametrize(
    "actor",
    [
        lambda ida: Actor(ida, scopes=frozenset(Scope)),
        lambda ida: Actor(ida, service=person("robot", Role.ADMINISTRATOR), scopes=frozenset()),
    ],
)
def test_no_token_and_no_service_writes_rules(ida: User, actor: Any) -> None:
    with pytest.raises(PersonRequired):
        policies.save(actor=actor(ida), draft=draft(ASK))
    assert not PolicyVersion.objects.exists()


def test_a_rule_that_cannot_be_read_is_not_saved(ida: User) -> None:
    with pytest.raises(RuleFault, match="rule 1 “big”: wehn"):
        save(ida, {**ASK, "wehn": "true"})
    with pytest.raises(RuleFault, match="unmatched"):
        save(ida, ASK, unmatched="alow")
    assert not PolicyVersion.objects.exists()


def test_whoever_looked_at_an_older_version_writes_nothing_over(ida: User) -> None:
    holds(ida, ASK)
    with pytest.raises(policies.PolicyMoved):
        save(ida, {"id": "no", "effect": "deny"})
    with pytest.raises(policies.PolicyUnchanged):
        save(ida, ASK, based_on=1)
    with pytest.raises(policies.ReasonMissing):
        save(ida, {"id": "no", "effect": "deny"}, based_on=1, note=" ")
    assert PolicyVersion.objects.count() == 1


def test_more_takes_a_second_administrator(ida: User) -> None:
    bo = administrator("bo")
    saved = save(ida, ALLOW)
    assert saved.version is None
    assert saved.proposal is not None
    assert saved.proposal.widens == ["“small” allows what was not allowed."]
    assert policies.newest(None) is None
    with pytest.raises(policies.NeedsAnother):
        policies.agree(actor=Actor(ida), proposal=saved.proposal)
    with pytest.raises(Forbidden):
        policies.agree(actor=Actor(person("op", Role.OPERATOR)), proposal=saved.proposal)
    with pytest.raises(PersonRequired):
        policies.agree(actor=Actor(bo, scopes=frozenset(Scope)), proposal=saved.proposal)
    made = policies.agree(actor=Actor(bo), proposal=saved.proposal)
    assert policies.newest(None) == made
    assert made.made_by == ida
    record = Record.objects.get(event="policy.saved")
    assert (record.by, record.detail["agreed_with"]) == ("ida", "bo")
    with pytest.raises(policies.PolicyMoved):
        policies.agree(actor=Actor(bo), proposal=saved.proposal)


def test_the_database_knows_that_it_takes_two(ida: User) -> None:
    administrator("bo")
    proposal = save(ida, ALLOW).proposal
    assert proposal is not None
    version = PolicyVersion.objects.create(number=1, rules=[])
    with pytest.raises(IntegrityError), transaction.atomic():
        PolicyProposal.objects.filter(pk=proposal.pk).update(became=version, closed_by=ida)


def test_whoever_is_alone_may_and_the_record_says_so(ida: User) -> None:
    # A service, somebody who left and somebody without the role are nobody to agree.
    User.objects.filter(pk=administrator("left").pk).update(is_active=False)
    User.objects.filter(pk=administrator("robot").pk).update(is_service=True)
    person("op", Role.OPERATOR)
    holds(ida, ALLOW)
    record = Record.objects.get(event="policy.saved")
    assert record.detail["widens"] == ["“small” allows what was not allowed."]
    assert record.detail["agreed_with"] is None


def test_while_a_proposal_waits_nothing_else_is_saved(ida: User) -> None:
    bo = administrator("bo")
    proposal = save(ida, ALLOW).proposal
    assert proposal is not None
    with pytest.raises(policies.ProposalOpen):
        save(bo, ASK)
    policies.take_back(actor=Actor(bo), proposal=proposal)
    assert policies.open_proposal(None) is None
    assert holds(bo, ASK).number == 1
    assert Record.objects.filter(event="policy.refused", by="bo").exists()


def test_going_back_is_a_change_like_others(ida: User) -> None:
    first = holds(ida, ASK)
    second = holds(ida, ASK, {"id": "no", "effect": "deny"}, based_on=1)
    administrator("bo")
    back = policies.revert(actor=Actor(ida), version=first, note="Too strict", based_on=2)
    assert back.version is None
    assert back.proposal is not None
    assert policies.newest(None) == second


def test_a_team_adds_to_what_holds_for_everybody(ida: User) -> None:
    shop = Team.objects.create(name="shop")
    holds(ida, ASK)
    made = holds(ida, {"id": "no", "effect": "deny", "tools": ["mail"]}, team=shop)
    assert policies.in_force(None) == [policies.holding(None)]
    layers = policies.in_force(shop)
    assert [policy.version for policy in layers] == [policies.newest(None).pk, made.pk]  # type: ignore[union-attr]
    mail = Facts("desk", "mail", "once", {}, team="shop")
    assert rules.decide(layers, mail).effect == "deny"
    assert list(policies.teams_with_rules()) == [shop]


@pytest.mark.parametrize("unruled", ["allow", "ask", "deny"])
def test_before_any_version_the_setting_holds(unruled: str) -> None:
    with override_settings(AGENTOPS_UNRULED=unruled):
        ruling = rules.decide(policies.in_force(None), Facts("desk", "mail", "once", {}))
    assert ruling.effect == unruled


def test_the_database_changes_no_version(ida: User) -> None:
    version = holds(ida, ASK)
    changes: list[dict[str, Any]] = [
        {"rules": []}, {"unmatched": "allow"}, {"number": 9}, {"note": "Nothing"},
    ]  # fmt: skip
    for fields in changes:
        with pytest.raises(ProgrammingError, match="Add one"), transaction.atomic():
            PolicyVersion.objects.filter(pk=version.pk).update(**fields)
    PolicyVersion.objects.filter(pk=version.pk).update(made_by=None)


def test_a_stored_version_is_read_once(ida: User, django_assert_num_queries: Any) -> None:
    version = holds(ida, ASK)
    policies.recalled(version)
    with django_assert_num_queries(0):
        policies.recalled(version)


@pytest.mark.django_db(transaction=True)
def test_two_who_save_at_once_make_one_version(ida: User) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def attempt(name: str) -> str:
        try:
            save(ida, {"id": name, "effect": "deny"})
        except policies.PolicyMoved:
            return "moved"
        finally:
            connection.close()
        return "saved"

    with ThreadPoolExecutor(4) as pool:
        said = sorted(pool.map(attempt, ["a", "b", "c", "d"]))
    assert said == ["moved", "moved", "moved", "saved"]


# -- the samples -----------------------------------------------------------------------------


def _decided(agent: str, tool: str, **arguments: Any) -> str:
    facts = Facts(agent, tool, "once", arguments, person="operator")
    return rules.decide(policies.in_force(None), facts).effect


def test_a_set_up_saves_rules_for_the_samples_once(settings: Any, ida: User) -> None:
    settings.AGENTOPS_AGENTS = ["shop.agents"]
    bootstrap.first_policy()
    assert not PolicyVersion.objects.exists()
    settings.AGENTOPS_AGENTS = ["agentops.agents.support_desk"]
    bootstrap.first_policy()
    bootstrap.first_policy()
    (version,) = PolicyVersion.objects.all()
    assert (version.number, version.made_by, version.note) == (1, None, samples.NOTE)
    assert Record.objects.get(event="policy.saved").by == "set-up"


def test_the_samples_do_what_their_rules_say() -> None:
    policies.plant(raw=samples.RULES, note=samples.NOTE)
    assert _decided("support-desk", "refund", amount="200.00") == "allow"
    assert _decided("support-desk", "refund", amount="200.01") == "ask"
    assert _decided("support-desk", "refund", amount="NaN") == "ask"
    assert _decided("support-desk", "refund") == "ask"
    assert _decided("support-desk", "send_reply", customer="a@b") == "allow"
    assert _decided("support-desk", "remember", fact="x") == "allow"
    assert _decided("dependency-audit", "write_report") == "allow"
    assert _decided("dependency-audit", "mail_report", to=None) == "allow"
    assert _decided("dependency-audit", "mail_report", to=["ana@example.org"]) == "ask"
    assert _decided("research-digest", "write_digest") == "allow"
    assert _decided("another", "refund", amount="1.00") == "ask"


def test_the_limit_is_the_one_the_desk_tells_its_customers() -> None:
    limit = f"{float(samples.REFUND_LIMIT):.2f}"
    told = str(tools.look_up_policy("large amounts"))
    assert f"A single refund above {limit} is decided by a person." in told
