"""Bulk actions: one wish for many runs."""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import api_settings

from runs import bulk, queries
from runs.api.base import IDEMPOTENCY_KEY, RunView, checked, idempotency_key
from runs.api.bulk_serializers import (
    BulkActionSerializer,
    BulkItemPageSerializer,
    BulkItemQuerySerializer,
    BulkStartSerializer,
)
from runs.models import BulkVerb, Run
from runs.serializers import PageQuerySerializer


class BulkList(RunView):
    """The bulk actions the caller may see."""

    keeps_keys = True

    @property
    def pagination_class(self) -> Any:
        return api_settings.DEFAULT_PAGINATION_CLASS

    @extend_schema(
        operation_id="bulk_list", responses=BulkActionSerializer(many=True), filters=False
    )
    def get(self, request: Request) -> Response:
        """List bulk actions, newest first."""
        checked(PageQuerySerializer, request.query_params)
        paginator = self.pagination_class()
        page = paginator.paginate_queryset(bulk.visible(viewer=self.caller), request, view=self)
        shown = BulkActionSerializer(page, many=True).data
        answer: Response = paginator.get_paginated_response(shown)
        return answer

    @extend_schema(
        operation_id="bulk_start",
        parameters=[IDEMPOTENCY_KEY],
        request=BulkStartSerializer,
        responses={202: OpenApiResponse(BulkActionSerializer, description="Workers do it.")},
    )
    def post(self, request: Request) -> Response:
        """Ask that something is done to many runs; read how far it is at its address."""
        wanted = checked(BulkStartSerializer, request.data)
        named, filters = wanted.get("runs", []), wanted.get("filter", {})
        runs = (
            Run.objects.filter(public_id__in=[name.replace("\0", "") for name in named])
            if named
            else queries.list_runs(viewer=self.caller, **filters)
        )
        begun = bulk.start(
            actor=self.caller,
            verb=BulkVerb(wanted["action"]),
            runs=runs,
            said={"runs": named} if named else _said(request.data),
            note=wanted.get("note", ""),
            idempotency_key=idempotency_key(request),
        )
        return Response(
            BulkActionSerializer(begun.action).data,
            status=status.HTTP_202_ACCEPTED,
            headers={"Location": reverse("api:api-bulk-action", args=[begun.action.public_id])},
        )


class BulkDetail(RunView):
    """One bulk action."""

    @extend_schema(operation_id="bulk_read", responses=BulkActionSerializer)
    def get(self, request: Request, public_id: str) -> Response:
        """Read how far a bulk action is."""
        action = bulk.get(public_id=public_id, viewer=self.caller)
        return Response(BulkActionSerializer(action).data)


class BulkItems(RunView):
    """The runs of a bulk action."""

    @extend_schema(
        operation_id="bulk_items",
        parameters=[BulkItemQuerySerializer],
        responses=BulkItemPageSerializer,
    )
    def get(self, request: Request, public_id: str) -> Response:
        """List run by run what became of it."""
        action = bulk.get(public_id=public_id, viewer=self.caller)
        wanted = checked(BulkItemQuerySerializer, request.query_params)
        limit = wanted.pop("limit")
        rows = list(bulk.items(action=action, **wanted)[:limit])
        following = rows[-1].number if len(rows) == limit else None
        return Response(BulkItemPageSerializer({"items": rows, "next_after": following}).data)


class StopBulk(RunView):
    """The end of a bulk action."""

    @extend_schema(operation_id="bulk_stop", request=None, responses=BulkActionSerializer)
    def post(self, request: Request, public_id: str) -> Response:
        """Do no more of it; what is done stays done."""
        action = bulk.get(public_id=public_id, viewer=self.caller)
        return Response(BulkActionSerializer(bulk.stop(action=action, actor=self.caller)).data)


def _said(data: Any) -> dict[str, object]:
    """The filter in the words of the asker; the serializer has accepted it."""
    return dict(data["filter"])
