"""Which model of a route is asked next: a decision from facts alone, recorded with its reasons."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from agentops.execution.port import Tried
from agentops.sdk.models import ModelRequest
from agentops.sdk.typing import faults

# Tokens of a text are at most its bytes for byte-level tokenisers; English has about four a token.
BYTES_PER_TOKEN = 3.0
# No other model would do better with a request that is wrong, or that nobody should answer.
FINAL = frozenset({"request_rejected", "content_filtered"})


class Rule(BaseModel):
    """When a candidate may be asked. Everything named has to hold; what is not named does not
    matter. Tokens are estimates of the input."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    agents: frozenset[str] | None = None
    people: frozenset[str] | None = None
    teams: frozenset[str] | None = None
    min_input_tokens: int | None = Field(None, ge=0)
    max_input_tokens: int | None = Field(None, ge=1)
    tools: bool | None = None
    structured: bool | None = None


class Candidate(BaseModel):
    """A model of an endpoint, and when it may be asked.

    ``context_tokens`` is what it takes in, where Pydantic AI's or genai-prices' list does not
    know. ``can_use_tools`` is false for models that cannot.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    endpoint: Annotated[str, Field(min_length=1)]
    model: Annotated[str, Field(min_length=1)]
    when: Rule = Rule()
    context_tokens: int | None = Field(None, ge=1)
    can_use_tools: bool = True

    @property
    def target(self) -> str:
        """What a breaker counts failures of: this model, with this endpoint's key."""
        return f"model:{self.endpoint}/{self.model}"


_CANDIDATES = TypeAdapter(Annotated[tuple[Candidate, ...], Field(min_length=1, max_length=20)])


class _Unique(BaseModel):
    candidates: tuple[Candidate, ...]

    @model_validator(mode="after")
    def _once(self) -> _Unique:
        targets = [c.target for c in self.candidates]
        if len(set(targets)) < len(targets):
            raise ValueError("the same model of the same endpoint stands there twice")
        return self


def candidates(value: object) -> tuple[Candidate, ...]:
    """Candidates from their JSON. Raises ValueError that names the place of the fault."""
    try:
        read = _CANDIDATES.validate_python(value)
        _Unique(candidates=read)
    except ValidationError as error:
        raise ValueError(faults(error)) from None
    return read


@dataclass(frozen=True, slots=True)
class Route:
    """A route as it stands. Version 0 is the one every installation begins with."""

    name: str
    version: int
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """What a decision looks at besides the request.

    ``resting(target)``: the seconds for which it is left alone. ``fit(candidate)``: why this
    installation cannot ask it at all, or nothing.
    """

    agent: str
    person: str
    team: str
    now: datetime
    resting: Callable[[str], float]
    fit: Callable[[Candidate], str]


@dataclass(frozen=True, slots=True)
class Decision:
    """Whom to ask, or how long nobody may be asked, or neither: there is nobody.

    ``rejected``: what stands before the candidate in the route, and why it was passed over.
    """

    candidate: Candidate | None
    rejected: Mapping[str, str] = field(default_factory=dict)
    rests_seconds: float = 0.0

    @property
    def why_nobody(self) -> str:
        """In words, why nobody can be asked."""
        told = "; ".join(f"{t.removeprefix('model:')}: {why}" for t, why in self.rejected.items())
        return told or "the route has no candidates"


def decide(route: Route, request: ModelRequest, tried: Sequence[Tried], facts: Facts) -> Decision:
    """The first candidate that fits and does not rest.

    A weaker model that could not give what was asked is passed over as often as ``bigger`` says,
    as long as there is another.
    """
    rejected: dict[str, str] = {}
    resting: list[float] = []
    able = []
    for candidate in route.candidates:
        why = _unfit(candidate, request, tried, facts)
        if why:
            rejected[candidate.target] = why
        else:
            able.append(candidate)
    for candidate in able[: min(request.bigger, max(0, len(able) - 1))]:
        rejected[candidate.target] = "its answers did not fit"
    for candidate in able:
        if candidate.target in rejected:
            continue
        seconds = max(facts.resting(candidate.target), _pause(candidate, tried, facts.now))
        if seconds <= 0:
            return Decision(candidate, rejected)
        resting.append(seconds)
        rejected[candidate.target] = f"is left alone for {seconds:.0f} s"
    return Decision(None, rejected, min(resting, default=0.0))


def is_exhausted(route: Route, request: ModelRequest, tried: Sequence[Tried], facts: Facts) -> bool:
    """Whether nobody is left to ask, now or later."""
    if tried and tried[-1].code in FINAL:
        return True
    return all(_unfit(candidate, request, tried, facts) for candidate in route.candidates)


def _unfit(
    candidate: Candidate, request: ModelRequest, tried: Sequence[Tried], facts: Facts
) -> str:
    hopeless = next((t for t in tried if t.target == candidate.target and t.hopeless), None)
    if hopeless is not None:
        return f"failed with {hopeless.code}"
    wants_tools = bool(request.tools or request.answer)
    if wants_tools and not candidate.can_use_tools:
        return "cannot use tools"
    size = input_tokens(request)
    if candidate.context_tokens is not None and size > candidate.context_tokens:
        return f"takes {candidate.context_tokens:,} tokens, this may be {size:,}"
    return facts.fit(candidate) or _unruly(candidate.when, request, size, facts)


def _unruly(rule: Rule, request: ModelRequest, size: int, facts: Facts) -> str:
    """Which part of the rule does not hold."""
    wrong = {
        "agents": rule.agents is not None and facts.agent not in rule.agents,
        "people": rule.people is not None and facts.person not in rule.people,
        "teams": rule.teams is not None and facts.team not in rule.teams,
        "min_input_tokens": rule.min_input_tokens is not None and size < rule.min_input_tokens,
        "max_input_tokens": rule.max_input_tokens is not None and size > rule.max_input_tokens,
        "tools": rule.tools is not None and rule.tools != bool(request.tools),
        "structured": rule.structured is not None and rule.structured != bool(request.answer),
    }
    failed = [name for name, holds_not in wrong.items() if holds_not]
    return f"its rule on {', '.join(failed)} does not hold" if failed else ""


def _pause(candidate: Candidate, tried: Sequence[Tried], now: datetime) -> float:
    until = [t.until for t in tried if t.target == candidate.target and t.until]
    return max(((u - now).total_seconds() for u in until), default=0.0)


def input_tokens(request: ModelRequest) -> int:
    """About how many tokens the request has, rather too many than too few."""
    size = sum(
        len(m.text.encode(errors="surrogatepass")) + sum(len(str(u.arguments)) for u in m.uses) + 16
        for m in request.messages
    )
    size += sum(len(t.description) + len(str(t.schema)) for t in request.tools)
    if request.answer is not None:
        size += len(str(request.answer.schema))
    return int(size / BYTES_PER_TOKEN) + 1
