"""Models of OpenAI, or of anything that speaks its chat completions."""

from __future__ import annotations

from typing import Any

from pydantic_ai.models import Model
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from agentops.providers.endpoints import Endpoint


def model(endpoint: Endpoint, name: str) -> Model[Any]:
    """The model called ``name`` at ``endpoint``."""
    provider = OpenAIProvider(base_url=endpoint.base_url or None, api_key=endpoint.key or "none")
    return OpenAIChatModel(name, provider=provider)
