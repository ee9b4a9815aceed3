"""Models of Google."""

from __future__ import annotations

from typing import Any

from pydantic_ai.models import Model
from pydantic_ai.models.google import GoogleModel
from pydantic_ai.providers.google import GoogleProvider

from agentops.providers.endpoints import Endpoint


def model(endpoint: Endpoint, name: str) -> Model[Any]:
    """The model called ``name`` at ``endpoint``."""
    provider = GoogleProvider(api_key=endpoint.key or "none", base_url=endpoint.base_url or None)
    return GoogleModel(name, provider=provider)
