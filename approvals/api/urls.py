"""Addresses of the REST API of requests to people, below ``/api/v1/``."""

from __future__ import annotations

from django.urls import path

from approvals.api.deciding import (
    AnswerQuestion,
    AskBack,
    DecideRequest,
    DecideSeveral,
    DeclineQuestion,
    RevokeApproval,
    WithdrawWord,
)
from approvals.api.looking import AcknowledgeRequest, EscalateRequest, GiveBackRequest
from approvals.api.requests import RequestCount, RequestDetail, RequestList
from approvals.api.standing import (
    DeputyList,
    EndDeputy,
    GrantList,
    OffersOfRequest,
    RevokeGrant,
)

_ONE = "approvals/<str:public_id>"
urlpatterns = [
    path("approvals", RequestList.as_view(), name="api-approvals"),
    path("approvals/count", RequestCount.as_view(), name="api-approvals-count"),
    path("approvals/decide", DecideSeveral.as_view(), name="api-approvals-decide"),
    path(_ONE, RequestDetail.as_view(), name="api-approval"),
    path(f"{_ONE}/decide", DecideRequest.as_view(), name="api-approval-decide"),
    path(f"{_ONE}/withdraw", WithdrawWord.as_view(), name="api-approval-withdraw"),
    path(f"{_ONE}/revoke", RevokeApproval.as_view(), name="api-approval-revoke"),
    path(f"{_ONE}/ask-back", AskBack.as_view(), name="api-approval-ask-back"),
    path(f"{_ONE}/acknowledge", AcknowledgeRequest.as_view(), name="api-approval-acknowledge"),
    path(f"{_ONE}/give-back", GiveBackRequest.as_view(), name="api-approval-give-back"),
    path(f"{_ONE}/escalate", EscalateRequest.as_view(), name="api-approval-escalate"),
    path(f"{_ONE}/answer", AnswerQuestion.as_view(), name="api-approval-answer"),
    path(f"{_ONE}/decline", DeclineQuestion.as_view(), name="api-approval-decline"),
    path(f"{_ONE}/grants", OffersOfRequest.as_view(), name="api-approval-grants"),
    path("grants", GrantList.as_view(), name="api-grants"),
    path("grants/<str:public_id>/revoke", RevokeGrant.as_view(), name="api-grant-revoke"),
    path("deputies", DeputyList.as_view(), name="api-deputies"),
    path("deputies/<int:number>/end", EndDeputy.as_view(), name="api-deputy-end"),
]
