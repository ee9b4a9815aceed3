"""Settings, policies: who sees and changes rules, and that nothing holds before it is saved."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from agentops.accounts import stepup
from agentops.accounts.actors import Actor
from agentops.accounts.models import Team, User
from agentops.accounts.roles import Role
from approvals import policies, samples
from approvals.models import PolicyProposal, PolicyVersion
from approvals.policies import Draft
from runs.models import Phase
from tests.factories import ONCE, Story, run
from tests.people import administrator, person

pytestmark = pytest.mark.django_db
LIMIT = "double(arguments.amount) > 200.0"
ASK = {"id": "big", "effect": "ask", "tools": ["refund"], "when": LIMIT}
FORM = {
    "rule-effect": "ask", "rule-agents": "support-desk", "rule-tools": "refund, pay",
    "rule-when": "double(arguments.amount) > 50.0", "rule-mode": "enforced", "rule-risk": "high",
    "rule-title": "Large payments", "rule-factors": "2 approvers, 1 of finance",
    "rule-decide_minutes": "60", "rule-on_expiry": "deny", "rule-owner": "on",
    "rule-starter": "on", "rule-editor": "on", "rule-grants": "on",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    """Everybody gave their password a moment ago; a test of its own takes that away."""
    settings.AGENTOPS_UNRULED = "ask"
    monkeypatch.setattr(stepup, "is_fresh", lambda request: True)


@pytest.fixture
def opal(client: Client) -> User:
    made = administrator("opal")
    client.force_login(made)
    return made


def saved(by: User, *rules: dict[str, Any], **said: Any) -> PolicyVersion:
    fields: dict[str, Any] = {"team": None, "unmatched": "ask", "note": "Why", "based_on": 0}
    made = policies.save(actor=Actor(by), draft=Draft(**{"rules": list(rules), **fields, **said}))
    assert made.version is not None
    return made.version


def text(answer: Any) -> str:
    return " ".join(answer.content.decode().split())


def edit(client: Client, do: str, *rules: dict[str, Any], **said: str) -> Any:
    sent = {"do": do, "rules": json.dumps(rules), "unmatched": "ask", "based_on": "0", **said}
    return client.post(reverse("policy-edit"), sent)


@pytest.mark.parametrize(
    ("role", "sees"),
    [(Role.OPERATOR, True), (Role.APPROVER, True), (Role.AUDITOR, True), (Role.VIEWER, False)],
)
def test_who_looks_after_runs_reads_the_rules_and_changes_none(
    client: Client, role: Role, sees: bool
) -> None:
    version = saved(administrator("ida"), ASK)
    client.force_login(person("x", role))
    for address in (reverse("policies"), reverse("policy-version", args=[version.pk])):
        answer = client.get(address)
        assert answer.status_code == (200 if sees else 404)
        assert ("before any agent calls refund" in text(answer)) is sees
        assert reverse("policy-edit") not in text(answer)
    assert client.get(reverse("policy-edit")).status_code == 404
    for name, args in (("policy-save", []), ("policy-agree", [1]), ("policy-refuse", [1])):
        assert client.post(reverse(name, args=args)).status_code == 404
        assert client.get(reverse(name, args=args)).status_code == 405
    assert PolicyVersion.objects.count() == 1


def test_the_rules_of_a_team_are_for_its_members(client: Client, opal: User) -> None:
    shop, other = Team.objects.create(name="shop"), Team.objects.create(name="other team")
    version = saved(opal, {"id": "no", "effect": "deny"}, team=shop)
    addresses = (f"{reverse('policies')}?team={shop.pk}", f"{version_of(version)}")
    for team, status in ((shop, 200), (other, 404)):
        client.force_login(person(f"of {team}", Role.OPERATOR, team=team))
        assert [client.get(at).status_code for at in addresses] == [status, status]
        known = text(client.get(reverse("policies")))
        assert ("shop" in known) is (team == shop)


def version_of(version: PolicyVersion) -> str:
    return reverse("policy-version", args=[version.pk])


def test_who_is_not_signed_in_is_sent_to_sign_in(client: Client) -> None:
    for name in ("policies", "policy-edit"):
        assert client.get(reverse(name)).status_code == 302


def test_rules_are_sentences_with_their_conditions(client: Client, opal: User) -> None:
    policies.plant(raw=samples.RULES, note=samples.NOTE)
    said = text(client.get(reverse("policies")))
    assert "Ask an approver before support-desk calls refund when" in said
    assert "double(arguments.amount) &gt; 200.0" in said
    assert "decided within a day, after that it must not happen" in said
    assert "What no rule speaks of and does more than read is asked about." in said


def test_without_rules_the_page_says_what_holds(client: Client, opal: User) -> None:
    assert "AGENTOPS_UNRULED says “ask”" in text(client.get(reverse("policies")))
    team = Team.objects.create(name="finance")
    said = text(client.get(reverse("policies"), {"team": team.pk}))
    assert "Runs of finance follow everybody" in said
    assert client.get(reverse("policies"), {"team": "999"}).status_code == 404
    assert client.get(reverse("policies"), {"team": "x"}).status_code == 404


def test_a_rule_is_added_by_its_form(client: Client, opal: User) -> None:
    opened = edit(client, "add")
    assert 'name="rule-when"' in text(opened)
    kept = edit(client, "keep", open="0", **FORM)
    assert kept.context["draft"].rules == [
        {
            "id": "large-payments",
            "effect": "ask",
            "title": "Large payments",
            "agents": ["support-desk"],
            "tools": ["refund", "pay"],
            "when": "double(arguments.amount) > 50.0",
            "risk": "high",
            "factors": [{"role": "approver", "count": 2}, {"team": "finance", "count": 1}],
            "decide_minutes": 60,
        }
    ]
    assert "Ask 2 approvers and 1 of finance before support-desk calls refund or pay when" in text(
        kept
    )
    assert not PolicyVersion.objects.exists()


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("when", "amount > 1", "arguments.amount"),
        ("when", "arguments.amount >", "cannot be read: line 1"),
        ("factors", "2 wizards", "write “1 approver”"),
        ("tools", "[a]", "only * stands for other letters"),
        ("undo_seconds", "99", "from 0 to 30"),
        ("on_expiry", "approve", "“low” only"),
        ("id", "Not An Id", "small letters"),
        ("title", "", "Name the rule"),
    ],
)
def test_a_fault_stands_beside_its_field_and_nothing_is_lost(
    client: Client, opal: User, field: str, value: str, why: str
) -> None:
    answer = edit(client, "review", ASK, open="0", **{**FORM, f"rule-{field}": value})
    assert answer.status_code == 422
    form = answer.context["draft"].form
    assert why in str(form.errors[field])
    assert answer.context["draft"].rules == [ASK]
    assert form["agents"].value() == "support-desk"


def test_buttons_move_take_out_and_watch(client: Client, opal: User) -> None:
    no = {"id": "no", "effect": "deny"}

    def after(do: str) -> Any:
        return edit(client, do, ASK, no).context["draft"].rules

    assert after("down:0") == after("up:1") == [no, ASK]
    assert after("up:0") == after("down:1") == after("up:9") == after("made-up:0") == [ASK, no]
    assert after("remove:0") == [no]
    assert after("watch:1") == [ASK, {**no, "mode": "watch"}]
    assert edit(client, "open:1", ASK, no).context["draft"].form["effect"].value() == "deny"


def test_a_rule_gets_a_name_of_its_own(client: Client, opal: User) -> None:
    taken = {"id": "large-payments", "effect": "deny"}
    kept = edit(client, "keep", taken, open="1", **FORM)
    assert [rule["id"] for rule in kept.context["draft"].rules] == [
        "large-payments", "large-payments-2",
    ]  # fmt: skip


@pytest.mark.parametrize("rules", ["", "{", "7", '"x"', "[[]]", "[7]", "null"])
def test_a_draft_that_was_tampered_with_breaks_nothing(
    client: Client, opal: User, rules: str
) -> None:
    sent = {"do": "review", "rules": rules, "based_on": "x", "open": "77", "unmatched": "?"}
    assert client.post(reverse("policy-edit"), sent).status_code in {200, 422}


def test_the_review_tells_changes_what_is_wider_and_what_past_calls_say(
    client: Client, opal: User
) -> None:
    story = Story.of(run(agent="support-desk"))
    story.add("refund#1", Phase.INTENT, "step.intended", n=1, input={"amount": "250"}, **ONCE)
    made = story.save()
    answer = edit(client, "review", {"id": "small", "effect": "allow", "tools": ["refund"]})
    said = text(answer)
    assert "+ small: Let any agent call refund" in said
    assert "“small” allows what was not allowed." in said
    assert "There is no other administrator who could agree" in said
    assert "<b>1 call</b> would have been decided otherwise" in said
    assert f"/runs/{made.public_id}/?step=refund%231" in said
    assert not PolicyVersion.objects.exists()


def test_a_call_is_looked_at_by_its_key_with_what_rules_said(client: Client, opal: User) -> None:
    story = Story.of(run(agent="support-desk"))
    said = {"rule": "refunds", "version": 3, "watched": [{"rule": "no", "effect": "deny"}]}
    made = story.call("refund#1", 1, {"ok": True}, policy=said).call("mail#1", 1).save()
    page = text(client.get(f"/runs/{made.public_id}/", {"step": "refund#1"}))
    assert "Step 1 · refund" in page
    assert "allowed by refunds; no, which only watches, says deny" in page
    other = text(client.get(f"/runs/{made.public_id}/", {"step": "made-up"}))
    assert "only watches" not in other


def save(client: Client, *rules: dict[str, Any], **said: str) -> Any:
    sent = {
        "rules": json.dumps(rules), "unmatched": "ask", "based_on": "0", "note": "Because",
        "typed": "everybody", **said,
    }  # fmt: skip
    return client.post(reverse("policy-save"), sent, follow=True)


def test_saving_needs_the_name_and_a_reason(client: Client, opal: User) -> None:
    assert "Nothing was saved" in text(save(client, ASK, typed="finance"))
    assert "Say in a few words why" in text(save(client, ASK, note=" "))
    assert save(client, {"id": "x", "effect": "?"}).status_code == 422
    assert not PolicyVersion.objects.exists()
    answer = save(client, ASK)
    assert "Version 1 of the policy of everybody holds from now on." in text(answer)
    (version,) = PolicyVersion.objects.all()
    assert (version.made_by, version.note, version.rules) == (opal, "Because", [ASK])


def test_saving_twice_is_refused_and_says_so(client: Client, opal: User) -> None:
    save(client, ASK)
    again = save(client, {"id": "no", "effect": "deny"})
    assert again.status_code == 409
    assert "Somebody else changed this policy meanwhile" in text(again)
    assert "says that already" in text(save(client, ASK, based_on="1"))
    assert PolicyVersion.objects.count() == 1


def test_saving_asks_who_one_is_once_more(
    client: Client, opal: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stepup, "is_fresh", lambda request: False)
    assert edit(client, "add").status_code == 200
    answer = client.post(reverse("policy-save"), {"typed": "everybody"})
    assert answer["location"].startswith(reverse("account_reauthenticate"))
    assert not PolicyVersion.objects.exists()


def test_another_administrator_agrees_on_the_page(client: Client, opal: User) -> None:
    ida = administrator("ida")
    answer = save(client, {"id": "small", "effect": "allow", "tools": ["mail"]})
    assert "It waits for another administrator" in text(answer)
    proposal = PolicyProposal.objects.get()
    assert "Take it back" in text(answer)
    agree = reverse("policy-agree", args=[proposal.pk])
    assert agree not in text(answer)
    assert "Somebody else has to agree" in text(client.post(agree, follow=True))
    client.force_login(ida)
    said = text(client.get(reverse("policies")))
    assert "+ small: Let any agent call mail" in said
    assert "Version 1 holds" in text(client.post(agree, follow=True))
    assert "changed this policy meanwhile" in text(client.post(agree, follow=True))
    assert PolicyVersion.objects.get().made_by == opal


def test_a_proposal_is_refused(client: Client, opal: User) -> None:
    administrator("ida")
    save(client, {"id": "small", "effect": "allow"})
    refuse = reverse("policy-refuse", args=[PolicyProposal.objects.get().pk])
    assert "What holds stays as it is." in text(client.post(refuse, follow=True))
    assert policies.open_proposal(None) is None
    assert not PolicyVersion.objects.exists()


def test_an_older_version_begins_a_change_that_goes_back(client: Client, opal: User) -> None:
    first = saved(opal, ASK)
    saved(opal, ASK, {"id": "no", "effect": "deny"}, based_on=1)
    page = text(client.get(reverse("policy-version", args=[first.pk])))
    assert f"{reverse('policy-edit')}?like={first.pk}" in page
    begun = client.get(reverse("policy-edit"), {"like": first.pk}).context["draft"]
    assert (begun.rules, begun.based_on) == ([ASK], 2)
    assert client.get(reverse("policy-edit"), {"like": "0"}).status_code == 404


def test_a_stored_rule_that_cannot_be_read_is_shown_as_it_is(client: Client, opal: User) -> None:
    broken = {"id": "x", "effect": "ask", "from_the_future": "<b>1</b>"}
    PolicyVersion.objects.create(number=1, rules=[broken, ASK])
    for name in ("policies", "policy-edit"):
        said = text(client.get(reverse(name)))
        assert "This rule cannot be read" in said
        assert "from_the_future: no rule has this" in said
        assert "<b>1</b>" not in said
    review = edit(client, "review", broken)
    assert "from_the_future" in text(review)
    assert review.status_code == 422
