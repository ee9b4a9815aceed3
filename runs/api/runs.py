"""Starting, listing, reading and steering runs."""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import api_settings

from agentops.accounts.access import Action, authorize_new
from agentops.sdk.catalog import catalog
from runs import queries, services, waiting
from runs.api.base import (
    IDEMPOTENCY_KEY,
    STARTED,
    RunView,
    checked,
    idempotency_key,
    shown,
    started_answer,
    traceparent,
    wanted_run,
)
from runs.api.filter_serializers import RunQuerySerializer, SearchSerializer
from runs.serializers import (
    AgentListSerializer,
    AgentSerializer,
    BatchSerializer,
    RunDetailSerializer,
    RunItemsSerializer,
    RunPageSerializer,
    RunSerializer,
    StartSerializer,
    WaitSerializer,
)


class AgentList(RunView):
    """The agents that can be started."""

    @extend_schema(operation_id="agents_list", responses=AgentListSerializer)
    def get(self, request: Request) -> Response:
        """List the agents with the schemas of their inputs."""
        return Response(AgentListSerializer({"items": catalog().agents()}).data)


class AgentDetail(RunView):
    """One agent."""

    @extend_schema(operation_id="agents_read", responses=AgentSerializer)
    def get(self, request: Request, name: str) -> Response:
        """Read an agent with the schema of its input. Of one nobody knows, the nearest names."""
        return Response(AgentSerializer(catalog().agent(name)).data)


class RunList(RunView):
    """All runs the caller may see."""

    keeps_keys = True

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
        page = paginator.paginate_queryset(queries.with_names(runs), request, view=self)
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
            traceparent=traceparent(request),
            **wanted,
        )
        return started_answer(started)


class SearchRuns(RunView):
    """The list of runs, for filters that do not fit into an address."""

    changes_nothing = True

    @property
    def pagination_class(self) -> Any:
        return api_settings.DEFAULT_PAGINATION_CLASS

    @extend_schema(
        operation_id="runs_search",
        request=SearchSerializer,
        parameters=[
            OpenApiParameter("cursor", str, description="From next_cursor or previous_cursor."),
            OpenApiParameter("limit", {"type": "integer", "minimum": 1, "maximum": 200}),
        ],
        responses=RunPageSerializer,
    )
    def post(self, request: Request) -> Response:
        """List the runs that match, newest first; cursor and limit stand in the address."""
        filters = checked(SearchSerializer, request.data)
        paginator = self.pagination_class()
        runs = queries.list_runs(viewer=self.caller, **filters)
        page = paginator.paginate_queryset(queries.with_names(runs), request, view=self)
        answer: Response = paginator.get_paginated_response(RunSerializer(page, many=True).data)
        return answer


class StartBatch(RunView):
    """Many starts at once."""

    keeps_keys = True

    @extend_schema(
        operation_id="runs_batch",
        parameters=[IDEMPOTENCY_KEY],
        request=BatchSerializer,
        responses={
            201: OpenApiResponse(RunItemsSerializer, description="They have been started."),
            200: OpenApiResponse(
                RunItemsSerializer, description="They had been started with this key before."
            ),
        },
    )
    def post(self, request: Request) -> Response:
        """Start many runs, all or none."""
        authorize_new(self.caller)
        wanted = checked(BatchSerializer, request.data)
        started = services.start_runs(
            owner=self.caller.user,
            started_by=self.caller.name,
            idempotency_key=idempotency_key(request),
            traceparent=traceparent(request),
            runs=[wanted_run(one) for one in wanted["runs"]],
        )
        made = status.HTTP_201_CREATED if started[0].created else status.HTTP_200_OK
        return Response(RunItemsSerializer({"items": [s.run for s in started]}).data, status=made)


class StartAndWait(RunView):
    """A start and its result in one request."""

    keeps_keys = True

    @extend_schema(
        operation_id="runs_wait",
        parameters=[IDEMPOTENCY_KEY],
        request=WaitSerializer,
        responses={
            200: OpenApiResponse(RunDetailSerializer, description="It has ended."),
            202: OpenApiResponse(
                RunDetailSerializer, description="It goes on; read it at `Location`."
            ),
        },
    )
    def post(self, request: Request) -> Response:
        """Start a run and wait for its end."""
        authorize_new(self.caller)
        wanted = wanted_run(checked(WaitSerializer, request.data))
        seconds = wanted.pop("wait_seconds")
        started = services.start_run(
            owner=self.caller.user,
            started_by=self.caller.name,
            idempotency_key=idempotency_key(request),
            traceparent=traceparent(request),
            **wanted,
        )
        waiting.until_ended(started.run.pk, seconds=seconds)
        run = self.run_for(Action.VIEW, started.run.public_id)
        shown_now = {**shown(run), **vars(queries.payload(run=run))}
        if run.is_final:
            return Response(shown_now)
        place = reverse("api:api-run", args=[run.public_id])
        return Response(
            shown_now,
            status=status.HTTP_202_ACCEPTED,
            headers={"Location": place, "Retry-After": "1"},
        )


class RunDetail(RunView):
    """One run."""

    @extend_schema(operation_id="runs_read", responses=RunDetailSerializer)
    def get(self, request: Request, public_id: str) -> Response:
        """Read a run with its input, output and error."""
        run = self.run_for(Action.VIEW, public_id)
        payload = queries.payload(run=run)
        return Response({**shown(run), **vars(payload)})
