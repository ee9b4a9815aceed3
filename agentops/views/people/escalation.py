"""For administrators: chains and rotas, and who would be asked now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from agentops.accounts.actors import actor_of
from agentops.accounts.models import Team
from agentops.sdk.errors import AgentopsError
from agentops.views.people import chainforms
from agentops.views.people.chainforms import ChainForm, EndForm, RotaForm, Rows, Steps
from agentops.views.people.everybody import administrators
from approvals import chainbook, chains, escalation, rotas
from approvals.models import Chain, ChainVersion, Rota


@require_safe
@administrators
def overview(request: HttpRequest) -> HttpResponse:
    """Every chain with whom it would tell now, and every rota with whose turn it is."""
    now = timezone.now()
    team = Team.objects.filter(name=request.GET.get("team", "")).first()
    known = chainbook.everything()
    context = {
        "chains": [(one, list(chainbook.who_now(one.tellings, now, team))) for one in known],
        "usual": list(chainbook.who_now(chains.plan(chains.USUAL), now, team)),
        "has_usual": any(one.chain.is_usual for one in known),
        "rotas": [(rota, *_turn(rota, now)) for rota in Rota.objects.order_by("name")],
        "team": team,
        "teams": Team.objects.order_by("name"),
    }
    return render(request, "settings/escalation.html", context)


def _turn(rota: Rota, now: datetime) -> tuple[rotas.Duty | None, str]:
    """Whose turn it is, or why that cannot be said."""
    try:
        return rotas.on_duty(rotas.read(rota.plan), now), ""
    except rotas.InvalidRota as wrong:
        return None, str(wrong)


@require_http_methods(["GET", "HEAD", "POST"])
@administrators
def chain(request: HttpRequest, number: int | None = None) -> HttpResponse:
    """Make or change a chain."""
    row = None if number is None else get_object_or_404(Chain, pk=number)
    forms = _chain_forms(request, row)
    if request.method == "POST" and forms.are_valid() and _save(request, forms):
        messages.success(request, "Chain saved. What waits already keeps the one it began with.",
                         extra_tags="good")  # fmt: skip
        return redirect("escalation")
    versions = row.versions.select_related("made_by").order_by("-number") if row else []
    context = {
        "chain": row,
        "forms": forms,
        "versions": [(version, _sentences(version)) for version in versions],
    }
    status = 422 if request.method == "POST" else 200
    return render(request, "settings/chain.html", context, status=status)


@dataclass(frozen=True)
class Forms:
    """The parts of the page of a chain, from top to bottom."""

    head: ChainForm
    rows: Rows
    end: EndForm

    def are_valid(self) -> bool:
        """Whether all of them are; each says what is wrong with it."""
        return all([self.head.is_valid(), self.rows.is_valid(), self.end.is_valid()])


def _chain_forms(request: HttpRequest, row: Chain | None) -> Forms:
    version = escalation.newest(row) if row else None
    end, steps = chainforms.filled(version.steps if version else list(chains.USUAL))
    known = {"name": row.name, "is_usual": row.is_usual} if row else None
    data = request.POST or None
    head = ChainForm(data, initial=known)
    head.fields["name"].disabled = row is not None
    return Forms(head, Steps(data, initial=steps, prefix="step"), EndForm(data, initial=end))


def _save(request: HttpRequest, forms: Forms) -> bool:
    """Save it; what is wrong with it stands in the form."""
    said = forms.head.cleaned_data
    try:
        chainbook.save_chain(
            name=said["name"], steps=chainforms.steps_of(forms.end, forms.rows.cleaned_data),
            actor=actor_of(request), note=forms.end.cleaned_data["note"],
            is_usual=said["is_usual"],
        )  # fmt: skip
    except AgentopsError as refused:
        forms.head.add_error(None, str(refused))
        return False
    return True


def _sentences(version: ChainVersion) -> list[str]:
    try:
        return [chains.words(telling) for telling in chains.plan(version.steps)]
    except chains.InvalidChain as wrong:
        return [str(wrong)]


@require_POST
@administrators
def go_back(request: HttpRequest, number: int, version: int) -> HttpResponse:
    """Make an old version the newest."""
    row = get_object_or_404(Chain, pk=number)
    old = get_object_or_404(ChainVersion, chain=row, number=version)
    try:
        chainbook.save_chain(
            name=row.name, steps=old.steps, actor=actor_of(request),
            note=f"Back to version {version}", is_usual=row.is_usual,
        )  # fmt: skip
        messages.success(request, f"{row.name} is as in version {version}.", extra_tags="good")
    except AgentopsError as refused:
        messages.error(request, str(refused))
    return redirect("chain", number)


@require_POST
@administrators
def drop_chain(request: HttpRequest, number: int) -> HttpResponse:
    """Take a chain away."""
    row = get_object_or_404(Chain, pk=number)
    chainbook.drop_chain(chain=row, actor=actor_of(request))
    messages.success(request, f"Chain {row.name} is gone.", extra_tags="good")
    return redirect("escalation")


@require_http_methods(["GET", "HEAD", "POST"])
@administrators
def rota(request: HttpRequest, number: int | None = None) -> HttpResponse:
    """Make or change a rota."""
    row = None if number is None else get_object_or_404(Rota, pk=number)
    known = chainforms.rota_filled(row.name, row.plan) if row else None
    form = RotaForm(request.POST or None, initial=known)
    form.fields["name"].disabled = row is not None
    if request.method == "POST" and form.is_valid():
        try:
            chainbook.save_rota(
                name=form.cleaned_data["name"], plan=form.plan(), actor=actor_of(request)
            )
        except AgentopsError as refused:
            form.add_error(None, str(refused))
        else:
            messages.success(request, "Rota saved.", extra_tags="good")
            return redirect("escalation")
    status = 422 if form.errors else 200
    return render(request, "settings/rota.html", {"form": form, "rota": row}, status=status)


@require_POST
@administrators
def drop_rota(request: HttpRequest, number: int) -> HttpResponse:
    """Take a rota away."""
    row = get_object_or_404(Rota, pk=number)
    try:
        chainbook.drop_rota(rota=row, actor=actor_of(request))
        messages.success(request, f"Rota {row.name} is gone.", extra_tags="good")
    except AgentopsError as refused:
        messages.error(request, str(refused))
    return redirect("escalation")
