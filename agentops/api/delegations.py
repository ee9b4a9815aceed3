"""Delegations over REST: a person lets a service act for them, and takes it back."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from agentops.accounts import delegations
from agentops.accounts.access import authorize_person
from agentops.accounts.actors import actor_of
from agentops.accounts.models import Delegation, User
from agentops.api.authentication import ConsoleSession, Password
from agentops.api.tokens import NEVER_KEPT, key_of
from runs.api.base import checked
from runs.serializers import BodySerializer, Number


class NewDelegationSerializer(BodySerializer):
    """Who shall act, and for how long."""

    service = serializers.CharField(max_length=150, help_text="Name of a service account.")
    days = Number(min_value=1 / 1440, max_value=delegations.LONGEST_DAYS, default=30)


class DelegationSerializer(serializers.ModelSerializer[Delegation]):
    """A delegation as lists show it."""

    id = serializers.CharField(source="public_id")
    service = serializers.CharField(source="service.username")

    class Meta:
        model = Delegation
        fields = ["id", "service", "created_at", "expires_at"]
        read_only_fields = fields


class GivenSerializer(DelegationSerializer):
    """A delegation that was just given."""

    on_behalf_of = serializers.CharField(
        help_text="The service sends it as X-On-Behalf-Of, with a token of its own."
    )

    class Meta(DelegationSerializer.Meta):
        fields = [*DelegationSerializer.Meta.fields, "on_behalf_of"]
        read_only_fields = fields


class DelegationPageSerializer(serializers.Serializer[Any]):
    """All delegations of a person."""

    items = DelegationSerializer(many=True)


class DelegationList(APIView):
    """What a person has delegated. Only they see and change it, in person."""

    keeps_keys = True

    authentication_classes = [ConsoleSession, Password]

    @extend_schema(operation_id="delegations_list", responses=DelegationPageSerializer)
    def get(self, request: Request) -> Response:
        """List whom you let act for you."""
        rows = delegations.given_by(person=_person(request))
        return Response(DelegationPageSerializer({"items": rows}).data)

    @extend_schema(
        operation_id="delegations_give",
        request=NewDelegationSerializer,
        responses={201: OpenApiResponse(GivenSerializer)},
    )
    def post(self, request: Request) -> Response:
        """Let a service act for you, with no more than both of you may."""
        person = _person(request)
        wanted = checked(NewDelegationSerializer, request.data)
        given = delegations.give(
            person=person, now=timezone.now(), idempotency_key=key_of(request), **wanted
        )
        shown = DelegationSerializer(given.delegation).data
        body = {**shown, "on_behalf_of": given.text}
        return Response(body, status=status.HTTP_201_CREATED, headers=NEVER_KEPT)


class DelegationDetail(APIView):
    """One delegation."""

    authentication_classes = [ConsoleSession, Password]

    @extend_schema(operation_id="delegations_take_back", responses={204: None})
    def delete(self, request: Request, public_id: str) -> Response:
        """Take a delegation back; it ends at once."""
        delegations.take_back(person=_person(request), public_id=public_id)
        return Response(status=status.HTTP_204_NO_CONTENT)


def _person(request: Request) -> User:
    caller = actor_of(request)
    authorize_person(caller)
    return caller.user
