"""What the views of this API share."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request as HttpRequest
from rest_framework.response import Response
from rest_framework.settings import api_settings
from rest_framework.views import APIView

from agentops.accounts import stepup
from agentops.accounts.access import Actor
from agentops.accounts.actors import actor_of
from agentops.sdk.errors import AgentopsError
from approvals import queries
from approvals.models import Request, Risk
from runs.api.base import checked

__all__ = ["AskView", "SignInAgain", "be_sure", "checked"]


class SignInAgain(AgentopsError):
    """Much is at stake here: say once more who you are, then send it again."""

    code = "sign_in_again"


class AskView(APIView):
    """A view of what is asked of people."""

    @property
    def caller(self) -> Actor:
        """Who calls; the default permission has refused everybody else."""
        return actor_of(self.request)

    @property
    def pagination_class(self) -> Any:
        return api_settings.DEFAULT_PAGINATION_CLASS

    def found(self, public_id: str) -> Request:
        """The request, if the caller sees it. Raises NotFound."""
        return queries.get(public_id=public_id, viewer=self.caller)

    def page(self, request: HttpRequest, rows: Any, serializer: Any) -> Response:
        """A page of a list, newest first."""
        paginator = self.pagination_class()
        shown = serializer(paginator.paginate_queryset(rows, request, view=self), many=True).data
        answer: Response = paginator.get_paginated_response(shown)
        return answer


def be_sure(request: HttpRequest, about: Request) -> None:
    """Return if not much is at stake, or they gave a password a moment ago. Raises SignInAgain.

    Who comes with a token has none to give; that they decide nothing, the services say.
    """
    by_session = request.auth is None
    if about.risk == Risk.HIGH and by_session and not stepup.is_fresh(request._request):
        raise SignInAgain
