"""Policies, chains, rotas, notices and mail in the admin: to be looked at by administrators.

They are changed where what is wrong is said in words: in the settings of the console.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html_join

from approvals import comparing, policies
from approvals.models import (
    ChainVersion,
    Notice,
    PolicyProposal,
    PolicyVersion,
    Preference,
    Rota,
)
from runs.admin import ForAdministrators
from runs.models import OutboxMail


class Seen(ForAdministrators, admin.ModelAdmin):  # type: ignore[type-arg]  # generic in the stubs only
    """Rows that are read here and written elsewhere."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


@admin.register(PolicyVersion)
class PolicyVersionAdmin(Seen):
    """What every policy said when, by whom and why."""

    list_display = ("layer", "number", "holds", "note", "made_by", "made_at")
    list_filter = ("team",)
    list_select_related = ("team", "made_by")
    fields = (
        "layer", "number", "holds", "note", "made_by", "made_at", "sentences", "unmatched",
        "changes", "rules",
    )  # fmt: skip
    readonly_fields = ("layer", "holds", "sentences", "changes")
    ordering = ("team__name", "-number")

    @admin.display(description="Policy of", ordering="team__name")
    def layer(self, version: PolicyVersion) -> str:
        """Whose it is."""
        return version.team.name if version.team else "everybody"

    @admin.display(description="Holds", boolean=True)
    def holds(self, version: PolicyVersion) -> bool:
        """Whether nothing was saved after it."""
        newer = PolicyVersion.objects.filter(team=version.team_id, number__gt=version.number)
        return not newer.exists()

    @admin.display(description="In words")
    def sentences(self, version: PolicyVersion) -> str:
        """Its rules, a line each."""
        return _lines(comparing.said(rule.spec) for rule in policies.recalled(version).rules)

    @admin.display(description="Changes")
    def changes(self, version: PolicyVersion) -> str:
        """What it changed against the version before."""
        return _lines(policies.difference(version))


@admin.register(PolicyProposal)
class PolicyProposalAdmin(Seen):
    """What waited for a second administrator, and what became of it."""

    list_display = ("__str__", "note", "made_by", "made_at", "closed_by", "closed_at", "became")
    list_select_related = ("team", "made_by", "closed_by", "became__team")
    ordering = ("-pk",)


@admin.register(ChainVersion)
class ChainVersionAdmin(Seen):
    """What every chain said when, and by whom."""

    list_display = ("chain", "number", "note", "made_by", "made_at")
    list_filter = ("chain",)
    ordering = ("chain__name", "-number")


@admin.register(Rota)
class RotaAdmin(Seen):
    """Who takes turns."""

    list_display = ("name",)


@admin.register(Notice)
class NoticeAdmin(Seen):
    """Who was told of what, or why not."""

    list_display = ("at", "person", "event", "step", "why_not", "due_at", "about")
    list_filter = ("event",)
    list_select_related = ("person", "request")
    ordering = ("-pk",)
    show_full_result_count = False

    @admin.display(description="Request")
    def about(self, notice: Notice) -> str:
        """Its id."""
        return str(notice.request.public_id)


@admin.register(Preference)
class PreferenceAdmin(Seen):
    """What people do not want to hear of, and when."""

    list_display = ("person", "switched_off", "quiet", "zone")
    list_select_related = ("person",)


@admin.register(OutboxMail)
class OutboxAdmin(Seen):
    """What was written, sent, or given up."""

    list_display = ("created_at", "event", "address", "attempts", "sent_at", "failed_at", "error")
    list_filter = ("event",)
    ordering = ("-pk",)
    show_full_result_count = False


def _lines(lines: Iterable[str]) -> str:
    return format_html_join("", "<div>{}</div>", ((line,) for line in lines)) or "nothing"
