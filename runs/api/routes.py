"""Routes: which models are asked under which name."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from agentops.accounts.access import Action, NotFound, authorize
from agentops.accounts.actors import actor_of
from runs import standing


class CandidateSerializer(serializers.Serializer[Any]):
    """A model of a route, in the order in which they are asked."""

    endpoint = serializers.CharField()
    model = serializers.CharField()
    scripted = serializers.BooleanField(help_text="No model: answers come from the agent's script.")
    conditions = serializers.CharField(help_text="When it may be asked; empty: always.")
    asked_now = serializers.BooleanField(help_text="A short plain question would go here now.")
    why_not = serializers.CharField(help_text="Why another is asked; empty for the one asked.")


class RouteSerializer(serializers.Serializer[Any]):
    """A route as it stands."""

    name = serializers.CharField()
    version = serializers.IntegerField(help_text="0: comes with the product.")
    note = serializers.CharField()
    made_at = serializers.DateTimeField(allow_null=True)
    made_by = serializers.CharField(allow_null=True)
    fault = serializers.CharField(help_text="Why workers cannot read it; else empty.")
    candidates = CandidateSerializer(many=True)


class RouteListSerializer(serializers.Serializer[Any]):
    """All routes."""

    items = RouteSerializer(many=True)


class RouteList(APIView):
    """The routes of this installation, for operators and administrators."""

    @extend_schema(operation_id="routes_list", responses=RouteListSerializer)
    def get(self, request: Request) -> Response:
        """List the routes, who is asked now, and why the others are not."""
        authorize(actor_of(request), Action.OPERATE)
        known = standing.now(timezone.now())
        return Response(RouteListSerializer({"items": known.routes}).data)


class RouteDetail(APIView):
    """One route, for operators and administrators."""

    @extend_schema(operation_id="routes_read", responses=RouteSerializer)
    def get(self, request: Request, name: str) -> Response:
        """Read a route, who is asked now, and why the others are not."""
        authorize(actor_of(request), Action.OPERATE)
        found = standing.now(timezone.now()).route(name)
        if found is None:
            raise NotFound(f"There is no route {name[:80]}.")
        return Response(RouteSerializer(found).data)
