"""Addresses of the inbox."""

from __future__ import annotations

from django.urls import path

from approvals.views import pages

urlpatterns = [
    path("inbox/", pages.requests, name="inbox"),
    path("inbox/<str:public_id>/", pages.item, name="inbox-item"),
    path("inbox/of/<str:public_id>/", pages.of_run, name="inbox-of"),
]
