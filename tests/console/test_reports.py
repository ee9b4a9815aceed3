"""Pages of reports and mail: who may read them, and that nothing in them can act."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.mail import EmailMessage
from django.test import Client
from pytest_django import Settings

from agentops import reports
from agentops.accounts.models import User
from agentops.views import markdown
from runs.models import Run, RunStatus
from tests import factories

EVIL = (
    "# Report\n\n<script>alert(1)</script> [a](javascript:alert(1)) [b](https://x.example) "
    "![i](https://x.example/i.png) `<b>`\n\n| a |\n| :-: |\n| 1 |\n"
)


@pytest.fixture(autouse=True)
def data(tmp_path: Path, settings: Settings) -> Path:
    settings.AGENTOPS_DATA = tmp_path
    settings.EMAIL_BACKEND = "agentops.mail.backend.EmailBackend"
    return tmp_path


@pytest.fixture
def audited(ana: User) -> Run:
    run = factories.run(ana, status=RunStatus.SUCCEEDED, stop_reason="completed", title="Audit")
    folder = reports.folder_of(run.public_id)
    folder.mkdir(parents=True)
    (folder / "audit.md").write_text(EVIL)
    (folder / "audit.json").write_text('{"fine": true}')
    (folder / ".audit.md.part").write_text("half")
    return run


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_the_owner_reads_the_report(page: Client, audited: Run) -> None:
    answer = page.get(f"/reports/{audited.public_id}/")

    html = answer.content.decode()
    assert answer.status_code == 200
    assert "<h2>Report</h2>" in html
    assert f"/reports/{audited.public_id}/audit.json/" in html
    assert "audit.md.part" not in html


def test_an_operator_reads_every_report(operator: User, audited: Run) -> None:
    assert signed_in(operator).get(f"/reports/{audited.public_id}/").status_code == 200


def test_for_strangers_there_is_no_report(stranger: User, audited: Run) -> None:
    for path in ("", "audit.md/"):
        address = f"/reports/{audited.public_id}/{path}"
        assert signed_in(stranger).get(address).status_code == 404
        assert Client().get(address)["Location"].startswith("/sign-in/")


def test_nothing_is_written_through_the_pages(page: Client, audited: Run) -> None:
    assert page.post(f"/reports/{audited.public_id}/").status_code == 405
    assert page.post("/settings/mail/").status_code == 405


def test_a_report_cannot_act(page: Client, audited: Run) -> None:
    html = page.get(f"/reports/{audited.public_id}/").content.decode()
    article = html.split("<article", 1)[1].split("</article>")[0]

    assert "&lt;script&gt;" in article
    for forbidden in ("<script", "<img", 'javascript:alert(1)"', "style=", "<b>", "onclick"):
        assert forbidden not in article
    assert 'rel="noopener noreferrer nofollow"' in article


def test_a_wide_table_scrolls_by_itself() -> None:
    html = markdown.render("| a |\n| --- |\n| 1 |\n")

    assert html.startswith(
        '<div class="table-card" tabindex="0" role="region" aria-label="Table 1">'
    )
    assert html.rstrip().endswith("</table></div>")


def test_a_file_is_downloaded_under_the_name_of_its_run(page: Client, audited: Run) -> None:
    answer = page.get(f"/reports/{audited.public_id}/audit.json/")

    assert answer.content == b'{"fine": true}'
    assert answer["Content-Disposition"] == (
        f'attachment; filename="{audited.public_id}-audit.json"'
    )


@pytest.mark.parametrize("name", ["none.md", "..%2f..%2fsecrets.json", ".audit.md.part"])
def test_only_finished_files_of_the_run_are_given(page: Client, audited: Run, name: str) -> None:
    assert page.get(f"/reports/{audited.public_id}/{name}/").status_code == 404


def test_a_run_without_a_report_says_so(page: Client, ana: User) -> None:
    run = factories.run(ana)

    assert (
        "appears here once it is written" in page.get(f"/reports/{run.public_id}/").content.decode()
    )
    assert "wrote a report" not in page.get(f"/runs/{run.public_id}/").content.decode()


def test_the_page_of_a_run_leads_to_its_report(page: Client, audited: Run) -> None:
    html = page.get(f"/runs/{audited.public_id}/").content.decode()

    assert f'href="/reports/{audited.public_id}/"' in html


def test_a_run_that_goes_on_does_not_offer_its_report_yet(page: Client, audited: Run) -> None:
    Run.objects.filter(pk=audited.pk).update(
        status=RunStatus.QUEUED, stop_reason="", finished_at=None, ready_at=audited.created_at
    )

    assert "wrote a report" not in page.get(f"/runs/{audited.public_id}/").content.decode()


def test_an_enormous_report_is_not_drawn(page: Client, audited: Run) -> None:
    (reports.folder_of(audited.public_id) / "audit.md").write_text("x" * (2 * 1024 * 1024 + 1))

    assert "too large to show" in page.get(f"/reports/{audited.public_id}/").content.decode()


def test_operators_read_kept_mail_as_plain_text(operator: User) -> None:
    EmailMessage("Hello <b>", "<script>x</script>", "from@x.org", ["to@x.org"]).send()
    client = signed_in(operator)

    html = client.get("/settings/mail/").content.decode()
    address = html.split('class="row-link" href="')[1].split('"')[0]
    message = client.get(address).content.decode()

    assert "Hello &lt;b&gt;" in html
    assert "&lt;script&gt;x&lt;/script&gt;" in message
    assert "to@x.org" in message
    assert client.get("/settings/mail/unknown/").status_code == 404


def test_no_mail_says_what_comes_here(operator: User) -> None:
    assert "No mail yet" in signed_in(operator).get("/settings/mail/").content.decode()


def test_mail_is_nothing_to_others(page: Client) -> None:
    assert page.get("/settings/mail/").status_code == 404
    assert page.get("/settings/mail/x/").status_code == 404
    assert "/settings/mail/" not in page.get("/runs/").content.decode()
    assert Client().get("/settings/mail/").status_code == 302
