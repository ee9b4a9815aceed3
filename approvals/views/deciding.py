"""What people say to a request. Each is a POST that may be repeated without harm."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from agentops.accounts import stepup
from agentops.accounts.actors import actor_of
from agentops.sdk.errors import AgentopsError
from approvals import deciding, quorum
from approvals.deciding import Decided
from approvals.forms import argument_form
from approvals.models import Request, Risk, State, Verdict
from approvals.refusals import InvalidEdit
from approvals.showing import Shown
from approvals.views.pages import the_request
from runs.views.actions import telling_refusals
from runs.views.signing import signed_in


@dataclass(frozen=True, slots=True)
class Word:
    """What a form says: the verdict, what the person was shown, and what they typed."""

    verdict: Verdict
    revision: int
    digest: str
    comment: str
    typed: str
    how: str
    opened: tuple[str, ...]

    @classmethod
    def read(cls, posted: QueryDict) -> Word:
        """What was posted; whatever is no word of ours denies nothing and approves nothing."""
        number = posted.get("revision", "")
        return cls(
            verdict=Verdict(posted.get("verdict", "")),
            revision=int(number) if number.isdecimal() and len(number) < 9 else 0,
            digest=posted.get("digest", ""),
            comment=posted.get("comment", "").strip(),
            typed=posted.get("typed", "").strip(),
            how=posted.get("how", ""),
            opened=tuple(posted.getlist("open")),
        )

    def missing(self, shown: Shown) -> str:
        """What is still wanted of the person before this word is taken, in a sentence."""
        if self.verdict == Verdict.REJECT:
            return "" if self.comment else "Say why: the agent is told your reason."
        if shown.unopened:
            named = ", ".join(shown.unopened)
            return f"Open {named} first: part of it was not shown to you."
        if shown.request.risk != Risk.HIGH:
            return ""
        if self.typed != shown.request.name:
            return f"Type {shown.request.name} to confirm."
        return "" if self.comment else "Say why: it stands in the record."


@require_POST
@signed_in
def decide(request: HttpRequest, public_id: str) -> HttpResponse:
    """Approve or deny what they were shown; nothing else, and only while it is asked."""
    found, revision = the_request(actor_of(request), public_id)
    if request.POST.get("verdict") not in set(Verdict):
        messages.error(request, "Choose Approve or Deny.", extra_tags="bad")
        return redirect("inbox-item", public_id)
    word = Word.read(request.POST)
    missing = word.missing(Shown(found, revision, word.opened))
    if missing and found.state == State.PENDING:
        messages.error(request, f"Nothing was decided. {missing}", extra_tags="bad")
        return redirect("inbox-item", public_id)
    if _is_grave(found, word) and not stepup.is_fresh(request):
        return stepup.ask_again(request)
    with telling_refusals(request):
        decided = deciding.decide(
            request=found, actor=actor_of(request), verdict=word.verdict, revision=word.revision,
            digest=word.digest, comment=word.comment, for_good=word.how == "for_good",
            stop_run=word.how == "stop_run",
        )  # fmt: skip
        _tell(request, decided)
    return redirect("inbox-item", public_id)


def _is_grave(found: Request, word: Word) -> bool:
    """Whether it has to be sure who is there."""
    grave = found.risk == Risk.HIGH and word.verdict == Verdict.APPROVE
    return found.state == State.PENDING and grave


def _tell(request: HttpRequest, decided: Decided) -> None:
    """Say what came of it, and how it is taken back."""
    found, undo = decided.request, ""
    title = f"“{found.title}”"
    if not decided.is_settled:
        said = f"Your word on {title} counts; {quorum.words(_wanted(decided))} must agree too."
        undo = reverse("inbox-withdraw", args=[found.public_id])
    elif found.state == State.APPROVED:
        waits = f" It may begin in {found.undo_seconds} s." if found.undo_seconds else ""
        said = f"Approved: {title}.{waits}"
        undo = reverse("inbox-withdraw", args=[found.public_id]) if found.undo_seconds else ""
    else:
        said = f"Denied: {title}. The agent is told why."
    messages.success(request, said, extra_tags=f"good undo={undo}" if undo else "good")


def _wanted(decided: Decided) -> list[dict[str, object]]:
    """The factors that are not filled yet, each with how many it still wants."""
    factors = quorum.factors_of(decided.request.factors)
    pairs = zip(factors, decided.missing, strict=False)
    return [{**factor, "count": count} for factor, count in pairs if count]


@require_POST
@signed_in
def withdraw(request: HttpRequest, public_id: str) -> HttpResponse:
    """Take one's own word back, while that is possible."""
    found, _ = the_request(actor_of(request), public_id)
    with telling_refusals(request):
        deciding.withdraw(request=found, actor=actor_of(request))
        messages.success(request, "Taken back. It waits for a person again.", extra_tags="good")
    return redirect("inbox-item", public_id)


@require_POST
@signed_in
def revoke(request: HttpRequest, public_id: str) -> HttpResponse:
    """Take back an approval that has not begun, for good."""
    found, _ = the_request(actor_of(request), public_id)
    with telling_refusals(request):
        deciding.revoke(
            request=found, actor=actor_of(request), comment=request.POST.get("comment", "")
        )
        messages.success(request, "The approval is taken back for good.", extra_tags="good")
    return redirect("inbox-item", public_id)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def edit(request: HttpRequest, public_id: str) -> HttpResponse:
    """GET: the arguments as fields. POST: approve with what the fields say."""
    actor = actor_of(request)
    found, revision = the_request(actor, public_id)
    if revision is None or found.state != State.PENDING:
        return redirect("inbox-item", public_id)
    shown = Shown(found, revision)
    form = argument_form(shown.arguments)
    if request.method != "POST":
        return _form(request, shown, form, "")
    value, form = form.read(request.POST)
    word = Word.read(_approving(request.POST))
    grave = found.risk == Risk.HIGH
    if value is None or (grave and not word.comment):
        said = "" if value is None else "Say why: it stands in the record."
        return _form(request, shown, form, said, status=422)
    if grave and not stepup.is_fresh(request):
        return stepup.ask_again(request)
    try:
        decided = deciding.decide(
            request=found, actor=actor, verdict=Verdict.APPROVE, revision=word.revision,
            digest=word.digest, comment=word.comment, arguments={**shown.arguments, **value},
        )  # fmt: skip
    except InvalidEdit as wrong:
        return _form(request, shown, form, str(wrong), status=422)
    except AgentopsError as refused:
        messages.error(request, str(refused), extra_tags="bad")
    else:
        _tell(request, decided)
    return redirect("inbox-item", public_id)


def _approving(posted: QueryDict) -> QueryDict:
    said = posted.copy()
    said["verdict"] = Verdict.APPROVE
    return said


def _form(
    request: HttpRequest, shown: Shown, form: object, problem: str, status: int = 200
) -> HttpResponse:
    context = {
        "shown": shown, "item": shown.request, "form": form, "problem": problem,
        "comment": request.POST.get("comment", ""),
    }  # fmt: skip
    return render(request, "inbox/edit.html", context, status=status)
