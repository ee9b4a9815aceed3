"""Tokens for browsers: a quarter of an hour, for named things only, minted by an app's server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from agentops.accounts import tokens
from agentops.accounts.access import TAG, Action, Actor, Forbidden
from agentops.accounts.actors import actor_of
from agentops.accounts.roles import Scope
from agentops.api.tokens import MadeTokenSerializer, key_of, shown_once
from runs import dialogue, queries
from runs.api.base import checked
from runs.serializers import BodySerializer

MOST = 50
_MAY = {
    "read": (Scope.RUNS_READ,),
    "respond": (Scope.RUNS_READ, Scope.RUNS_RESPOND),
}


class BrowserTokenSerializer(BodySerializer):
    """What a browser shall be able to open."""

    runs = serializers.ListField(
        child=serializers.CharField(max_length=40), default=list, max_length=MOST
    )
    conversations = serializers.ListField(
        child=serializers.CharField(max_length=40),
        default=list,
        max_length=MOST,
        help_text="A conversation, its messages and all its runs, also those to come.",
    )
    tags = serializers.ListField(
        child=serializers.CharField(max_length=64, allow_blank=False),
        default=list,
        max_length=MOST,
        help_text="All runs with one of these tags that you may see, also those to come.",
    )
    may = serializers.ChoiceField([(word, word) for word in _MAY], default="read")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """A token that opens nothing is a mistake."""
        if not (attrs["runs"] or attrs["conversations"] or attrs["tags"]):
            raise serializers.ValidationError("Name at least one of runs, conversations and tags.")
        return attrs


class BrowserTokens(APIView):
    """What an app hands to the browsers of its users."""

    keeps_keys = True

    @extend_schema(
        operation_id="browser_tokens_create",
        request=BrowserTokenSerializer,
        responses={201: OpenApiResponse(MadeTokenSerializer, description="It is shown once.")},
    )
    def post(self, request: Request) -> Response:
        """Make a token for a browser, of less than what you may do yourself."""
        caller = actor_of(request)
        wanted = checked(BrowserTokenSerializer, request.data)
        _refuse_more_than_theirs(caller, wanted["may"])
        made = tokens.make_browser_token(
            actor=caller,
            opens=list(_opened(caller, wanted)),
            scopes=_MAY[wanted["may"]],
            now=timezone.now(),
            idempotency_key=key_of(request),
        )
        return shown_once(made)


def _refuse_more_than_theirs(caller: Actor, may: str) -> None:
    if caller.only is not None:
        raise Forbidden("A browser's token makes no other. Ask the server of your app for one.")
    if not caller.token_allows(Action.VIEW):
        raise Forbidden("This token may not be used to view.")
    if may == "respond" and not caller.token_allows(Action.RESPOND):
        raise Forbidden("This token may not be used to respond.")


def _opened(caller: Actor, wanted: dict[str, Any]) -> Iterator[str]:
    """The names it opens. Raises NotFound for what the caller may not see themselves."""
    action = Action.RESPOND if wanted["may"] == "respond" else Action.VIEW
    for public_id in wanted["runs"]:
        yield queries.get_run(public_id=public_id, viewer=caller, action=action).public_id
    for public_id in wanted["conversations"]:
        found = dialogue.conversation(public_id=public_id, viewer=caller, action=action)
        yield found.public_id
    for tag in wanted["tags"]:
        yield f"{TAG}{tag}"
