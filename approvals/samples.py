"""The first policy: what the sample agents may do, so that they work and the rules can be seen.

Whoever starts this alone is owner, starter and approver at once, so nobody is kept from deciding.
"""

from __future__ import annotations

from typing import Any

NOTE = "Rules for the sample agents"
_ALONE = {"owner": False, "starter": False, "editor": False}
# The same number stands in the desk's own rules, agentops/agents/support_desk/policy.md.
REFUND_LIMIT = "200.0"

RULES: list[dict[str, Any]] = [
    {
        "id": "desk-large-refunds",
        "title": "A person decides about large refunds",
        "effect": "ask",
        "agents": ["support-desk"],
        "tools": ["refund"],
        "when": f"double(arguments.amount) > {REFUND_LIMIT}",
        "risk": "medium",
        "decide_minutes": 24 * 60,
        "undo_seconds": 5,
        "separation": _ALONE,
        "feedback": "Tell the customer that a colleague answers within one working day.",
    },
    {
        "id": "desk-refunds",
        "title": "The desk refunds what its rules allow",
        "effect": "allow",
        "agents": ["support-desk"],
        "tools": ["refund"],
        "when": f"double(arguments.amount) <= {REFUND_LIMIT}",
    },
    {
        "id": "desk-answers",
        "title": "The desk answers customers and remembers them",
        "effect": "allow",
        "agents": ["support-desk"],
        "tools": ["send_reply", "remember"],
    },
    {
        "id": "audit-report",
        "title": "The audit writes its report and mails it to the operator",
        "effect": "allow",
        "agents": ["dependency-audit"],
        "tools": ["write_report", "mail_report"],
        "when": "tool == 'write_report' || arguments.to == null",
    },
    {
        "id": "audit-report-to-others",
        "title": "A person decides who else gets the audit's report",
        "effect": "ask",
        "agents": ["dependency-audit"],
        "tools": ["mail_report"],
        "when": "arguments.to != null",
        "risk": "low",
        "decide_minutes": 24 * 60,
        "separation": _ALONE,
    },
    {
        "id": "digest-writes",
        "title": "The digest is written to a file",
        "effect": "allow",
        "agents": ["research-digest*"],
        "tools": ["write_digest"],
    },
]
