"""Starting, listing, reading and steering runs."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import api_settings

from agentops.accounts.access import Action, authorize_new
from agentops.sdk.catalog import catalog
from runs import queries, services
from runs.api.base import IDEMPOTENCY_KEY, RunView, checked, idempotency_key, shown
from runs.serializers import (
    AgentListSerializer,
    CancelSerializer,
    ForkSerializer,
    RunDetailSerializer,
    RunQuerySerializer,
    RunSerializer,
    SignalledSerializer,
    SignalSerializer,
    StartSerializer,
)

_STARTED = {
    201: OpenApiResponse(RunSerializer, description="It has been started."),
    200: OpenApiResponse(RunSerializer, description="It had been started with this key before."),
}


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
        responses=_STARTED,
    )
    def post(self, request: Request) -> Response:
        """Start a run."""
        authorize_new(self.caller)
        wanted = checked(StartSerializer, request.data)
        started = services.start_run(
            owner=self.caller.user,
            started_by=self.caller.name,
            idempotency_key=idempotency_key(request),
            **wanted,
        )
        return _started(started)


class RunDetail(RunView):
    """One run."""

    @extend_schema(operation_id="runs_read", responses=RunDetailSerializer)
    def get(self, request: Request, public_id: str) -> Response:
        """Read a run with its input, output and error."""
        run = self.run_for(Action.VIEW, public_id)
        payload = queries.payload(run=run)
        return Response({**shown(run), **vars(payload)})


class CancelRun(RunView):
    """The end of a run."""

    @extend_schema(operation_id="runs_cancel", request=CancelSerializer, responses=RunSerializer)
    def post(self, request: Request, public_id: str) -> Response:
        """Stop a run and everything it started. Stopping it again changes nothing."""
        run = self.run_for(Action.CONTROL, public_id)
        said = checked(CancelSerializer, request.data)
        stopped = services.cancel_run(
            run=run,
            actor=self.caller.name,
            by_operator=run.owner_id != self.caller.user.pk,
            **said,
        )
        return Response(shown(stopped))


class SignalRun(RunView):
    """Events for a run."""

    @extend_schema(
        operation_id="runs_signal", request=SignalSerializer, responses=SignalledSerializer
    )
    def post(self, request: Request, public_id: str) -> Response:
        """Send a named event to a run."""
        run = self.run_for(Action.RESPOND, public_id)
        said = checked(SignalSerializer, request.data)
        accepted = services.signal_run(run=run, sender=self.caller.name, **said)
        return Response({"accepted": accepted})


class ForkRun(RunView):
    """Runs that begin with another one's past."""

    @extend_schema(
        operation_id="runs_fork",
        parameters=[IDEMPOTENCY_KEY],
        request=ForkSerializer,
        responses=_STARTED,
    )
    def post(self, request: Request, public_id: str) -> Response:
        """Start a new run that begins with what this one had recorded up to an event."""
        run = self.run_for(Action.CONTROL, public_id)
        authorize_new(self.caller)
        wanted = checked(ForkSerializer, request.data)
        forked = services.fork_run(
            run=run,
            actor=self.caller.name,
            owner=self.caller.user,
            idempotency_key=idempotency_key(request),
            **wanted,
        )
        return _started(forked)


class ResumeRun(RunView):
    """Parked runs."""

    @extend_schema(operation_id="runs_resume", request=None, responses=RunSerializer)
    def post(self, request: Request, public_id: str) -> Response:
        """Let a run go on that was parked for a crash loop, changed code or a payload."""
        run = self.run_for(Action.OPERATE, public_id)
        return Response(shown(services.resume_run(run=run, actor=self.caller.name)))


def _started(started: services.Started) -> Response:
    made = status.HTTP_201_CREATED if started.created else status.HTTP_200_OK
    return Response(shown(started.run), status=made)
