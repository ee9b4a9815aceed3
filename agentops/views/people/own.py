"""One's own settings: profile, sessions, tokens, and whom one lets act."""

from __future__ import annotations

from datetime import timedelta

from allauth.usersessions.models import UserSession
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from agentops.accounts import delegations, members, tokens
from agentops.accounts.access import NotFound
from agentops.accounts.actors import actor_of
from agentops.accounts.models import User
from agentops.accounts.roles import Scope
from agentops.accounts.stepup import step_up
from agentops.sdk.errors import AgentopsError
from agentops.views.people import browsers
from agentops.views.people.forms import DelegationForm, ProfileForm, TokenForm
from runs.views.signing import signed_in


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def profile(request: HttpRequest) -> HttpResponse:
    """Who one is, and what one is trusted with."""
    # Another copy: what was typed wrong must not be shown as the name in the rail.
    person = User.objects.get(pk=actor_of(request).user.pk)
    form = ProfileForm(request.POST or None, instance=person)
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(request, "Profile saved.", extra_tags="good")
        return redirect("profile")
    context = {
        "form": form,
        "roles": person.roles,
        "superuser": person.is_superuser,
        "teams": person.teams.order_by("name"),
    }
    return render(request, "settings/profile.html", context, status=422 if form.errors else 200)


@require_safe
@signed_in
def sessions(request: HttpRequest) -> HttpResponse:
    """Where one is signed in."""
    user = actor_of(request).user
    alive = UserSession.objects.purge_and_list(user)
    known = sorted(alive, key=lambda session: session.created_at, reverse=True)
    named = [(session, browsers.called(session.user_agent)) for session in known]
    context = {"sessions": named, "current": request.session.session_key}
    return render(request, "settings/sessions.html", context)


@require_POST
@signed_in
def end_session(request: HttpRequest, number: int) -> HttpResponse:
    """Sign out somewhere else."""
    found = UserSession.objects.filter(user=actor_of(request).user, pk=number).first()
    if found is None:
        raise Http404("There is no such session.")
    found.end()
    messages.success(request, "Signed out there.", extra_tags="good")
    return redirect("sessions")


@require_POST
@signed_in
def end_other_sessions(request: HttpRequest) -> HttpResponse:
    """Sign out everywhere else."""
    kept = request.session.session_key
    ended = members.end_sessions(user=actor_of(request).user, but=kept)
    messages.success(request, f"Signed out in {ended} other places.", extra_tags="good")
    return redirect("sessions")


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
@step_up
def own_tokens(request: HttpRequest) -> HttpResponse:
    """One's tokens and delegations; a POST makes a token and shows it, once."""
    form = TokenForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        made = make_token(request, actor_of(request).user, form)
        if made is not None:
            return _tokens_page(request, TokenForm(), secret=made.secret)
    return _tokens_page(request, form)


@require_POST
@signed_in
def revoke(request: HttpRequest, public_id: str) -> HttpResponse:
    """Make a token useless."""
    actor = actor_of(request)
    try:
        tokens.revoke_token(user=actor.user, public_id=public_id, revoked_by=actor.name)
    except NotFound as missing:
        raise Http404(str(missing)) from missing
    messages.success(request, "Token revoked.", extra_tags="good")
    return redirect("tokens")


@require_POST
@signed_in
@step_up
def delegate(request: HttpRequest) -> HttpResponse:
    """Let a service act for one."""
    form = DelegationForm(request.POST)
    if not form.is_valid():
        return _tokens_page(request, TokenForm(), delegating=form)
    wanted = form.cleaned_data
    given = delegations.give(
        person=actor_of(request).user,
        service=wanted["service"].username,
        days=wanted["days"],
        now=timezone.now(),
    )
    return _tokens_page(request, TokenForm(), word=given.text)


@require_POST
@signed_in
def take_back(request: HttpRequest, public_id: str) -> HttpResponse:
    """End a delegation."""
    try:
        delegations.take_back(person=actor_of(request).user, public_id=public_id)
    except NotFound as missing:
        raise Http404(str(missing)) from missing
    messages.success(request, "Delegation taken back.", extra_tags="good")
    return redirect("tokens")


def make_token(request: HttpRequest, holder: User, form: TokenForm) -> tokens.Made | None:
    """The token that a valid form asks for, or None with the reason in the form."""
    wanted = form.cleaned_data
    days = float(wanted["days"]) or None
    try:
        return tokens.make_token(
            user=holder,
            made_by=actor_of(request).name,
            name=wanted["name"],
            scopes=[Scope(value) for value in wanted["scopes"]],
            expires_at=None if days is None else timezone.now() + timedelta(days=days),
        )
    except AgentopsError as refused:
        form.add_error(None, str(refused))
        return None


def _tokens_page(
    request: HttpRequest,
    form: TokenForm,
    *,
    delegating: DelegationForm | None = None,
    secret: str = "",
    word: str = "",
) -> HttpResponse:
    user = actor_of(request).user
    context = {
        "form": form,
        "delegating": delegating or DelegationForm(),
        "secret": secret,
        "word": word,
        "tokens": tokens.tokens_of(user=user),
        "delegations": delegations.given_by(person=user),
        "services": User.objects.filter(is_service=True, is_active=True).exists(),
        "now": timezone.now(),
    }
    wrong = form.errors or (delegating and delegating.errors)
    answer = render(request, "settings/tokens.html", context, status=422 if wrong else 200)
    # What is shown once is kept by no browser and no proxy.
    answer["Cache-Control"] = "no-store"
    return answer
