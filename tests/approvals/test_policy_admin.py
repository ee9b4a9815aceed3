"""Policies in the admin: administrators look at every version, and nobody changes one there."""

from __future__ import annotations

import pytest
from django.test import Client

from agentops.accounts.actors import Actor
from agentops.accounts.roles import Role
from approvals import policies
from approvals.models import PolicyProposal, PolicyVersion
from approvals.policies import Draft
from tests.approvals.test_policy_api import session
from tests.people import administrator, person

pytestmark = pytest.mark.django_db
MARKUP = "<img src=x>"
RULES = [{"id": "no", "effect": "deny", "tools": ["delete"], "title": MARKUP}]
WIDER = [{"id": "all", "effect": "allow"}]


def test_an_administrator_reads_versions_and_proposals_and_changes_none() -> None:
    ida = administrator("ida")
    administrator("bo")
    policies.save(actor=Actor(ida), draft=Draft(None, RULES, "ask", MARKUP, 0))
    policies.save(actor=Actor(ida), draft=Draft(None, WIDER, "ask", "More", 1))
    version, proposal = PolicyVersion.objects.get(), PolicyProposal.objects.get()
    client = session(ida)
    for row, name in ((version, "policyversion"), (proposal, "policyproposal")):
        base = f"/admin/approvals/{name}/"
        listed, shown = client.get(base), client.get(f"{base}{row.pk}/change/")
        assert (listed.status_code, shown.status_code) == (200, 200)
        assert MARKUP not in listed.content.decode() + shown.content.decode()
        assert client.get(f"{base}add/").status_code == 403
        assert client.post(f"{base}{row.pk}/change/", {"note": "x"}).status_code == 403
        assert client.post(f"{base}{row.pk}/delete/", {"post": "yes"}).status_code == 403
    page = client.get(f"/admin/approvals/policyversion/{version.pk}/change/").content.decode()
    assert "no: Do not let any agent call delete" in page
    assert PolicyVersion.objects.get().note == MARKUP


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.APPROVER, Role.AUDITOR])
def test_for_others_there_is_nothing(client: Client, role: Role) -> None:
    made = person("x", role)
    made.is_staff = True
    made.save()
    client.force_login(made)
    assert client.get("/admin/approvals/policyversion/").status_code in {302, 403, 404}
