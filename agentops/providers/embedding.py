"""Texts as vectors, through Pydantic AI's embedding models. Imported by workers, on first use."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from openai import AsyncOpenAI
from pydantic_ai.embeddings.openai import OpenAIEmbeddingModel
from pydantic_ai.providers.openai import OpenAIProvider

from agentops.providers.endpoints import Endpoint


async def embed(
    endpoint: Endpoint, model: str, texts: Sequence[str], *, timeout: float
) -> list[list[float]]:
    """A vector for each text, from an endpoint that speaks OpenAI's protocol; one request.

    Raises TimeoutError, or what the client raises.
    """
    client = AsyncOpenAI(
        base_url=endpoint.base_url or None, api_key=endpoint.key or "none", max_retries=0
    )
    async with client, asyncio.timeout(timeout):
        asked = OpenAIEmbeddingModel(model, provider=OpenAIProvider(openai_client=client))
        result = await asked.embed(list(texts), input_type="document")
    return [list(vector) for vector in result.embeddings]
