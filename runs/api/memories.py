"""Reading, searching, changing and erasing memory."""

from __future__ import annotations

import re
from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import api_settings
from rest_framework.views import APIView

from agentops.accounts.access import Action, Actor
from agentops.accounts.actors import actor_of
from runs import memories
from runs.api.base import checked
from runs.api.memory_serializers import (
    ErasedSerializer,
    EraseSerializer,
    FoundSerializer,
    MemoryQuerySerializer,
    MemorySearchSerializer,
    MemorySerializer,
    MemoryWriteSerializer,
    NewMemorySerializer,
)
from runs.models import Memory

IF_MATCH = OpenApiParameter(
    "If-Match",
    {"type": "string", "pattern": '^"?[1-9][0-9]{0,8}"?$'},
    OpenApiParameter.HEADER,
    description="The revision you read. Refused with 409 when the entry has another by now.",
)
_REVISION = re.compile(r'"?([1-9][0-9]{0,8})"?')
_MADE = {201: OpenApiResponse(MemorySerializer, description="It has been written.")}


class MemoryView(APIView):
    """A view of memory."""

    @property
    def caller(self) -> Actor:
        """Who calls; the default permission has refused everybody else."""
        return actor_of(self.request)

    def entry_for(self, action: Action, public_id: str) -> Memory:
        """The entry, if the caller may do this with it. Raises NotFound or Forbidden."""
        return memories.one(public_id=public_id, viewer=self.caller, action=action)


class MemoryList(MemoryView):
    """All memory the caller may see."""

    @property
    def pagination_class(self) -> Any:
        return api_settings.DEFAULT_PAGINATION_CLASS

    @extend_schema(
        operation_id="memories_list",
        parameters=[MemoryQuerySerializer],
        responses=MemorySerializer(many=True),
        filters=False,
    )
    def get(self, request: Request) -> Response:
        """List entries, newest first."""
        filters = checked(MemoryQuerySerializer, request.query_params)
        paginator = self.pagination_class()
        rows = memories.list_memories(viewer=self.caller, **filters)
        page = paginator.paginate_queryset(rows, request, view=self)
        answer: Response = paginator.get_paginated_response(MemorySerializer(page, many=True).data)
        return answer

    @extend_schema(
        operation_id="memories_write",
        request=NewMemorySerializer,
        responses=_MADE,
    )
    def post(self, request: Request) -> Response:
        """Write a new entry. An existing one of this key is left alone (409)."""
        said = checked(NewMemorySerializer, request.data)
        whose = {name: said.pop(name) for name in ("scope", "agent", "team")}
        space = memories.namespace(actor=self.caller, **whose)
        made = memories.add(space=space, by=self.caller.name, **said)
        return Response(MemorySerializer(made).data, status=status.HTTP_201_CREATED)


class MemorySearch(MemoryView):
    """A search in all memory the caller may see."""

    @extend_schema(
        operation_id="memories_search",
        parameters=[MemorySearchSerializer],
        responses=FoundSerializer,
    )
    def get(self, request: Request) -> Response:
        """Find entries by words, best first; without a hit, by parts of their text."""
        wanted = checked(MemorySearchSerializer, request.query_params)
        query, limit = wanted.pop("q"), wanted.pop("limit")
        rows = memories.list_memories(viewer=self.caller, **wanted)
        found = memories.find(rows=rows, query=query, limit=limit)
        return Response(FoundSerializer({"items": found}).data)


class MemoryErase(MemoryView):
    """The end of a person's memory."""

    @extend_schema(
        operation_id="memories_erase",
        request=EraseSerializer,
        responses=ErasedSerializer,
    )
    def post(self, request: Request) -> Response:
        """Erase all that is remembered of a person: your own, or anybody's as administrator."""
        name = checked(EraseSerializer, request.data)["person"]
        person = memories.may_erase(actor=self.caller, name=name)
        return Response(ErasedSerializer(memories.erase(person=person, by=self.caller.name)).data)


class MemoryDetail(MemoryView):
    """One entry."""

    @extend_schema(operation_id="memories_read", responses=MemorySerializer)
    def get(self, request: Request, public_id: str) -> Response:
        """Read an entry; its revision is also the ETag."""
        return _shown(self.entry_for(Action.VIEW, public_id))

    @extend_schema(
        operation_id="memories_change",
        parameters=[IF_MATCH],
        request=MemoryWriteSerializer,
        responses=MemorySerializer,
    )
    def put(self, request: Request, public_id: str) -> Response:
        """Write over an entry as you read it; 409 when it was changed since."""
        row = self.entry_for(Action.CONTROL, public_id)
        said = checked(MemoryWriteSerializer, request.data)
        revision = said.pop("revision", None) or _revision(request)
        if revision is None:
            raise serializers.ValidationError(
                {"revision": ["Say which revision you read, here or as If-Match."]}
            )
        return _shown(memories.revise(row=row, revision=revision, by=self.caller.name, **said))

    @extend_schema(operation_id="memories_delete", parameters=[IF_MATCH], responses={204: None})
    def delete(self, request: Request, public_id: str) -> Response:
        """Delete an entry; with If-Match only as you read it."""
        row = self.entry_for(Action.CONTROL, public_id)
        memories.remove(row=row, by=self.caller.name, revision=_revision(request))
        return Response(status=status.HTTP_204_NO_CONTENT)


def _shown(row: Memory) -> Response:
    return Response(MemorySerializer(row).data, headers={"ETag": f'"{row.revision}"'})


def _revision(request: Request) -> int | None:
    said = request.headers.get("If-Match")
    if said is None:
        return None
    found = _REVISION.fullmatch(said.strip())
    if found is None:
        raise serializers.ValidationError(
            {"If-Match": [f'A revision is a number such as "3", not {said[:40]}.']}
        )
    return int(found[1])
