"""Models and limits in the Django admin: for administrators, whatever else the admin lets in."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.html import format_html_join
from django.views.decorators.http import require_POST

from agentops.accounts.access import Action, allows
from agentops.accounts.actors import actor_of
from agentops.accounts.models import User
from agentops.providers import builtin, routing
from agentops.sdk.catalog import catalog
from runs import routes, standing
from runs.models import (
    AgentLimit,
    ModelEndpoint,
    ModelProtocol,
    RouteVersion,
    Run,
    RunStatus,
    Worker,
)
from runs.routes import Refused


class ForAdministrators:
    """Who may here is a question of roles, as at every other door."""

    def _may(self, request: HttpRequest) -> bool:
        return request.user.is_authenticated and allows(actor_of(request), Action.ADMINISTER)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self._may(request)

    def has_view_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return self._may(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self._may(request)

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return self._may(request)

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return self._may(request)


# -- endpoints -------------------------------------------------------------------------------


class EndpointForm(forms.ModelForm):  # type: ignore[type-arg]  # generic in the stubs only
    """An endpoint. What may be a key is neither kept nor shown again."""

    base_url = forms.URLField(
        required=False, assume_scheme="https", help_text="Empty: the provider's own address."
    )

    class Meta:
        model = ModelEndpoint
        fields = [
            "name", "protocol", "base_url", "key_variable", "requests_per_minute",
            "tokens_per_minute",
        ]  # fmt: skip

    def clean_base_url(self) -> str:
        """An address without a name, a password or a key in it."""
        address = str(self.cleaned_data.get("base_url") or "")
        parts = urlsplit(address)
        if parts.username or parts.password or parts.query:
            raise forms.ValidationError(
                "Give the address alone, without name, password or ?…, and name the key's variable "
                "below."
            )
        return address

    def clean(self) -> dict[str, Any]:
        """What is scripted is called so everywhere, and nothing else is."""
        cleaned = super().clean() or self.cleaned_data
        scripted = cleaned.get("protocol") == ModelProtocol.SCRIPTED
        if cleaned.get("name") == builtin.SCRIPTED.name and not scripted:
            self.add_error("name", "This name says that no model answers. Choose another one.")
        if scripted and (cleaned.get("base_url") or cleaned.get("key_variable")):
            self.add_error("protocol", "What is scripted has neither an address nor a key.")
        return cleaned

    def full_clean(self) -> None:
        """Forget what was refused where it may hold a secret."""
        super().full_clean()
        refused = {"base_url", "key_variable"} & set(self.errors)
        if refused:
            empty = dict.fromkeys(map(self.add_prefix, refused), "")
            self.data = {**{name: self.data[name] for name in self.data}, **empty}


@admin.register(ModelEndpoint)
class EndpointAdmin(ForAdministrators, admin.ModelAdmin):  # type: ignore[type-arg]  # generic in the stubs only
    """Where models are served."""

    form = EndpointForm
    list_display = ("name", "protocol", "base_url", "key", "requests_per_minute",
                    "tokens_per_minute", "asked_by")  # fmt: skip
    readonly_fields = ("key", "asked_by")

    @admin.display(description="Key")
    def key(self, endpoint: ModelEndpoint) -> str:
        """Which workers have the key, by the names of variables they report."""
        return standing.keys(Worker.objects.all()).words(endpoint.key_variable)

    @admin.display(description="Asked by")
    def asked_by(self, endpoint: ModelEndpoint) -> str:
        """The current routes that name it."""
        return ", ".join(map(str, routes.asked_by(endpoint.name))) or "no route"

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Routes and journals speak of an endpoint by its name, so that stays."""
        return ("name", *self.readonly_fields) if obj else ()

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """What current routes ask is protected by them."""
        deleted, counts, perms, protected = super().get_deleted_objects(objs, request)
        for endpoint in objs:
            for version in routes.asked_by(endpoint.name):
                protected.append(f"Route {version} asks {endpoint.name}")
        return deleted, counts, perms, protected

    def delete_model(self, request: HttpRequest, obj: ModelEndpoint) -> None:
        try:
            routes.delete_endpoint(endpoint=obj)
        except Refused as refused:
            raise PermissionDenied(str(refused)) from refused

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[ModelEndpoint]) -> None:
        for endpoint in queryset:
            self.delete_model(request, endpoint)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        super().save_model(request, obj, form, change)
        words = standing.keys(Worker.objects.all()).words(obj.key_variable)
        if "not set" in words or "missing" in words:
            self.message_user(request, f"{words}. Set it and restart them.", messages.WARNING)


# -- routes ----------------------------------------------------------------------------------


class RouteForm(forms.ModelForm):  # type: ignore[type-arg]  # generic in the stubs only
    """A new version of a route."""

    candidates = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 16, "cols": 80, "class": "vLargeTextField"}),
        help_text='In the order in which they are asked: [{"endpoint": "…", "model": "…"}, …]',
    )
    based_on = forms.IntegerField(widget=forms.HiddenInput, required=False)

    class Meta:
        model = RouteVersion
        fields = ["route", "candidates", "note"]

    def clean_candidates(self) -> object:
        """The candidates; a fault is named with its place."""
        text = self.cleaned_data["candidates"]
        try:
            value: object = json.loads(text)
            routing.candidates(value)
        except json.JSONDecodeError as error:
            where = f"Line {error.lineno}, column {error.colno}"
            raise forms.ValidationError(f"{where}: no JSON ({error.msg}).") from error
        except ValueError as error:
            raise forms.ValidationError(str(error)) from error
        return value


@admin.register(RouteVersion)
class RouteAdmin(ForAdministrators, admin.ModelAdmin):  # type: ignore[type-arg]  # generic in the stubs only
    """Which models are asked under which name. Each save adds a version."""

    form = RouteForm
    change_form_template = "admin/runs/routeversion/change_form.html"
    list_display = ("route", "number", "is_current", "who", "note", "made_by", "made_at")
    list_filter = ("route",)
    fields = ("route", "candidates", "note", "based_on")
    _SHOWN = ("route", "number", "is_current", "who", "changes", "note", "made_by", "made_at")

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self._SHOWN if obj else self.fields

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self._SHOWN if obj else ()

    @admin.display(description="Current", boolean=True)
    def is_current(self, version: RouteVersion) -> bool:
        """Whether this is what the route asks."""
        return not RouteVersion.objects.filter(
            route=version.route, number__gt=version.number
        ).exists()

    @admin.display(description="Candidates")
    def who(self, version: RouteVersion) -> str:
        """The candidates in their order."""
        try:
            read = routing.candidates(version.candidates)
        except ValueError as error:
            return f"cannot be read: {error}"
        return " → ".join(f"{c.endpoint}/{c.model}" for c in read)

    @admin.display(description="Changes")
    def changes(self, version: RouteVersion) -> str:
        """What it changes against the version before."""
        lines = routes.difference(routes.before(version), version)
        return format_html_join("", "<div>{}</div>", ((line,) for line in lines)) or "nothing"

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """A form that begins with what a version says."""
        begun = RouteVersion.objects.filter(pk=_number(request.GET.get("like", ""))).first()
        if begun is None:
            return {"based_on": 0}
        newest = RouteVersion.objects.filter(route=begun.route).order_by("-number").first()
        text = json.dumps(begun.candidates, indent=2, ensure_ascii=False)
        return {
            "route": begun.route,
            "candidates": text,
            "based_on": newest.number if newest else 0,
        }

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Somebody else may have saved meanwhile: said here, and the form begins with theirs."""
        try:
            return super().changeform_view(request, *args, **kwargs)
        except Refused as refused:
            self.message_user(request, str(refused), messages.ERROR)
            newest = RouteVersion.objects.filter(route=request.POST.get("route", ""))
            shown = newest.order_by("-number").first()
            names = ["admin:runs_routeversion_changelist"]
            if shown is not None:
                return redirect("admin:runs_routeversion_change", shown.pk)
            return redirect(names[0])

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        made = routes.save(
            route=obj.route,
            candidates=form.cleaned_data["candidates"],
            note=obj.note,
            made_by=_person(request),
            based_on=form.cleaned_data.get("based_on") or 0,
        )
        obj.pk, obj.number, obj.made_by = made.pk, made.number, made.made_by
        for doubt in standing.doubts(routing.candidates(made.candidates), timezone.now()):
            self.message_user(request, doubt, messages.WARNING)

    def get_urls(self) -> list[URLPattern]:
        """With the door that makes a version current again."""
        again = self.admin_site.admin_view(self.again)
        mine = [path("<int:pk>/again/", again, name="runs_routeversion_again")]
        return [*mine, *super().get_urls()]

    @method_decorator(require_POST)
    def again(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Make what this version said current again, as a new version."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        version = get_object_or_404(RouteVersion, pk=pk)
        try:
            made = routes.make_current_again(version=version, made_by=_person(request))
        except Refused as refused:
            self.message_user(request, str(refused), messages.ERROR)
            return redirect("admin:runs_routeversion_change", pk)
        self.log_addition(request, made, f"As version {version.number} said.")
        self.message_user(request, f"{made} says what version {version.number} said.")
        return redirect(reverse("admin:runs_routeversion_change", args=[made.pk]))


def _person(request: HttpRequest) -> User | None:
    return request.user if isinstance(request.user, User) else None


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 19 else 0


# -- limits of agents ------------------------------------------------------------------------


class LimitForm(forms.ModelForm):  # type: ignore[type-arg]  # generic in the stubs only
    """A limit of an agent that exists."""

    class Meta:
        model = AgentLimit
        fields = ["agent", "max_running"]

    def clean_agent(self) -> str:
        """The name of an agent, known here or of runs that are not over."""
        name = str(self.cleaned_data["agent"])
        names = sorted(agent.name for agent in catalog().agents())
        if name not in names and not Run.objects.filter(agent=name).exists():
            raise forms.ValidationError(
                f"There is no agent of this name. There are: {', '.join(names)}."
            )
        return name


@admin.register(AgentLimit)
class AgentLimitAdmin(ForAdministrators, admin.ModelAdmin):  # type: ignore[type-arg]  # generic in the stubs only
    """How many runs of an agent hold workers at once."""

    form = LimitForm
    list_display = ("agent", "max_running", "declared", "running")

    @admin.display(description="Declared")
    def declared(self, limit: AgentLimit) -> str:
        """What its author says."""
        found = [agent.max_running for agent in catalog().agents() if agent.name == limit.agent]
        return str(found[0] or "no limit") if found else "unknown here"

    @admin.display(description="Hold workers now")
    def running(self, limit: AgentLimit) -> int:
        """How many run at this moment."""
        return Run.objects.filter(agent=limit.agent, status=RunStatus.RUNNING).count()
