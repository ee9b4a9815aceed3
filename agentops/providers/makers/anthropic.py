"""Models of Anthropic."""

from __future__ import annotations

from typing import Any

from pydantic_ai.models import Model
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.providers.anthropic import AnthropicProvider

from agentops.providers.endpoints import Endpoint


def model(endpoint: Endpoint, name: str) -> Model[Any]:
    """The model called ``name`` at ``endpoint``."""
    provider = AnthropicProvider(api_key=endpoint.key, base_url=endpoint.base_url or None)
    return AnthropicModel(name, provider=provider)
