"""Starting, listing, reading and steering runs."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import api_settings

from agentops.accounts.access import Action, authorize_new
from agentops.sdk.catalog import catalog
from runs import queries, services
from runs.api.base import (
    IDEMPOTENCY_KEY,
    STARTED,
    RunView,
    checked,
    idempotency_key,
    shown,
    started_answer,
    wanted_run,
)
from runs.serializers import (
    AgentListSerializer,
    RunDetailSerializer,
    RunQuerySerializer,
    RunSerializer,
    StartSerializer,
)


class AgentList(RunView):
    """The agents that can be started."""

    @extend_schema(operation_id="agents_list", responses=AgentListSerializer)
    def get(self, request: Request) -> Response:
        """List the agents with the schemas of their inputs."""
        return Response(AgentListSerializer({"items": catalog().agents()}).data)


class RunList(RunView):
    """All runs the caller may see."""

    @property
    def pagination_class(self) -> Any:
        return api_settings.DEFAULT_PAGINATION_CLASS

    @extend_schema(
        operation_id="runs_list",
        parameters=[RunQuerySerializer],
        responses=RunSerializer(many=True),
        filters=False,
    )
    def get(self, request: Request) -> Response:
        """List runs, newest first."""
        filters = checked(RunQuerySerializer, request.query_params)
        runs = queries.list_runs(viewer=self.caller, **filters)
        paginator = self.pagination_class()
        page = paginator.paginate_queryset(
            runs.select_related("parent", "forked_from"), request, view=self
        )
        answer: Response = paginator.get_paginated_response(RunSerializer(page, many=True).data)
        return answer

    @extend_schema(
        operation_id="runs_start",
        parameters=[IDEMPOTENCY_KEY],
        request=StartSerializer,
        responses=STARTED,
    )
    def post(self, request: Request) -> Response:
        """Start a run."""
        authorize_new(self.caller)
        wanted = wanted_run(checked(StartSerializer, request.data))
        started = services.start_run(
            owner=self.caller.user,
            started_by=self.caller.name,
            idempotency_key=idempotency_key(request),
            **wanted,
        )
        return started_answer(started)


class RunDetail(RunView):
    """One run."""

    @extend_schema(operation_id="runs_read", responses=RunDetailSerializer)
    def get(self, request: Request, public_id: str) -> Response:
        """Read a run with its input, output and error."""
        run = self.run_for(Action.VIEW, public_id)
        payload = queries.payload(run=run)
        return Response({**shown(run), **vars(payload)})
