"""Beginning, listing and reading conversations, and saying something in them."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import api_settings
from rest_framework.views import APIView

from agentops.accounts.access import Action, Actor, authorize_new
from agentops.accounts.actors import actor_of
from runs import conversations, dialogue
from runs.api.base import IDEMPOTENCY_KEY, checked, idempotency_key
from runs.api.conversation_serializers import (
    BeginSerializer,
    ConversationQuerySerializer,
    ConversationSerializer,
    MessagePageSerializer,
    MessageQuerySerializer,
    MessageSerializer,
    PostSerializer,
)
from runs.conversations import OnConflict
from runs.models import Conversation

_BEGUN = {
    201: OpenApiResponse(ConversationSerializer, description="It has been begun."),
    200: OpenApiResponse(
        ConversationSerializer, description="It had been begun with this key before."
    ),
}
_POSTED = {
    201: OpenApiResponse(MessageSerializer, description="Its run has been started."),
    202: OpenApiResponse(MessageSerializer, description="It waits for its turn."),
    200: OpenApiResponse(MessageSerializer, description="It had been posted with this key before."),
}


class ConversationView(APIView):
    """A view of one conversation, or of all that the caller may see."""

    @property
    def caller(self) -> Actor:
        """Who calls; the default permission has refused everybody else."""
        return actor_of(self.request)

    def conversation_for(self, action: Action, public_id: str) -> Conversation:
        """The conversation, if the caller may do this with it. Raises NotFound."""
        return dialogue.conversation(public_id=public_id, viewer=self.caller, action=action)

    def shown(self, public_id: str) -> dict[str, Any]:
        """The conversation as the API shows it."""
        row = dialogue.conversations(viewer=self.caller).get(public_id=public_id)
        return dict(ConversationSerializer(row).data)


class ConversationList(ConversationView):
    """All conversations the caller may see."""

    keeps_keys = True

    @property
    def pagination_class(self) -> Any:
        return api_settings.DEFAULT_PAGINATION_CLASS

    @extend_schema(
        operation_id="conversations_list",
        parameters=[ConversationQuerySerializer],
        responses=ConversationSerializer(many=True),
        filters=False,
    )
    def get(self, request: Request) -> Response:
        """List conversations, newest first."""
        filters = checked(ConversationQuerySerializer, request.query_params)
        paginator = self.pagination_class()
        rows = dialogue.conversations(viewer=self.caller, **filters)
        page = paginator.paginate_queryset(rows, request, view=self)
        answer: Response = paginator.get_paginated_response(
            ConversationSerializer(page, many=True).data
        )
        return answer

    @extend_schema(
        operation_id="conversations_begin",
        parameters=[IDEMPOTENCY_KEY],
        request=BeginSerializer,
        responses=_BEGUN,
    )
    def post(self, request: Request) -> Response:
        """Begin a conversation with an agent."""
        authorize_new(self.caller)
        wanted = checked(BeginSerializer, request.data)
        begun = conversations.begin(
            owner=self.caller.user,
            started_by=self.caller.name,
            idempotency_key=idempotency_key(request),
            **wanted,
        )
        made = status.HTTP_201_CREATED if begun.created else status.HTTP_200_OK
        return Response(self.shown(begun.conversation.public_id), status=made)


class ConversationDetail(ConversationView):
    """One conversation."""

    @extend_schema(operation_id="conversations_read", responses=ConversationSerializer)
    def get(self, request: Request, public_id: str) -> Response:
        """Read how a conversation stands."""
        found = self.conversation_for(Action.VIEW, public_id)
        return Response(self.shown(found.public_id))

    @extend_schema(operation_id="conversations_delete", responses={204: None})
    def delete(self, request: Request, public_id: str) -> Response:
        """Erase a conversation with its messages and runs, once none of them is live."""
        conversations.delete(conversation=self.conversation_for(Action.CONTROL, public_id))
        return Response(status=status.HTTP_204_NO_CONTENT)


class MessageList(ConversationView):
    """What is said in a conversation."""

    keeps_keys = True

    @extend_schema(
        operation_id="messages_list",
        parameters=[MessageQuerySerializer],
        responses=MessagePageSerializer,
    )
    def get(self, request: Request, public_id: str) -> Response:
        """List messages and their answers in the order of posting."""
        found = self.conversation_for(Action.VIEW, public_id)
        wanted = checked(MessageQuerySerializer, request.query_params)
        rows = dialogue.messages(conversation=found, **wanted)
        following = rows[-1].number if len(rows) == wanted["limit"] else None
        return Response(MessagePageSerializer({"items": rows, "next_after": following}).data)

    @extend_schema(
        operation_id="messages_post",
        parameters=[IDEMPOTENCY_KEY],
        request=PostSerializer,
        responses=_POSTED,
    )
    def post(self, request: Request, public_id: str) -> Response:
        """Say something to the agent; a run answers."""
        found = self.conversation_for(Action.RESPOND, public_id)
        said = checked(PostSerializer, request.data)
        posted = conversations.post_message(
            conversation=found,
            content=said["content"],
            on_conflict=OnConflict(said["on_conflict"]),
            sender=self.caller.name,
            by_operator=found.owner_id != self.caller.user.pk,
            idempotency_key=idempotency_key(request),
        )
        shown = MessageSerializer(dialogue.one(posted.message)).data
        return Response(shown, status=_status_of(posted))


def _status_of(posted: conversations.Posted) -> int:
    if not posted.created:
        return status.HTTP_200_OK
    begun = posted.message.run_id is not None
    return status.HTTP_201_CREATED if begun else status.HTTP_202_ACCEPTED
