"""Runs that a person does by hand for a while."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agentops.accounts.access import Action
from runs import takeovers
from runs.api.base import RunView, checked, shown
from runs.serializers import AnyValue, BodySerializer, RunSerializer
from runs.takeovers import MOST_MINUTES, USUAL_MINUTES


class TakeOverSerializer(serializers.Serializer[Any]):
    """Who has a run in hand, and until when at the latest."""

    run = serializers.CharField(source="run.public_id")
    person = serializers.CharField(source="person.username")
    since = serializers.DateTimeField()
    until = serializers.DateTimeField()


class TakeSerializer(BodySerializer):
    """For how long."""

    minutes = serializers.IntegerField(
        min_value=1, max_value=MOST_MINUTES, required=False, default=USUAL_MINUTES
    )


class SupplySerializer(BodySerializer):
    """The result of a step, as its tool would return it."""

    result = AnyValue()


class TakeRun(RunView):
    """Runs taken over by a person."""

    @extend_schema(
        operation_id="runs_take_over", request=TakeSerializer, responses=TakeOverSerializer
    )
    def post(self, request: Request, public_id: str) -> Response:
        """Take a run over: it pauses, and nobody else moves it. Signed in only.

        Taken over again by the same person it is theirs for longer.
        """
        run = self.run_for(Action.OPERATE, public_id)
        minutes = checked(TakeSerializer, request.data)["minutes"]
        taken = takeovers.take(run=run, actor=self.caller, minutes=minutes)
        return Response(TakeOverSerializer(taken).data)


class HandBackRun(RunView):
    """The end of a take-over."""

    @extend_schema(operation_id="runs_hand_back", request=None, responses=RunSerializer)
    def post(self, request: Request, public_id: str) -> Response:
        """Hand a run back; it goes on from where it is."""
        run = self.run_for(Action.OPERATE, public_id)
        return Response(shown(takeovers.hand_back(run=run, actor=self.caller)))


class SupplyStep(RunView):
    """Results that a person got by hand."""

    @extend_schema(operation_id="steps_supply", request=SupplySerializer, responses=RunSerializer)
    def post(self, request: Request, public_id: str, key: str) -> Response:
        """Give a step of a run you took over its result; it is not done any more.

        The run goes on with it once you hand it back. The first result counts.
        """
        run = self.run_for(Action.OPERATE, public_id)
        said = checked(SupplySerializer, request.data)
        after = takeovers.supply(run=run, actor=self.caller, key=key, result=said["result"])
        return Response(shown(after))
