"""Reading what waits for people, or was decided."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, Min, Q
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request as HttpRequest
from rest_framework.response import Response

from approvals import queries
from approvals.api.base import AskView, checked
from approvals.api.serializers import (
    CountSerializer,
    RequestQuerySerializer,
    RequestSerializer,
    WholeRequestSerializer,
)
from approvals.models import Kind, Request, Risk, State

_COLUMNS = {"tool": "name", "run": "run_public_id"}


def brief(request: Request) -> Response:
    """Where the request stands now."""
    people = Request.objects.select_related("owner", "team", "decided_by")
    return Response(RequestSerializer(people.get(pk=request.pk)).data)


def whole(request: Request, view: AskView) -> Response:
    """The request as it stands now, as its reader may see it."""
    fresh = Request.objects.select_related("owner", "team", "decided_by").get(pk=request.pk)
    return Response(WholeRequestSerializer(fresh, context={"viewer": view.caller}).data)


class RequestList(AskView):
    """The requests the caller may see."""

    @extend_schema(
        operation_id="approvals_list",
        parameters=[RequestQuerySerializer],
        responses=RequestSerializer(many=True),
        filters=False,
    )
    def get(self, request: HttpRequest) -> Response:
        """List requests, newest first."""
        wanted: dict[str, Any] = checked(RequestQuerySerializer, request.query_params)
        named = {_COLUMNS.get(name, name): value for name, value in wanted.items() if value}
        if "tool" in wanted:
            named["kind"] = Kind.APPROVAL
        rows = queries.visible(self.caller).filter(**named)
        rows = rows.select_related("owner", "team", "decided_by").order_by("-created_at", "-id")
        return self.page(request, rows, RequestSerializer)


class RequestCount(AskView):
    """How much waits."""

    @extend_schema(operation_id="approvals_count", responses=CountSerializer)
    def get(self, request: HttpRequest) -> Response:
        """Count what waits for people among what you may see."""
        pending = queries.visible(self.caller).filter(state=State.PENDING)
        found = pending.order_by().aggregate(
            pending=Count("pk"),
            approvals=Count("pk", filter=Q(kind=Kind.APPROVAL)),
            questions=Count("pk", filter=Q(kind=Kind.QUESTION)),
            attention=Count("pk", filter=Q(kind=Kind.ATTENTION)),
            high_risk=Count("pk", filter=Q(kind=Kind.APPROVAL, risk=Risk.HIGH)),
            next_deadline=Min("decide_by"),
        )
        return Response(CountSerializer(found).data)


class RequestDetail(AskView):
    """One request."""

    @extend_schema(operation_id="approvals_read", responses=WholeRequestSerializer)
    def get(self, request: HttpRequest, public_id: str) -> Response:
        """Read a request: the exact action or the form, who said what, and what was recorded."""
        return whole(self.found(public_id), self)
