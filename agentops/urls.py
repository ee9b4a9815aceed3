"""Which door opens on which address."""

from __future__ import annotations

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import TemplateView

from agentops.views import (
    account,
    finding,
    gallery,
    keymap,
    mails,
    overview,
    reports,
    shell,
    stops,
    system,
)

urlpatterns: list[URLPattern | URLResolver] = [
    path("", overview.overview, name="overview"),
    path("", include("runs.urls")),
    path("", include("approvals.urls")),
    path("find/", finding.find, name="find"),
    path("sign-in/", account.SignIn.as_view(), name="login"),
    # Under the names by which allauth sends people there.
    path("sign-in/", account.SignIn.as_view(), name="account_login"),
    path("sign-out/", account.SignOut.as_view(), name="account_logout"),
    path("sign-in/again/", account.SignInAgain.as_view(), name="account_reauthenticate"),
    path("settings/", include("agentops.views.people.urls")),
    path("sign-out/", account.SignOut.as_view(), name="logout"),
    path(
        "signed-out/",
        TemplateView.as_view(template_name="account/signed_out.html"),
        name="signed-out",
    ),
    path("settings/mail/", mails.mails, name="mails"),
    path("settings/mail/again/", mails.try_again, name="mails-again"),
    path("settings/mail/<str:name>/", mails.mail, name="mail"),
    path("reports/<str:public_id>/", reports.report, name="report"),
    path("reports/<str:public_id>/<str:name>/", reports.download, name="report-file"),
    path("stops/", stops.overview, name="stops"),
    path("stops/new/", stops.new, name="stop-new"),
    path("stops/<str:public_id>/", stops.stop, name="stop"),
    path("stops/<str:public_id>/lift/", stops.lift, name="stop-lift"),
    path("settings/theme/", shell.theme, name="theme"),
    path("settings/keys/", keymap.keys, name="keys"),
    path("system/", system.system, name="system"),
    path("system/gallery/", gallery.gallery, name="gallery"),
    path("api/v1/", include(("agentops.api.urls", "api"))),
    path("admin/", admin.site.urls),
]

handler403 = "agentops.views.failures.refused"
handler404 = "agentops.views.failures.missing"
handler500 = "agentops.views.failures.our_fault"
