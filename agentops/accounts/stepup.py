"""Before something that matters people say once more who they are, after a quarter of an hour."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, cast

from allauth.account.internal.flows.login import get_authentication_records
from allauth.account.internal.flows.reauthentication import suspend_request
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

P = ParamSpec("P")


def step_up(
    page: Callable[Concatenate[HttpRequest, P], HttpResponse],
) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
    """Ask for password or code before a POST to this page, unless one did so a moment ago.

    What was posted waits in the session and is done afterwards. Stands inside ``signed_in``.
    """

    @wraps(page)
    def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if request.method != "POST" or is_fresh(request):
            return page(request, *args, **kwargs)
        return ask_again(request)

    return guarded


def ask_again(request: HttpRequest) -> HttpResponse:
    """Ask who they are; what was posted is done afterwards."""
    return cast("HttpResponse", suspend_request(request, reverse("account_reauthenticate")))


def is_fresh(request: HttpRequest) -> bool:
    """Whether they gave a password or a code within the last quarter of an hour."""
    records = get_authentication_records(request, request.user)
    latest = max((record["at"] for record in records), default=0.0)
    return time.time() - latest < settings.ACCOUNT_REAUTHENTICATION_TIMEOUT
