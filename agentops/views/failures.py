"""Pages for when something is missing, refused or broken."""

from __future__ import annotations

import uuid

import structlog
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template import loader
from django.views.defaults import server_error

log = structlog.get_logger(__name__)


def form_too_old(request: HttpRequest, reason: str = "") -> HttpResponse:  # noqa: ARG001 - Django's signature
    """The answer to a form without a valid CSRF token."""
    return render(request, "403_csrf.html", status=403)


def our_fault(request: HttpRequest) -> HttpResponse:
    """The answer when a page raised an error. The id finds its log line."""
    error_id = uuid.uuid4().hex[:12]
    log.error("page.failed", error_id=error_id, path=request.path)
    try:
        body = loader.render_to_string("500.html", {"error_id": error_id}, request)
    except Exception:  # noqa: BLE001 - the page that says so must not break on the same thing
        return server_error(request)
    return HttpResponse(body, status=500)


def missing(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001
    """The answer for what is not there or not theirs."""
    return render(request, "404.html", status=404)


def refused(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001
    """The answer for what somebody has no right to."""
    return render(request, "403.html", status=403)
