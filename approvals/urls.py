"""Addresses of the inbox."""

from __future__ import annotations

from django.urls import path

from approvals.views import answering, bulk, deciding, grants, keeping, pages

urlpatterns = [
    path("inbox/", pages.requests, name="inbox"),
    path("inbox/bulk/", bulk.decide, name="inbox-bulk"),
    path("inbox/grants/", grants.listed, name="grants"),
    path("inbox/grants/<str:public_id>/end/", grants.revoke, name="grant-revoke"),
    path("inbox/<str:public_id>/", pages.item, name="inbox-item"),
    path("inbox/<str:public_id>/decide/", deciding.decide, name="inbox-decide"),
    path("inbox/<str:public_id>/edit/", deciding.edit, name="inbox-edit"),
    path("inbox/<str:public_id>/withdraw/", deciding.withdraw, name="inbox-withdraw"),
    path("inbox/<str:public_id>/revoke/", deciding.revoke, name="inbox-revoke"),
    path("inbox/<str:public_id>/snooze/", keeping.snooze, name="inbox-snooze"),
    path("inbox/<str:public_id>/look/", keeping.look, name="inbox-look"),
    path("inbox/<str:public_id>/escalate/", keeping.escalate, name="inbox-escalate"),
    path("inbox/<str:public_id>/answer/", answering.answer, name="inbox-answer"),
    path("inbox/<str:public_id>/decline/", answering.decline, name="inbox-decline"),
    path("inbox/<str:public_id>/attend/", answering.attend, name="inbox-attend"),
    path("inbox/<str:public_id>/ask/", answering.ask_back, name="inbox-ask"),
    path("inbox/<str:public_id>/grant/", grants.offer, name="inbox-grant"),
    path("inbox/of/<str:public_id>/", pages.of_run, name="inbox-of"),
]
