"""Models of Anthropic."""

from __future__ import annotations

from typing import Any

from pydantic_ai.models import Model
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.providers.anthropic import AnthropicProvider

from agentops.providers.endpoints import Endpoint


def model(endpoint: Endpoint, name: str) -> Model[Any]:
    """The model called ``name`` at ``endpoint``."""
    # Without one, the client would send the key it finds in the environment, wherever that belongs.
    key = endpoint.key or "none"
    provider = AnthropicProvider(api_key=key, base_url=endpoint.base_url or None)
    return AnthropicModel(name, provider=provider)
