"""Descriptions of tools of servers, and the answer of an operator."""

from __future__ import annotations

import json
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agentops.accounts.access import Action, authorize
from runs import pins
from runs.api.base import RunView, checked
from runs.pins import Answer, Described
from runs.serializers import BodySerializer


class ToolSerializer(serializers.Serializer[Any]):
    """A tool of a server."""

    server = serializers.CharField(source="pin.server")
    tool = serializers.CharField(source="pin.tool")
    state = serializers.ChoiceField(["changed", "new", "refused", "accepted"])
    digest = serializers.CharField(help_text="Of the description to decide about; may be empty.")
    accepted_digest = serializers.CharField(source="pin.accepted_digest")
    accepted_by = serializers.CharField(source="pin.accepted_by")
    accepted = serializers.SerializerMethodField()
    offered = serializers.SerializerMethodField()
    since = serializers.DateTimeField(allow_null=True)
    runs_waiting = serializers.IntegerField()

    def get_accepted(self, it: Described) -> dict[str, Any]:
        """What agents are told of it."""
        return dict(json.loads(it.pin.accepted))

    def get_offered(self, it: Described) -> dict[str, Any]:
        """What the server says instead."""
        return dict(json.loads(it.pin.offered))


class ToolsSerializer(serializers.Serializer[Any]):
    """The tools there are."""

    items = ToolSerializer(many=True)


class DecideSerializer(BodySerializer):
    """The answer, and to which description."""

    digest = serializers.RegexField(r"^[0-9a-f]{64}$", help_text="Of the description you read.")
    answer = serializers.ChoiceField([answer.value for answer in Answer])


class ToolList(RunView):
    """The tools of servers."""

    @extend_schema(operation_id="tools_list", responses=ToolsSerializer)
    def get(self, request: Request) -> Response:
        """List the tools servers offer; those first whose description waits for an answer."""
        authorize(self.caller, Action.OPERATE)
        return Response(ToolsSerializer({"items": pins.described()}).data)


class DecideTool(RunView):
    """A tool whose description waits for an answer."""

    @extend_schema(operation_id="tools_decide", request=DecideSerializer, responses=ToolSerializer)
    def post(self, request: Request, server: str, tool: str) -> Response:
        """Accept a description or refuse it; the runs that wait for the answer go on."""
        authorize(self.caller, Action.OPERATE)
        pins.require(server=server, tool=tool)
        said = checked(DecideSerializer, request.data)
        answer = Answer(said["answer"])
        decided = pins.decide(
            server=server, tool=tool, digest=said["digest"], answer=answer, actor=self.caller.name
        )
        return Response(ToolSerializer(decided).data)
