"""Pages for reading mail that was kept, and for what could not be sent. Administrators only."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from agentops.accounts.access import Action, allows
from agentops.accounts.actors import actor_of
from agentops.mail import backend, maildir
from runs import figures, outbox
from runs.models import OutboxMail
from runs.views.signing import signed_in

SHOWN = 200


@require_safe
@signed_in
def mails(request: HttpRequest) -> HttpResponse:
    """The last messages, newest first, and where mail of this system goes."""
    _administrators_only(request)
    context = {
        "mails": maildir.newest(backend.folder(), SHOWN),
        "shown": SHOWN,
        "kept": backend.is_used(),
        "folder": backend.folder(),
        "stuck": _stuck(),
        "host": getattr(settings, "EMAIL_HOST", ""),
    }
    return render(request, "mail/list.html", context)


@require_safe
@signed_in
def mail(request: HttpRequest, name: str) -> HttpResponse:
    """One message, as plain text: what it says is not ours to draw."""
    _administrators_only(request)
    found = maildir.read(backend.folder(), name)
    if found is None:
        raise Http404("No message is called so.")
    return render(request, "mail/message.html", {"mail": found})


@require_POST
@signed_in
def try_again(request: HttpRequest) -> HttpResponse:
    """Send what was given up once more."""
    _administrators_only(request)
    found = outbox.try_again(by=actor_of(request).name)
    messages.success(request, f"{figures.plural(found, 'message')} will be tried again.",
                     extra_tags="good")  # fmt: skip
    return redirect("mails")


def _stuck() -> list[OutboxMail]:
    """What was given up, and what should have gone out."""
    return [*outbox.failed()[:SHOWN], *outbox.late()[:SHOWN]]


def _administrators_only(request: HttpRequest) -> None:
    """Mail holds what was meant for somebody else; for others there is nothing here."""
    if not allows(actor_of(request), Action.ADMINISTER):
        raise Http404("Mail is for administrators.")
