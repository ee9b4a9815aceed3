"""What every page of the console asks first: who is it?"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec
from urllib.parse import urlsplit

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme

from agentops.accounts.access import Action, Forbidden, NotFound
from agentops.accounts.actors import actor_of
from agentops.accounts.models import User
from runs import queries
from runs.models import Run

P = ParamSpec("P")


def signed_in(
    page: Callable[Concatenate[HttpRequest, P], HttpResponse],
) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
    """Send people who are not signed in to sign in and back; tell a region of a page so."""

    @wraps(page)
    def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if request.user.is_authenticated:
            return page(request, *args, **kwargs)
        if request.headers.get("HX-Request"):
            return render(request, "_signed_out.html", status=401)
        return redirect_to_login(_where(request))

    return guarded


def _where(request: HttpRequest) -> str:
    """Where to come back to: this page, or for a form that was sent the page it was on."""
    if request.method in {"GET", "HEAD"}:
        return request.get_full_path()
    said = request.headers.get("Referer", "")
    there = urlsplit(said)._replace(scheme="", netloc="").geturl()
    return there if url_has_allowed_host_and_scheme(said, {request.get_host()}) else "/"


def person(request: HttpRequest) -> User:
    """Who is signed in; only for pages behind :func:`signed_in`."""
    assert isinstance(request.user, User)  # noqa: S101 - narrows the type
    return request.user


def the_run(request: HttpRequest, public_id: str, action: Action = Action.VIEW) -> Run:
    """The run of an address; 404 for what is not theirs, 403 for what they may only see."""
    try:
        return queries.get_run(public_id=public_id, viewer=actor_of(request), action=action)
    except (NotFound, Forbidden) as refused:
        raise refusal(refused) from refused


def refusal(refused: NotFound | Forbidden) -> Exception:
    """How Django says it: 404 for what is not theirs, 403 for what they may not do."""
    said = str(refused)
    return Http404(said) if isinstance(refused, NotFound) else PermissionDenied(said)
