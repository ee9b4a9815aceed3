"""Chains, rotas, notices and mail in the Django admin: to be looked at by administrators.

They are changed where what is wrong is said in words: in the settings of the console.
"""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest

from approvals.models import ChainVersion, Notice, Preference, Rota
from runs.admin import ForAdministrators
from runs.models import OutboxMail


class Seen(ForAdministrators, admin.ModelAdmin):  # type: ignore[type-arg]
    """Rows that are read here and written elsewhere."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


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
