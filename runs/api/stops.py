"""The kill switch over REST."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from agentops.accounts.access import Action, authorize
from runs import halted, stops
from runs.api.base import RunView, checked
from runs.halted import LONGEST_REASON, LONGEST_TARGET
from runs.models import Stop, StopScope
from runs.serializers import BodySerializer

LIFTED_SHOWN = 50


class StopSerializer(serializers.Serializer[Any]):
    """A stop."""

    id = serializers.CharField(source="public_id")
    scope = serializers.ChoiceField(StopScope.choices)
    target = serializers.CharField(help_text="What it is about; empty for everything.")
    reason = serializers.CharField()
    by = serializers.CharField()
    thrown_at = serializers.DateTimeField()
    agreed_by = serializers.SerializerMethodField(
        help_text="Of a stop of everything: who agreed to lift it, while a second one is missing."
    )
    lifted_by = serializers.SerializerMethodField()
    lifted_reason = serializers.CharField()
    lifted_at = serializers.DateTimeField(allow_null=True, help_text="null: it holds.")

    def get_agreed_by(self, stop: Stop) -> str | None:
        """The first of two people, as long as their word counts."""
        half = stop.lifted_at is None and halted.has_first_word(stop)
        return stop.first_by.get_username() if half and stop.first_by else None

    def get_lifted_by(self, stop: Stop) -> str | None:
        """Who lifted it; of a stop of everything, the second of two people."""
        return stop.lifted_by.get_username() if stop.lifted_by else None


class StopsSerializer(serializers.Serializer[Any]):
    """The stops there are."""

    items = StopSerializer(many=True)


class ThrowSerializer(BodySerializer):
    """What to stop, and why."""

    scope = serializers.ChoiceField(StopScope.choices)
    target = serializers.CharField(
        max_length=LONGEST_TARGET, required=False, default="", allow_blank=True,
        help_text="A name, name@version, a user name or the id of a run; nothing for everything.",
    )  # fmt: skip
    reason = serializers.CharField(max_length=LONGEST_REASON)


class LiftSerializer(BodySerializer):
    """Why it may go on."""

    reason = serializers.CharField(max_length=LONGEST_REASON)


class StopList(RunView):
    """The stops that hold, and new ones."""

    @extend_schema(operation_id="stops_list", responses=StopsSerializer)
    def get(self, request: Request) -> Response:
        """List the stops that hold, and after them the last fifty that were lifted."""
        authorize(self.caller, Action.OPERATE)
        items = [*halted.holding(), *halted.lifted()[:LIFTED_SHOWN]]
        return Response(StopsSerializer({"items": items}).data)

    @extend_schema(
        operation_id="stops_throw",
        request=ThrowSerializer,
        responses={
            201: OpenApiResponse(StopSerializer, description="It holds from now on."),
            200: OpenApiResponse(StopSerializer, description="It held already."),
        },
    )
    def post(self, request: Request) -> Response:
        """Stop everything, an agent, one of its versions, a tool, a person's runs or a run.

        It holds when this answers: no worker claims such a run any more, and nothing begins a
        second later. What is under way ends.
        """
        authorize(self.caller, Action.OPERATE)
        said = checked(ThrowSerializer, request.data)
        thrown = stops.throw(actor=self.caller, **said)
        code = status.HTTP_201_CREATED if thrown.created else status.HTTP_200_OK
        return Response(StopSerializer(thrown.stop).data, status=code)


class StopDetail(RunView):
    """A stop."""

    @extend_schema(operation_id="stops_get", responses=StopSerializer)
    def get(self, request: Request, public_id: str) -> Response:
        """Read one stop."""
        authorize(self.caller, Action.OPERATE)
        return Response(StopSerializer(halted.get(public_id=public_id)).data)


class LiftStop(RunView):
    """The end of a stop."""

    @extend_schema(operation_id="stops_lift", request=LiftSerializer, responses=StopSerializer)
    def post(self, request: Request, public_id: str) -> Response:
        """Lift a stop. Only somebody who signed in may; of everything, two of them.

        The answer of the first has no lifted_at yet.
        """
        authorize(self.caller, Action.OPERATE)
        halted.get(public_id=public_id)
        said = checked(LiftSerializer, request.data)
        stop = stops.lift(actor=self.caller, public_id=public_id, reason=said["reason"])
        return Response(StopSerializer(stop).data)
