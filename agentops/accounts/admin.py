"""People and teams in the Django admin: to look at. The console's settings change them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest

from agentops.accounts.models import Membership, Team, User

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
    Inline = admin.TabularInline[Membership, Team]
else:
    ModelAdmin = admin.ModelAdmin
    Inline = admin.TabularInline


class _Shown(ModelAdmin):
    """To look at only: who changes people does it where rights are checked and written down."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whoever may open the site, which asks."""
        return True

    def has_module_permission(self, request: HttpRequest) -> bool:
        return True


@admin.register(User)
class UserAdmin(_Shown):
    """People and service accounts, without their passwords."""

    list_display = ("username", "email", "is_active", "is_service", "last_login")
    list_filter = ("is_active", "is_service", "groups")
    search_fields = ("username", "email")
    fields = ("username", "first_name", "last_name", "email", "groups", "is_active", "last_login")


class Members(Inline):
    """Who is in it."""

    model = Membership
    extra = 0


@admin.register(Team)
class TeamAdmin(_Shown):
    """Teams and who is in them."""

    list_display = ("name",)
    inlines = (Members,)
