"""The page to try the REST API: a form per operation, drawn from the OpenAPI document."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET
from drf_spectacular.generators import SchemaGenerator

from runs.views.signing import signed_in

_METHODS = ("get", "post", "put", "patch", "delete")
_DEEPEST = 4


@dataclass(frozen=True, slots=True)
class Parameter:
    """Something an address or a header takes."""

    name: str
    place: str
    required: bool
    hint: str


@dataclass(frozen=True, slots=True)
class Operation:
    """What can be asked, with a body to begin with."""

    id: str
    method: str
    path: str
    does: str
    parameters: list[Parameter]
    body: str
    streams: bool


@require_GET
@signed_in
def page(request: HttpRequest) -> HttpResponse:
    """Try any operation as oneself; what it changes is changed."""
    return render(request, "api/try.html", {"groups": groups()})


@functools.cache
def groups() -> dict[str, list[Operation]]:
    """The operations by the first word of their address."""
    generator = SchemaGenerator()  # type: ignore[no-untyped-call]
    document = generator.get_schema(public=True)  # type: ignore[no-untyped-call]
    found: dict[str, list[Operation]] = {}
    for operation in operations(document):
        word = operation.path.removeprefix("/api/v1/").partition("/")[0]
        found.setdefault(word, []).append(operation)
    return found


def operations(document: Mapping[str, Any]) -> Iterator[Operation]:
    """Every operation of an OpenAPI document."""
    for path, methods in document["paths"].items():
        for method in _METHODS:
            if method in methods:
                yield _operation(document, path, method, methods[method])


def _operation(
    document: Mapping[str, Any], path: str, method: str, told: Mapping[str, Any]
) -> Operation:
    content = told.get("requestBody", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema")
    answers = told.get("responses", {}).get("200", {}).get("content", {})
    return Operation(
        id=told["operationId"],
        method=method.upper(),
        path=path,
        does=str(told.get("description", "")).partition("\n")[0],
        parameters=[_parameter(one) for one in told.get("parameters", [])],
        body="" if schema is None else json.dumps(example(document, schema), indent=2),
        streams="text/event-stream" in answers,
    )


def _parameter(told: Mapping[str, Any]) -> Parameter:
    schema = told.get("schema", {})
    words = schema.get("enum") or schema.get("items", {}).get("enum") or []
    hint = ", ".join(str(word) for word in words) or str(told.get("description", ""))
    return Parameter(told["name"], told["in"], bool(told.get("required")), hint)


def example(document: Mapping[str, Any], schema: Mapping[str, Any], depth: int = 0) -> Any:
    """A body that has what is required, to be filled in."""
    name = schema.get("$ref", "").rpartition("/")[2]
    if name:
        schema = document["components"]["schemas"][name]
    for several in ("allOf", "oneOf", "anyOf"):
        if schema.get(several):
            return example(document, schema[several][0], depth)
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type", "object")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "array":
        return [] if depth >= _DEEPEST else [example(document, schema.get("items", {}), depth + 1)]
    if kind == "object" and depth < _DEEPEST:
        needed = schema.get("required", [])
        fields = schema.get("properties", {})
        return {key: example(document, fields[key], depth + 1) for key in needed if key in fields}
    return {"integer": 0, "number": 0, "boolean": False, "string": ""}.get(kind)
