"""What the views of this API share."""

from __future__ import annotations

from typing import Any, TypeVar, cast

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from agentops.accounts.access import Action, Actor
from agentops.accounts.actors import actor_of
from runs import queries, services
from runs.labels import Labels
from runs.models import Run
from runs.serializers import RunSerializer

IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": 255},
    OpenApiParameter.HEADER,
    description="Sent again with this key and the same body, the request does nothing twice.",
)
STARTED = {
    201: OpenApiResponse(RunSerializer, description="It has been started."),
    200: OpenApiResponse(RunSerializer, description="It had been started with this key before."),
}
S = TypeVar("S", bound=Serializer[Any])


class RunView(APIView):
    """A view of one run, or of all that the caller may see."""

    @property
    def caller(self) -> Actor:
        """Who calls; the default permission has refused everybody else."""
        return actor_of(self.request)

    def run_for(self, action: Action, public_id: str) -> Run:
        """The run, if the caller may do this with it. Raises NotFound."""
        return queries.get_run(public_id=public_id, viewer=self.caller, action=action)


def checked(kind: type[Serializer[Any]], data: object) -> dict[str, Any]:
    """The data as ``kind`` reads it. Raises ValidationError."""
    serializer = kind(data=data)
    serializer.is_valid(raise_exception=True)
    return cast("dict[str, Any]", serializer.validated_data)


def idempotency_key(request: Request) -> str | None:
    """The caller's key for this request."""
    return request.headers.get("Idempotency-Key")


def traceparent(request: Request) -> str | None:
    """Our place in the caller's trace."""
    return request.META.get("HTTP_TRACEPARENT")


def shown(run: Run) -> dict[str, Any]:
    """A run as the API shows it."""
    return cast("dict[str, Any]", RunSerializer(run).data)


def wanted_run(said: dict[str, Any]) -> dict[str, Any]:
    """What a request says of a run to start, as the service takes it."""
    labels = Labels(
        tags=said.pop("tags", ()),
        metadata=said.pop("metadata", {}),
        external_id=said.pop("external_id", None),
    )
    return {**said, "labels": labels}


def started_answer(started: services.Started) -> Response:
    """201 with a run that this request started, 200 with one that an earlier one did."""
    made = status.HTTP_201_CREATED if started.created else status.HTTP_200_OK
    return Response(shown(started.run), status=made)
