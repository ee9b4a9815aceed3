"""Addresses of the REST API of policies, below ``/api/v1/``."""

from __future__ import annotations

from django.urls import path

from approvals.api.policies import (
    AgreeToProposal,
    LayerList,
    RefuseProposal,
    RevertVersion,
    SimulatePolicy,
    VersionDetail,
    VersionList,
)

_VERSION, _PROPOSAL = "policies/versions/<int:number>", "policies/proposals/<int:number>"
urlpatterns = [
    path("policies", LayerList.as_view(), name="api-policies"),
    path("policies/simulate", SimulatePolicy.as_view(), name="api-policies-simulate"),
    path("policies/versions", VersionList.as_view(), name="api-policy-versions"),
    path(_VERSION, VersionDetail.as_view(), name="api-policy-version"),
    path(f"{_VERSION}/revert", RevertVersion.as_view(), name="api-policy-revert"),
    path(f"{_PROPOSAL}/agree", AgreeToProposal.as_view(), name="api-policy-agree"),
    path(f"{_PROPOSAL}/refuse", RefuseProposal.as_view(), name="api-policy-refuse"),
]
