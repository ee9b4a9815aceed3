"""Who looks after a request, and who is told next. Only a session of the console says so."""

from __future__ import annotations

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request as HttpRequest
from rest_framework.response import Response

from approvals import acknowledging
from approvals.api.base import AskView
from approvals.api.requests import whole
from approvals.api.serializers import WholeRequestSerializer


class AcknowledgeRequest(AskView):
    """Somebody looks after it."""

    @extend_schema(
        operation_id="approvals_acknowledge", request=None, responses=WholeRequestSerializer
    )
    def post(self, request: HttpRequest, public_id: str) -> Response:
        """Take it up: nobody else is told. Its deadline stays."""
        found = self.found(public_id)
        acknowledging.acknowledge(request=found, actor=self.caller, now=timezone.now())
        return whole(found, self)


class GiveBackRequest(AskView):
    """Nobody looks after it."""

    @extend_schema(
        operation_id="approvals_give_back", request=None, responses=WholeRequestSerializer
    )
    def post(self, request: HttpRequest, public_id: str) -> Response:
        """Give it back: the next people of its chain are told at once."""
        found = self.found(public_id)
        acknowledging.give_back(request=found, actor=self.caller, now=timezone.now())
        return whole(found, self)


class EscalateRequest(AskView):
    """More people are told."""

    @extend_schema(
        operation_id="approvals_escalate", request=None, responses=WholeRequestSerializer
    )
    def post(self, request: HttpRequest, public_id: str) -> Response:
        """Have the next people of its chain told now. Nothing is decided by it."""
        found = self.found(public_id)
        acknowledging.hurry(request=found, actor=self.caller, now=timezone.now())
        return whole(found, self)
