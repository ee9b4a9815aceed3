"""Pages for reading what a run wrote for people."""

from __future__ import annotations

from pathlib import Path

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_safe

from agentops import reports
from agentops.views import markdown
from runs.views.signing import signed_in, the_run

LARGEST_BYTES = 2 * 1024 * 1024


@require_safe
@signed_in
def report(request: HttpRequest, public_id: str) -> HttpResponse:
    """The report of a run; its owner and operators only."""
    run = the_run(request, public_id)
    files = reports.files_of(run.public_id)
    readable = [file for file in files if file.suffix == ".md"]
    chosen = _named(readable, request.GET.get("file", "")) if readable else None
    too_large = chosen is not None and chosen.stat().st_size > LARGEST_BYTES
    text = chosen.read_text(errors="replace") if chosen and not too_large else ""
    context = {
        "run": run,
        "files": [(file.name, file.stat().st_size) for file in files],
        "html": markdown.render(text),
        "too_large": too_large,
    }
    return render(request, "reports/report.html", context)


@require_safe
@signed_in
def download(request: HttpRequest, public_id: str, name: str) -> HttpResponse:
    """One file of a report as it lies on disk, to keep."""
    run = the_run(request, public_id)
    file = next((f for f in reports.files_of(run.public_id) if f.name == name), None)
    if file is None:
        raise Http404(f"{run.public_id} wrote no file called {name}.")
    disposition = content_disposition_header(True, f"{run.public_id}-{name}") or "attachment"
    return HttpResponse(
        file.read_bytes(),
        content_type="application/octet-stream",
        headers={"Content-Disposition": disposition},
    )


def _named(files: list[Path], name: str) -> Path:
    return next((file for file in files if file.name == name), files[0])
