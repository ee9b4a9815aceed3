"""For administrators: who is here, what they are trusted with, and the services."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from allauth.mfa.models import Authenticator
from django.contrib import messages
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from agentops.accounts import factors, members, tokens
from agentops.accounts.access import Action, NotFound, allows
from agentops.accounts.actors import actor_of
from agentops.accounts.members import NotYourOwn
from agentops.accounts.models import Team, User
from agentops.accounts.roles import Role
from agentops.accounts.stepup import step_up
from agentops.sdk.errors import AgentopsError
from agentops.views.people.forms import (
    NewPersonForm,
    NewServiceForm,
    TeamForm,
    TokenForm,
    TrustForm,
)
from agentops.views.people.own import make_token
from runs.views.signing import signed_in

P = ParamSpec("P")


def for_administrators(
    page: Callable[Concatenate[HttpRequest, P], HttpResponse],
) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
    """For others there is nothing here."""

    @wraps(page)
    def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if not allows(actor_of(request), Action.ADMINISTER):
            raise Http404("This is for administrators.")
        return page(request, *args, **kwargs)

    return signed_in(guarded)


def administrators(
    page: Callable[Concatenate[HttpRequest, P], HttpResponse],
) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
    """The same; what changes something asks who one is once more."""
    return for_administrators(step_up(page))


@require_safe
@administrators
def people(request: HttpRequest) -> HttpResponse:
    """Everybody, and the teams."""
    with_factor = Authenticator.objects.filter(type__in=factors.KINDS)
    context = {
        "people": members.everybody(),
        "with_factor": set(with_factor.values_list("user_id", flat=True)),
        "teams": Team.objects.annotate(size=Count("members")).order_by("name"),
        "team_form": TeamForm(),
    }
    return render(request, "settings/members.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@administrators
def new_person(request: HttpRequest) -> HttpResponse:
    """Let somebody in; their password is shown once."""
    form = NewPersonForm(request.POST or None)
    if request.method != "POST" or not form.is_valid():
        return _form(request, form, "Add a person", "Add person")
    wanted = form.cleaned_data
    password = members.let_in(
        user=form.user, roles=_roles(wanted), teams=wanted["teams"], by=actor_of(request)
    )
    return _password(request, form.user, password)


@require_http_methods(["GET", "HEAD", "POST"])
@administrators
def person(request: HttpRequest, number: int) -> HttpResponse:
    """What one person, or service, is trusted with."""
    user = get_object_or_404(User, pk=number)
    known = {"roles": [role.value for role in user.roles], "teams": user.teams.all()}
    form = TrustForm(request.POST or None, initial=known)
    if request.method == "POST" and form.is_valid():
        wanted = form.cleaned_data
        done = _try(
            request,
            lambda: members.entrust(
                user=user, roles=_roles(wanted), teams=wanted["teams"], by=actor_of(request)
            ),
            f"Saved what {user} is trusted with.",
        )
        if done:
            return redirect("member", number)
    return _person(request, user, form)


@require_POST
@administrators
def leave(request: HttpRequest, number: int) -> HttpResponse:
    """Somebody leaves, or a service is switched off."""
    user = get_object_or_404(User, pk=number)
    by = actor_of(request)
    said = f"{user} is signed out everywhere; tokens and delegations are gone."
    _try(request, lambda: members.let_go(user=user, by=by), said)
    return redirect("member", number)


@require_POST
@administrators
def come_back(request: HttpRequest, number: int) -> HttpResponse:
    """Somebody returns."""
    user = get_object_or_404(User, pk=number)
    members.take_back(user=user, by=actor_of(request))
    messages.success(request, f"{user} may come in again.", extra_tags="good")
    return redirect("member", number)


@require_POST
@administrators
def reset_password(request: HttpRequest, number: int) -> HttpResponse:
    """A password for somebody who lost theirs, shown once."""
    user = get_object_or_404(User, pk=number, is_service=False)
    try:
        password = members.new_password(user=user, by=actor_of(request))
    except NotYourOwn as refused:
        messages.error(request, str(refused), extra_tags="bad")
        return redirect("member", number)
    return _password(request, user, password)


@require_POST
@administrators
def forget_factors(request: HttpRequest, number: int) -> HttpResponse:
    """Somebody lost phone or key."""
    user = get_object_or_404(User, pk=number, is_service=False)
    by = actor_of(request)
    said = f"{user} signs in with the password alone."
    _try(request, lambda: members.forget_factors(user=user, by=by), said)
    return redirect("member", number)


@require_POST
@administrators
def add_team(request: HttpRequest) -> HttpResponse:
    """A new team."""
    form = TeamForm(request.POST)
    if form.is_valid():
        members.add_team(name=form.cleaned_data["name"], by=actor_of(request))
        messages.success(request, "Team added.", extra_tags="good")
    else:
        messages.error(
            request, " ".join(str(error) for error in form.errors["name"]), extra_tags="bad"
        )
    return redirect("members")


@require_safe
@administrators
def services(request: HttpRequest) -> HttpResponse:
    """The programs that have an account."""
    counted = members.services().annotate(tally=Count("auth_token_set"))
    return render(request, "settings/services.html", {"services": counted})


@require_http_methods(["GET", "HEAD", "POST"])
@administrators
def new_service(request: HttpRequest) -> HttpResponse:
    """A new service account."""
    form = NewServiceForm(request.POST or None)
    if request.method != "POST" or not form.is_valid():
        return _form(request, form, "Add a service account", "Add service account")
    wanted = form.cleaned_data
    members.add_service(
        user=form.user, roles=_roles(wanted), teams=wanted["teams"], by=actor_of(request)
    )
    return redirect("member", form.user.pk)


@require_POST
@administrators
def service_token(request: HttpRequest, number: int) -> HttpResponse:
    """A token for a service, shown once."""
    user = get_object_or_404(User, pk=number, is_service=True, is_active=True)
    form = TokenForm(request.POST)
    made = make_token(request, user, form) if form.is_valid() else None
    secret = made.secret if made else ""
    return _person(request, user, None, TokenForm() if made else form, secret)


@require_POST
@administrators
def revoke_service_token(request: HttpRequest, number: int, public_id: str) -> HttpResponse:
    """Make a token of a service useless."""
    user = get_object_or_404(User, pk=number, is_service=True)
    try:
        tokens.revoke_token(user=user, public_id=public_id, revoked_by=actor_of(request).name)
    except NotFound as missing:
        raise Http404(str(missing)) from missing
    return redirect("member", number)


def _person(
    request: HttpRequest,
    user: User,
    form: TrustForm | None,
    token_form: TokenForm | None = None,
    secret: str = "",
) -> HttpResponse:
    known = {"roles": [role.value for role in user.roles], "teams": user.teams.all()}
    form = form or TrustForm(initial=known)
    context = {
        "person": user,
        "form": form,
        "own": user.pk == actor_of(request).user.pk,
        "has_factor": factors.has_one(user),
        "token_form": token_form or TokenForm(),
        "tokens": tokens.tokens_of(user=user) if user.is_service else [],
        "secret": secret,
        "now": timezone.now(),
    }
    wrong = form.errors or (token_form and token_form.errors)
    answer = render(request, "settings/member.html", context, status=422 if wrong else 200)
    answer["Cache-Control"] = "no-store"
    return answer


def _form(request: HttpRequest, form: NewPersonForm, title: str, button: str) -> HttpResponse:
    context = {"form": form, "title": title, "button": button}
    status = 422 if form.errors else 200
    return render(request, "settings/form.html", context, status=status)


def _password(request: HttpRequest, user: User, password: str) -> HttpResponse:
    context = {"person": user, "password": password}
    answer = render(request, "settings/one_time_password.html", context)
    answer["Cache-Control"] = "no-store"
    return answer


def _roles(wanted: dict[str, list[str]]) -> list[Role]:
    return [Role(value) for value in wanted["roles"]]


def _try(request: HttpRequest, do: Callable[[], object], said: str) -> bool:
    try:
        do()
    except AgentopsError as refused:
        messages.error(request, str(refused), extra_tags="bad")
        return False
    messages.success(request, said, extra_tags="good")
    return True
