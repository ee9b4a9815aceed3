"""The OpenAPI document: every operation says which errors it may answer with."""

from __future__ import annotations

from typing import Any, Literal

from django.conf import settings
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema as SpectacularAutoSchema
from drf_spectacular.utils import OpenApiResponse
from rest_framework import serializers

from agentops.api.codes import CODES
from runs.api.base import IDEMPOTENCY_KEY

# What any operation may answer; then what those with a body, and those on a thing, may.
_ALWAYS = (400, 401, 403, 405, 406, 422, 429, 500, 503)
_WITH_BODY = (413, 415)
_ON_A_THING = (404, 409)


class ErrorSerializer(serializers.Serializer[Any]):
    """The one form of all errors."""

    code = serializers.ChoiceField([(code, code) for code in sorted(CODES)])
    message = serializers.CharField(help_text="Fit to be shown to people.")
    suggestions = serializers.ListField(child=serializers.CharField())
    retryable = serializers.BooleanField(help_text="Whether the same request may work later.")
    error_id = serializers.CharField(help_text="Names this very error in the logs.")
    detail = serializers.CharField(required=False, help_text="For operators only.")
    meta = serializers.DictField(required=False)


class AutoSchema(SpectacularAutoSchema):
    """Adds the errors to what each view declares."""

    def _get_response_bodies(
        self, direction: Literal["request", "response"] = "response"
    ) -> dict[str, Any]:
        responses: dict[str, Any] = super()._get_response_bodies(direction)
        for status in self._error_statuses():
            responses.setdefault(str(status), self._error_response(status))
        return responses

    def get_override_parameters(self) -> list[Any]:
        """Every POST that changes something takes a key."""
        declared: list[Any] = list(super().get_override_parameters())
        changes = not getattr(self.view, "changes_nothing", False)
        return [*declared, IDEMPOTENCY_KEY] if self.method == "POST" and changes else declared

    def _map_serializer(
        self,
        serializer: Any,
        direction: Literal["request", "response"],
        bypass_extensions: bool = False,  # noqa: FBT001, FBT002 - the library's signature
    ) -> Any:
        schema = super()._map_serializer(  # type: ignore[no-untyped-call]
            serializer, direction, bypass_extensions
        )
        if getattr(serializer, "refuses_unknown", False):
            schema["additionalProperties"] = False
        return schema

    def _error_statuses(self) -> list[int]:
        statuses = list(_ALWAYS)
        if self.method in {"POST", "PUT"}:
            statuses += _WITH_BODY
        if "{" in self.path or self.method == "POST":
            statuses += _ON_A_THING
        return statuses

    def _error_response(self, status: int) -> dict[str, Any]:
        codes = ", ".join(f"`{name}`" for name, code in CODES.items() if code.status == status)
        declared = OpenApiResponse(ErrorSerializer, description=codes)
        response: dict[str, Any] = self._get_response_for_code(  # type: ignore[no-untyped-call]
            declared, str(status), media_types=["application/json"]
        )
        return response


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the document names our tokens."""

    target_class = "agentops.api.authentication.TokenAuthentication"
    name = "token"
    priority = 1

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """A bearer token."""
        return {"type": "http", "scheme": "bearer"}


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the document names the console's session."""

    target_class = "agentops.api.authentication.ConsoleSession"
    name = "session"
    priority = 1

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """A cookie."""
        return {"type": "apiKey", "in": "cookie", "name": settings.SESSION_COOKIE_NAME}


class PasswordScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the document names name and password."""

    target_class = "agentops.api.authentication.Password"
    name = "password"
    priority = 1

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """HTTP Basic, at the doors that name it."""
        return {"type": "http", "scheme": "basic"}


class SeenPasswordScheme(PasswordScheme):  # type: ignore[no-untyped-call]
    """The same at the door where one chooses another password."""

    target_class = "agentops.api.authentication.SeenPassword"
    name = "presentPassword"
