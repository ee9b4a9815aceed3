"""How each provider says, with a status, that it does not answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from tests.modelserver import anthropic, openai
from tests.modelserver.asked import Asked
from tests.modelserver.plan import Plan, told
from tests.modelserver.speaking import key_of, prompt_of

Says = tuple[int, str, str | None, str | None]
Headers = Callable[[float], list[tuple[str, str]]]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Status, sentence, type and code, as OpenAI and as Anthropic (which has no codes)."""

    openai: Says
    anthropic: Says
    headers: Headers = lambda _: []

    def plan(self, asked: Asked, seconds: float) -> Plan:
        """Like a careless provider, it quotes what it was sent."""
        ours = self.anthropic if asked.protocol == "anthropic" else self.openai
        status, sentence, kind, code = ours
        sentence = sentence.format(model=asked.model)
        sentence = f"{sentence} You sent “{prompt_of(asked)}” with the key {key_of(asked)}."
        if asked.protocol == "anthropic":
            body = anthropic.error(sentence, kind or "api_error")
        else:
            body = openai.error(sentence, kind, code)
        return [told(body, status, [("x-request-id", f"req_{asked.n}"), *self.headers(seconds)])]


def _in_seconds(seconds: float) -> list[tuple[str, str]]:
    return [("retry-after", f"{seconds:.0f}")]


def _at_a_date(seconds: float) -> list[tuple[str, str]]:
    until = datetime.now(UTC) + timedelta(seconds=seconds)
    return [("retry-after", format_datetime(until, usegmt=True))]


def _in_milliseconds(seconds: float) -> list[tuple[str, str]]:
    return [("retry-after-ms", f"{seconds * 1000:.0f}")]


_SLOW: Says = (429, "Rate limit reached for {model}.", "requests", "rate_limit_exceeded")
_SLOW_A: Says = (429, "This request would exceed your rate limit.", "rate_limit_error", None)
_FULL_A: Says = (529, "Overloaded", "overloaded_error", None)
_INVALID = "invalid_request_error"

REFUSALS = {
    "rate_limited": Refusal(_SLOW, _SLOW_A, _in_seconds),
    "rate_limited_until": Refusal(_SLOW, _SLOW_A, _at_a_date),
    "rate_limited_briefly": Refusal(_SLOW, _SLOW_A, _in_milliseconds),
    "rate_limited_silently": Refusal(_SLOW, _SLOW_A),
    "server_error": Refusal(
        (500, "The server had an error.", "server_error", None),
        (500, "Internal server error", "api_error", None),
        # Some ask their own clients to try again, which must not happen behind our back.
        lambda _: [("x-should-retry", "true")],
    ),
    "bad_gateway": Refusal((502, "Bad gateway.", None, None), (502, "Bad gateway", None, None)),
    "overloaded": Refusal((529, "The engine is overloaded.", "overloaded", None), _FULL_A),
    "unavailable": Refusal(
        (503, "The engine is currently overloaded.", "service_unavailable", None),
        (503, "Service unavailable", "api_error", None),
    ),
    "unauthorised": Refusal(
        (401, "Incorrect API key provided.", _INVALID, "invalid_api_key"),
        (401, "invalid x-api-key", "authentication_error", None),
    ),
    "forbidden": Refusal(
        (403, "Your project has no access to {model}.", _INVALID, None),
        (403, "Your key may not do this.", "permission_error", None),
    ),
    "no_quota": Refusal(
        (429, "You exceeded your current quota.", "insufficient_quota", "insufficient_quota"),
        (400, "Your credit balance is too low to access the API.", _INVALID, None),
    ),
    "unpaid": Refusal(
        (402, "Insufficient credits.", None, None),
        (402, "There is an issue with your billing.", "billing_error", None),
    ),
    "no_model": Refusal(
        (404, "The model {model} does not exist.", _INVALID, "model_not_found"),
        (404, "model: {model}", "not_found_error", None),
    ),
    "too_long": Refusal(
        (400, "This model takes 8192 tokens.", _INVALID, "context_length_exceeded"),
        (400, "prompt is too long: 210000 tokens > 200000 maximum", _INVALID, None),
    ),
    # vLLM and others say it in words only; Anthropic refuses what is too large as bytes.
    "too_long_in_words": Refusal(
        (400, "This model's maximum context length is 8192 tokens.", "BadRequestError", None),
        (413, "Request exceeds the maximum size", "request_too_large", None),
    ),
    "bad_request": Refusal(
        (400, "Invalid schema for function 'look'.", _INVALID, None),
        (400, "tools.0.input_schema: invalid", _INVALID, None),
    ),
    "moved": Refusal(
        (307, "It is somewhere else.", None, None),
        (307, "It is somewhere else.", "moved", None),
        lambda _: [("location", "/v1/elsewhere")],
    ),
    "teapot": Refusal(
        (418, "I am a teapot.", None, None), (418, "I am a teapot.", "api_error", None)
    ),
    "off_script": Refusal(
        (400, "The script of this server has no more answers.", _INVALID, None),
        (400, "The script of this server has no more answers.", _INVALID, None),
    ),
    "blocked": Refusal(
        (400, "The prompt was blocked.", None, "content_filter"),
        (400, "Output blocked by content filtering policy", _INVALID, None),
    ),
}
