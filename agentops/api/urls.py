"""Addresses of the REST API."""

from __future__ import annotations

from django.urls import include, path, re_path
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView
from rest_framework.exceptions import NotFound
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.views import APIView

from agentops.api.browser_tokens import BrowserTokens
from agentops.api.delegations import DelegationDetail, DelegationList
from agentops.api.info import Info
from agentops.api.tokens import PasswordDoor, TokenDetail, TokenList
from agentops.views import tryout


@extend_schema(exclude=True)
class NoSuchAddress(APIView):
    """Addresses nobody knows, answered in the form of all errors, whoever asks."""

    authentication_classes = ()
    permission_classes = [AllowAny]

    def initial(self, request: Request, *args: object, **kwargs: object) -> None:
        raise NotFound("There is nothing at this address. /api/v1/schema lists what there is.")


class Schema(SpectacularAPIView):
    """The OpenAPI document, for anybody who can reach us."""

    permission_classes = [AllowAny]


urlpatterns = [
    path("info", Info.as_view(), name="api-info"),
    path("try", tryout.page, name="api-try"),
    path("schema", Schema.as_view(), name="api-schema"),
    path("tokens", TokenList.as_view(), name="api-tokens"),
    path("tokens/<str:public_id>", TokenDetail.as_view(), name="api-token"),
    path("browser-tokens", BrowserTokens.as_view(), name="api-browser-tokens"),
    path("delegations", DelegationList.as_view(), name="api-delegations"),
    path("delegations/<str:public_id>", DelegationDetail.as_view(), name="api-delegation"),
    path("password", PasswordDoor.as_view(), name="api-password"),
    path("", include("runs.api.urls")),
    path("", include("approvals.api.urls")),
    path("", include("approvals.api.policy_urls")),
    # Whatever it is; a path converter stops at a line break.
    re_path("", NoSuchAddress.as_view()),
]
