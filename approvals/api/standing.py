"""Standing grants and deputies."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request as HttpRequest
from rest_framework.response import Response

from agentops.accounts.access import authorize_person
from approvals import deputies, grants
from approvals.api.base import AskView, be_sure, checked
from approvals.api.serializers import NAMED
from approvals.grants import SCOPES, Wish
from approvals.models import Deputy, Grant
from runs.serializers import BodySerializer, PageQuerySerializer


class GrantSerializer(serializers.ModelSerializer[Grant]):
    """A standing permission."""

    id = serializers.CharField(source="public_id")
    run = serializers.CharField(source="run.public_id", **NAMED)
    owner = serializers.CharField(source="owner.username", **NAMED)
    team = serializers.CharField(source="team.name", **NAMED)
    is_exact = serializers.SerializerMethodField(help_text="Covers one very action alone.")
    issued_by = serializers.CharField(source="issued_by.username")
    revoked_by = serializers.CharField(source="revoked_by.username", **NAMED)

    def get_is_exact(self, grant: Grant) -> bool:
        return grant.action is not None

    class Meta:
        model = Grant
        fields = [
            "id", "tool", "agent", "agent_version", "run", "owner", "team", "when", "is_exact",
            "max_uses", "uses", "sum_of", "sum_limit", "sum_used", "issued_by", "created_at",
            "expires_at", "revoked_at", "revoked_by",
        ]  # fmt: skip
        read_only_fields = fields


class OfferSerializer(serializers.Serializer[Any]):
    """Something that could be allowed from here on."""

    offer = serializers.CharField(source="token", help_text="Send it to choose this one.")
    title = serializers.CharField()
    when = serializers.CharField(help_text="A condition on the arguments, in CEL.")
    exact = serializers.BooleanField()
    sums = serializers.ListField(child=serializers.CharField())


class OffersSerializer(serializers.Serializer[Any]):
    """What could be allowed, narrowest first."""

    items = OfferSerializer(many=True)
    why_none = serializers.CharField()


class WishSerializer(BodySerializer):
    """The permission to give: one that is offered, or a bound of one's own in ``when``."""

    offer = serializers.CharField(required=False, max_length=64)
    when = serializers.CharField(required=False, max_length=2048)
    covers = serializers.ChoiceField(
        SCOPES, source="scope", required=False, help_text="Calls of whom; of this run, if not said."
    )
    hours = serializers.FloatField(required=False, min_value=0, max_value=10_000)
    max_uses = serializers.IntegerField(required=False, allow_null=True, min_value=1)
    sum_of = serializers.CharField(required=False, max_length=200)
    sum_limit = serializers.DecimalField(20, 6, required=False, allow_null=True)


class OffersOfRequest(AskView):
    """What could be allowed instead of asking again."""

    @extend_schema(operation_id="approvals_offers", responses=OffersSerializer)
    def get(self, request: HttpRequest, public_id: str) -> Response:
        """List what could be allowed from this request on, narrowest first."""
        found = self.found(public_id)
        offered = {"items": grants.offer(found), "why_none": grants.why_none(found)}
        return Response(OffersSerializer(offered).data)

    @extend_schema(
        operation_id="approvals_grant",
        request=WishSerializer,
        responses={201: OpenApiResponse(GrantSerializer, description="It holds from now on.")},
    )
    def post(self, request: HttpRequest, public_id: str) -> Response:
        """Allow calls like this one for a while, without asking."""
        found = self.found(public_id)
        authorize_person(self.caller)
        said = checked(WishSerializer, request.data)
        be_sure(request, found)
        made = grants.issue(request=found, actor=self.caller, wish=Wish(**said))
        return Response(GrantSerializer(made).data, status=status.HTTP_201_CREATED)


class GrantList(AskView):
    """The standing permissions the caller may see."""

    @extend_schema(operation_id="grants_list", responses=GrantSerializer(many=True), filters=False)
    def get(self, request: HttpRequest) -> Response:
        """List standing permissions, newest first."""
        checked(PageQuerySerializer, request.query_params)
        return self.page(request, grants.visible(self.caller), GrantSerializer)


class RevokeGrant(AskView):
    """The end of a standing permission."""

    @extend_schema(operation_id="grants_revoke", request=None, responses=GrantSerializer)
    def post(self, request: HttpRequest, public_id: str) -> Response:
        """End a standing permission now. Ending it again changes nothing."""
        return Response(GrantSerializer(grants.revoke(actor=self.caller, public_id=public_id)).data)


class DeputySerializer(serializers.ModelSerializer[Deputy]):
    """Somebody who decides in the place of another for a while."""

    id = serializers.IntegerField(source="pk")
    person = serializers.CharField(source="person.username")
    deputy = serializers.CharField(source="deputy.username")
    tools = serializers.ListField(child=serializers.CharField(), help_text="None: all tools.")

    class Meta:
        model = Deputy
        fields = ["id", "person", "deputy", "tools", "begins_at", "ends_at", "ended_at"]
        read_only_fields = fields


class AppointSerializer(BodySerializer):
    """Who decides in your place, about what, and how long."""

    deputy = serializers.CharField(max_length=150)
    tools = serializers.ListField(
        child=serializers.CharField(max_length=200), required=False, max_length=50
    )
    begins_at = serializers.DateTimeField(required=False)
    ends_at = serializers.DateTimeField()


class DeputyList(AskView):
    """The deputies that concern the caller."""

    @extend_schema(
        operation_id="deputies_list", responses=DeputySerializer(many=True), filters=False
    )
    def get(self, request: HttpRequest) -> Response:
        """List who decides in whose place, newest first: yours, and for whom you stand in."""
        checked(PageQuerySerializer, request.query_params)
        return self.page(request, deputies.visible(self.caller), DeputySerializer)

    @extend_schema(
        operation_id="deputies_appoint",
        request=AppointSerializer,
        responses={201: OpenApiResponse(DeputySerializer, description="They may, from then on.")},
    )
    def post(self, request: HttpRequest) -> Response:
        """Let another approver decide in your place for a while."""
        authorize_person(self.caller)
        said = {"begins_at": timezone.now(), **checked(AppointSerializer, request.data)}
        made = deputies.appoint(actor=self.caller, **said)
        return Response(DeputySerializer(made).data, status=status.HTTP_201_CREATED)


class EndDeputy(AskView):
    """The end of standing in."""

    @extend_schema(operation_id="deputies_end", request=None, responses=DeputySerializer)
    def post(self, request: HttpRequest, number: int) -> Response:
        """Take it back, or give it back, now. Doing it again changes nothing."""
        return Response(DeputySerializer(deputies.end(actor=self.caller, pk=number)).data)
