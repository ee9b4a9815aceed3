"""Lists: cursors, never page numbers, so that nothing is shown twice or missed while it grows."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.utils.dateparse import parse_datetime
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response

from agentops.sdk.errors import AgentopsError

_SIZE = re.compile(r"[0-9]{1,4}")


class InvalidCursor(AgentopsError):
    """This cursor does not come from this list."""

    code = "invalid_cursor"


class NewestFirst(CursorPagination):
    """Pages of ``items`` with ``next_cursor`` and ``previous_cursor``, newest first."""

    page_size = 50
    page_size_query_param = "limit"
    max_page_size = 200
    ordering = ("-created_at", "-id")

    def get_page_size(self, request: Request) -> int:
        asked = request.query_params.get(self.page_size_query_param)
        if asked is None:
            return self.page_size
        if not _SIZE.fullmatch(asked) or not 1 <= int(asked) <= self.max_page_size:
            said = f"Ask for 1 to {self.max_page_size} at a time."
            raise ValidationError({self.page_size_query_param: [said]})
        return int(asked)

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        told: list[dict[str, Any]] = super().get_schema_operation_parameters(view)
        for parameter in told:
            if parameter["name"] == self.page_size_query_param:
                parameter["schema"] |= {"minimum": 1, "maximum": self.max_page_size}
        return told

    def decode_cursor(self, request: Request) -> Cursor | None:
        try:
            cursor = super().decode_cursor(request)
        except NotFound as error:
            raise InvalidCursor from error
        if (
            cursor is not None
            and cursor.position is not None
            and not _is_time(str(cursor.position))
        ):
            raise InvalidCursor
        return cursor

    def get_paginated_response(self, data: Any) -> Response:
        return Response(
            {
                "items": data,
                "next_cursor": _cursor_in(self.get_next_link()),
                "previous_cursor": _cursor_in(self.get_previous_link()),
            }
        )

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        cursor = {"type": ["string", "null"], "description": "Send it as ?cursor= to go on."}
        return {
            "type": "object",
            "required": ["items", "next_cursor", "previous_cursor"],
            "properties": {"items": schema, "next_cursor": cursor, "previous_cursor": cursor},
        }


def _is_time(position: str) -> bool:
    try:
        return parse_datetime(position) is not None
    except ValueError:
        return False


def _cursor_in(link: str | None) -> str | None:
    return parse_qs(urlsplit(link).query)["cursor"][0] if link else None
