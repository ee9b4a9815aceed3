"""Reading authors' signatures: input schemas, declared results, whether a context is wanted."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import types
import typing
from collections.abc import Callable

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, create_model

from agentops.sdk.errors import InvalidInput, Misuse

Restorer = Callable[[object], object]

_AS_IS = frozenset({inspect.Signature.empty, None, type(None), object, typing.Any})
_STRICT = ConfigDict(extra="forbid", arbitrary_types_allowed=True)


def hints(fn: object, *, extras: bool = False) -> dict[str, object]:
    """Resolved annotations of a function; none when one of them cannot be resolved.

    With ``extras`` those of ``Annotated`` are kept: limits and descriptions of inputs.
    """
    try:
        plain = inspect.unwrap(fn)  # type: ignore[arg-type]  # what is none is caught
        return dict(typing.get_type_hints(plain, include_extras=extras))
    except (NameError, TypeError, AttributeError):
        return {}


def takes_context(fn: object) -> bool:
    """Whether the first parameter wants a context: it is called ``ctx`` or typed as one."""
    first = next(iter(inspect.signature(fn).parameters.values()), None)  # type: ignore[arg-type]
    if first is None:
        return False
    annotation = first.annotation
    label = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    return first.name == "ctx" or label.split("[")[0].endswith("Context")


def restorer(fn: object) -> Restorer:
    """A function from a decoded result to the declared return type of ``fn``."""
    declared = hints(fn).get("return", inspect.Signature.empty)
    if declared in _AS_IS or declared in {str, int, float, bool, dict, list}:
        return _identity
    try:
        adapter: TypeAdapter[object] = TypeAdapter(typing.cast("type[object]", declared))
    except Exception:  # noqa: BLE001 - pydantic has no schema for it: the plain data stands
        return _identity
    return functools.partial(_restore, adapter)


def restore(declared: object) -> Restorer:
    """A function from a decoded value to this type."""
    adapter: TypeAdapter[object] = TypeAdapter(typing.cast("type[object]", declared))
    return functools.partial(_restore, adapter)


def _identity(value: object) -> object:
    return value


def _restore(adapter: TypeAdapter[object], value: object) -> object:
    try:
        return adapter.validate_python(value)
    except Exception:  # noqa: BLE001 - an author's validator may raise anything: the plain data stands
        return value


def faults(error: ValidationError) -> str:
    """What is wrong, by the path of each value, in words a model can act on."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(f"/{'/'.join(map(str, e['loc']))}: {e['msg']}" for e in found[:10])


@dataclasses.dataclass(frozen=True)
class InputForm:
    """How an agent's input looks: a JSON schema and a check."""

    adapter: TypeAdapter[object]
    parameter: str | None
    names: tuple[str, ...]

    @functools.cached_property
    def schema(self) -> dict[str, object]:
        return dict(self.adapter.json_schema())

    def arguments(self, value: object) -> dict[str, object]:
        """Keyword arguments for the agent. Raises InvalidInput with the path of the first error."""
        try:
            checked = self.adapter.validate_python({} if value is None else value)
        except ValidationError as error:
            first = error.errors()[0]
            path = "".join(f"/{part}" for part in first["loc"])
            raise InvalidInput(path, str(first["msg"])) from None
        if self.parameter is not None:
            return {self.parameter: checked}
        return {name: getattr(checked, name) for name in self.names}


def input_form(fn: object, label: str) -> InputForm:
    """The input of an agent function: everything after the context.

    One parameter that is a pydantic model, dataclass or TypedDict is the input itself; otherwise
    the input is an object with one property per parameter.
    """
    known = hints(fn)
    parameters = list(inspect.signature(fn).parameters.values())[1:]  # type: ignore[arg-type]
    for parameter in parameters:
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
            raise Misuse(
                f"Agent {label}: name each input parameter; *{parameter.name} has no schema."
            )
    if len(parameters) == 1 and is_record(known.get(parameters[0].name)):
        only = parameters[0]
        return InputForm(
            TypeAdapter(typing.cast("type[object]", known[only.name])), only.name, (only.name,)
        )
    known = hints(fn, extras=True)
    fields: dict[str, typing.Any] = {
        p.name: (known.get(p.name, object), ... if p.default is p.empty else p.default)
        for p in parameters
    }
    model = create_model(f"{label}_input", __config__=_STRICT, **fields)
    return InputForm(TypeAdapter(model), None, tuple(p.name for p in parameters))


def tool_form(
    fn: object, label: str, *, without: frozenset[str] = frozenset()
) -> TypeAdapter[BaseModel]:
    """What a model gives a tool: an object with one property per parameter after the context.

    ``without`` are parameters it does not give.

    Raises Misuse for a parameter without a name or a schema.
    """
    known = hints(fn, extras=True)
    parameters = list(inspect.signature(fn).parameters.values())  # type: ignore[arg-type]  # a tool's
    fields: dict[str, typing.Any] = {}
    for parameter in parameters[1 if takes_context(fn) else 0 :]:
        if parameter.name in without:
            continue
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
            raise Misuse(
                f"Tool {label}: a model needs a name for each input; name *{parameter.name}."
            )
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (known.get(parameter.name, object), default)
    return TypeAdapter(create_model(f"{label}_arguments", __config__=_STRICT, **fields))


def is_record(annotation: object) -> bool:
    """Whether a value of this type is an object with named fields."""
    if isinstance(annotation, types.GenericAlias) or not isinstance(annotation, type):
        return False
    return (
        issubclass(annotation, BaseModel)
        or dataclasses.is_dataclass(annotation)
        or typing.is_typeddict(annotation)
    )
