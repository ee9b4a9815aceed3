"""What one gets mail about, when one is left in peace, and a test that mail arrives."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from agentops.accounts.actors import actor_of
from agentops.accounts.models import User
from agentops.mail import backend
from approvals import messages as words
from approvals import preferences, rotas
from approvals.models import Preference
from runs import outbox
from runs.models import OutboxMail
from runs.views.signing import signed_in

TEST = "test"
# Nobody needs more, and nobody's mailbox is filled from here.
BETWEEN_TESTS = timedelta(seconds=30)


class NotificationForm(forms.Form):
    """What somebody wants to hear of, and when not."""

    wants = forms.MultipleChoiceField(
        label="Mail me when",
        choices=list(preferences.EVENTS.items()),
        widget=forms.CheckboxSelectMultiple,
        required=False,
    )
    quiet_from = forms.TimeField(
        label="Quiet from", required=False, widget=forms.TimeInput({"type": "time"}, format="%H:%M")
    )
    quiet_to = forms.TimeField(
        label="Quiet until",
        required=False,
        widget=forms.TimeInput({"type": "time"}, format="%H:%M"),
        help_text="Mail of these hours comes after them, unless it is over by then. Steps of a "
        "chain that are urgent come at once.",
    )
    zone = forms.CharField(
        label="Time zone", required=False, max_length=64, help_text="Such as Europe/Berlin."
    )

    def clean_zone(self) -> str:
        """A zone that there is."""
        name = str(self.cleaned_data["zone"])
        if name:
            try:
                rotas.read_zone(name)
            except rotas.InvalidRota as wrong:
                raise forms.ValidationError(str(wrong)) from wrong
        return name

    def clean(self) -> dict[str, Any] | None:
        """Both ends of the quiet hours, or none."""
        cleaned = super().clean() or {}
        ends = [cleaned.get("quiet_from"), cleaned.get("quiet_to")]
        if not self.errors and ends.count(None) == 1:
            self.add_error("quiet_to", "Quiet hours need both times; leave both empty for none.")
        return cleaned

    @property
    def quiet(self) -> dict[str, object] | None:
        """The quiet hours as they are kept."""
        begins, ends = self.cleaned_data["quiet_from"], self.cleaned_data["quiet_to"]
        return None if begins is None else {"from": f"{begins:%H:%M}", "to": f"{ends:%H:%M}"}


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def notifications(request: HttpRequest) -> HttpResponse:
    """What one gets mail about."""
    person = actor_of(request).user
    form = NotificationForm(request.POST or None, initial=_known(person))
    if request.method == "POST" and form.is_valid():
        preferences.save(
            person=person, wants=form.cleaned_data["wants"], quiet=form.quiet,
            zone=form.cleaned_data["zone"],
        )  # fmt: skip
        messages.success(request, "Notifications saved.", extra_tags="good")
        return redirect("notifications")
    context = {
        "form": form,
        "person": person,
        "kept": backend.is_used(),
        "test": OutboxMail.objects.filter(person=person, event=TEST).order_by("-pk").first(),
    }
    status = 422 if form.errors else 200
    return render(request, "settings/notifications.html", context, status=status)


@require_POST
@signed_in
def send_test(request: HttpRequest) -> HttpResponse:
    """Send oneself a message, the way notices go."""
    person = actor_of(request).user
    since = timezone.now() - BETWEEN_TESTS
    if not person.email:
        messages.error(request, "You have no mail address; add one in your profile.")
    elif OutboxMail.objects.filter(person=person, event=TEST, created_at__gt=since).exists():
        messages.error(request, "A test mail was sent a moment ago. Wait half a minute.")
    else:
        _write_test(person)
        messages.success(request, f"A test mail to {person.email} is on its way.",
                         extra_tags="good")  # fmt: skip
    return redirect("notifications")


def _write_test(person: User) -> None:
    said = words.test()
    key = f"test {person.pk} {timezone.now().isoformat()}"
    with transaction.atomic():
        outbox.write(
            event=TEST, dedup_key=key, address=person.email, person=person,
            subject=said.subject, text=said.text, html=said.html,
        )  # fmt: skip


def _known(person: User) -> dict[str, object]:
    row = Preference.objects.filter(person=person).first() or Preference(person=person)
    quiet = row.quiet or {}
    return {
        "wants": [event for event in preferences.EVENTS if event not in row.switched_off],
        "quiet_from": quiet.get("from"),
        "quiet_to": quiet.get("to"),
        "zone": row.zone or timezone.get_current_timezone_name(),
    }
