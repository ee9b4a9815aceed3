"""Tokens over REST: made by somebody with a password or a session, shown once, taken away."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError as WeakPassword
from django.utils import timezone
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from agentops.accounts import passwords, tokens
from agentops.accounts.access import NotFound, authorize_person
from agentops.accounts.actors import actor_of
from agentops.accounts.models import LONGEST_NAME, ApiToken, User
from agentops.accounts.roles import USUAL_SCOPES, Scope
from agentops.accounts.tokens import LONGEST_DAYS
from agentops.api.authentication import (
    ConsoleSession,
    Password,
    SeenPassword,
    TokenAuthentication,
)
from runs.api.base import checked, idempotency_key
from runs.serializers import BodySerializer, Number
from runs.services import LONGEST_KEY

USUAL_DAYS = 90
NEVER_KEPT = {"Cache-Control": "no-store"}


class NewTokenSerializer(BodySerializer):
    """What a token shall be for."""

    name = serializers.CharField(max_length=LONGEST_NAME, help_text="What it is for.")
    scopes = serializers.ListField(
        child=serializers.ChoiceField([(scope, scope) for scope in Scope]),
        default=[scope.value for scope in USUAL_SCOPES],
        allow_empty=False,
        max_length=len(Scope),
    )
    days = Number(
        min_value=1 / 1440,
        max_value=LONGEST_DAYS,
        default=USUAL_DAYS,
        allow_null=True,
        help_text="How long it is valid; null: until it is revoked.",
    )


class TokenSerializer(serializers.ModelSerializer[ApiToken]):
    """A token as lists show it. What it says is shown once, when it is made."""

    id = serializers.CharField(source="public_id")
    prefix = serializers.CharField(source="token_key", help_text="How it begins.")
    scopes = serializers.ListField(
        child=serializers.ChoiceField([(scope, scope) for scope in Scope])
    )
    created_at = serializers.DateTimeField(source="created")
    expires_at = serializers.DateTimeField(source="expiry", allow_null=True)

    class Meta:
        model = ApiToken
        fields = ["id", "name", "prefix", "scopes", "created_at", "expires_at", "last_used_at"]
        read_only_fields = fields


class MadeTokenSerializer(TokenSerializer):
    """A token that was just made."""

    token = serializers.CharField(help_text="Send it as Authorization: Bearer. Never shown again.")

    class Meta(TokenSerializer.Meta):
        fields = [*TokenSerializer.Meta.fields, "token"]
        read_only_fields = fields


class TokenPageSerializer(serializers.Serializer[Any]):
    """All tokens; there are never many."""

    items = TokenSerializer(many=True)


class NewPasswordSerializer(BodySerializer):
    """A password of one's own."""

    new_password = serializers.CharField(max_length=4096, trim_whitespace=False)


class TokenList(APIView):
    """The tokens of whoever calls."""

    keeps_keys = True

    authentication_classes = [TokenAuthentication, ConsoleSession, Password]

    @extend_schema(operation_id="tokens_list", responses=TokenPageSerializer)
    def get(self, request: Request) -> Response:
        """List your tokens; a token sees itself alone."""
        return Response(TokenPageSerializer({"items": _visible(request)}).data)

    @extend_schema(
        operation_id="tokens_create",
        request=NewTokenSerializer,
        responses={201: OpenApiResponse(MadeTokenSerializer, description="It is shown once.")},
    )
    def post(self, request: Request) -> Response:
        """Make a token, with name and password or in a session; no token makes another."""
        caller = actor_of(request)
        authorize_person(caller)
        wanted = checked(NewTokenSerializer, request.data)
        days = wanted["days"]
        made = tokens.make_token(
            user=caller.user,
            made_by=caller.name,
            name=wanted["name"],
            scopes=[Scope(value) for value in wanted["scopes"]],
            expires_at=None if days is None else timezone.now() + timedelta(days=days),
            idempotency_key=key_of(request),
        )
        return shown_once(made)


class TokenDetail(APIView):
    """One token."""

    authentication_classes = [TokenAuthentication, ConsoleSession, Password]

    @extend_schema(operation_id="tokens_revoke", responses={204: None})
    def delete(self, request: Request, public_id: str) -> Response:
        """Revoke a token of yours; a token may revoke itself. What was made with it goes too."""
        caller = actor_of(request)
        if caller.token is not None and caller.token.public_id != public_id:
            raise NotFound("There is no such token; a token sees itself alone.")
        holder = caller.service or caller.user
        tokens.revoke_token(user=holder, public_id=public_id, revoked_by=caller.name)
        return Response(status=status.HTTP_204_NO_CONTENT)


class PasswordDoor(APIView):
    """The password of whoever calls. Nothing of such a request is kept, not even a hash."""

    keeps_keys = True

    authentication_classes = [SeenPassword]

    @extend_schema(
        operation_id="password_choose", request=NewPasswordSerializer, responses={204: None}
    )
    def post(self, request: Request) -> Response:
        """Choose a password of your own, with name and present password in the header."""
        caller = actor_of(request)
        authorize_person(caller)
        wanted = checked(NewPasswordSerializer, request.data)
        try:
            passwords.choose(user=caller.user, password=wanted["new_password"])
        except WeakPassword as weak:
            raise ValidationError({"new_password": weak.messages}) from weak
        return Response(status=status.HTTP_204_NO_CONTENT)


def key_of(request: Request) -> str | None:
    """The caller's Idempotency-Key, if it can be one. Raises ValidationError."""
    key = idempotency_key(request)
    if key is not None and not (0 < len(key) <= LONGEST_KEY and key.isprintable()):
        said = f"A key has 1 to {LONGEST_KEY} printable characters."
        raise ValidationError({"Idempotency-Key": [said]})
    return key


def shown_once(made: tokens.Made) -> Response:
    """The answer with a new token and its text, which nobody on the way may keep."""
    body = {**TokenSerializer(made.token).data, "token": made.secret}
    return Response(body, status=status.HTTP_201_CREATED, headers=NEVER_KEPT)


def _visible(request: Request) -> list[ApiToken]:
    caller = actor_of(request)
    if caller.token is not None:
        return [caller.token]
    user: User = caller.user
    return list(tokens.tokens_of(user=user))
