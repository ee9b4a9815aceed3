# One image for web, workers and beat; the command says which (see compose.yaml).
FROM python:3.13-slim AS build
COPY --from=ghcr.io/astral-sh/uv:0.13.9 /uv /bin/uv
WORKDIR /app
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_NO_MANAGED_PYTHON=1
COPY pyproject.toml uv.lock ./
RUN uv sync --frozen --no-dev

FROM python:3.13-slim
RUN useradd --system --create-home --uid 10001 agentops
WORKDIR /app
COPY --from=build /app/.venv .venv
COPY manage.py ./
COPY agentops agentops
COPY runs runs
COPY approvals approvals
COPY credentials credentials
COPY templates templates
COPY static static
ENV PATH=/app/.venv/bin:$PATH PYTHONPATH=/app PYTHONUNBUFFERED=1 \
    AGENTOPS_PRODUCTION=true AGENTOPS_DATA=/data
RUN mkdir /data && chown agentops /data
USER agentops
VOLUME /data
EXPOSE 8000
CMD ["uvicorn", "--host", "0.0.0.0", "--port", "8000", "--lifespan", "off", \
     "--timeout-graceful-shutdown", "5", "--no-server-header", "--no-access-log", \
     "--ws-per-message-deflate", "false", "agentops.asgi:application"]
