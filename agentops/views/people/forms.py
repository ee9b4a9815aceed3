"""What the settings ask for."""

from __future__ import annotations

from typing import Any

from django import forms

from agentops.accounts.models import LONGEST_NAME, Team, User
from agentops.accounts.roles import USUAL_SCOPES, Role, Scope

_DAYS = [("30", "30 days"), ("90", "90 days"), ("365", "a year"), ("0", "until it is revoked")]
_WHAT = {
    Role.VIEWER: "sees what the teams run",
    Role.OPERATOR: "starts, stops and settles what the teams run",
    Role.APPROVER: "approves or denies what agents want to do",
    Role.CREDENTIAL_MANAGER: "looks after credentials",
    Role.AUDITOR: "reads what was done and by whom",
    Role.ADMINISTRATOR: "looks after people and the installation",
}


class ProfileForm(forms.ModelForm):  # type: ignore[type-arg]  # generic in the stubs only
    """Who one is."""

    class Meta:
        model = User
        fields = ["first_name", "last_name", "email"]
        help_texts = {"email": "Mail about approvals and budgets goes there."}


class TokenForm(forms.Form):
    """What a new token is for."""

    name = forms.CharField(max_length=LONGEST_NAME, help_text="What will use it.")
    scopes = forms.MultipleChoiceField(
        label="It may",
        choices=[(scope.value, scope.meaning) for scope in Scope],
        initial=[scope.value for scope in USUAL_SCOPES],
        widget=forms.CheckboxSelectMultiple,
    )
    days = forms.ChoiceField(label="It is valid for", choices=_DAYS, initial="90")


class DelegationForm(forms.Form):
    """Who shall act for one."""

    service = forms.ModelChoiceField(
        User.objects.filter(is_service=True, is_active=True).order_by("username"),
        to_field_name="username",
        empty_label="Choose one",
        help_text="It may then what both of you may.",
    )
    days = forms.TypedChoiceField(label="For", choices=_DAYS[:3], initial="30", coerce=float)


class TrustForm(forms.Form):
    """What somebody is trusted with, and where."""

    roles = forms.MultipleChoiceField(
        choices=[(role.value, f"{role.value}: {_WHAT[role]}") for role in Role],
        widget=forms.CheckboxSelectMultiple,
        required=False,
        help_text="Without a role one sees and steers what is one's own.",
    )
    teams = forms.ModelMultipleChoiceField(
        Team.objects.order_by("name"), widget=forms.CheckboxSelectMultiple, required=False
    )


class NewPersonForm(TrustForm):
    """Who comes in."""

    username = forms.CharField(label="Name to sign in with", max_length=150)
    email = forms.EmailField(required=False)
    field_order = ["username", "email", "roles", "teams"]

    def clean(self) -> dict[str, Any] | None:
        """Names and mail addresses belong to one person, as the model says."""
        cleaned = super().clean()
        self.user = User(
            username=self.cleaned_data.get("username", ""),
            email=self.cleaned_data.get("email", ""),
        )
        try:
            self.user.full_clean(exclude=["password"])
        except forms.ValidationError as wrong:
            for name, errors in wrong.message_dict.items():
                self.add_error(name if name in self.fields else None, errors)
        return cleaned


class NewServiceForm(NewPersonForm):
    """What comes in."""

    email = None  # type: ignore[assignment] # how Django's forms take a field away
    field_order = ["username", "roles", "teams"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["username"].label = "Name"


class TeamForm(forms.ModelForm):  # type: ignore[type-arg]  # generic in the stubs only
    """What a team is called."""

    class Meta:
        model = Team
        fields = ["name"]
        labels = {"name": "New team"}
