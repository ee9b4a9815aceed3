"""Search by meaning, on a real pgvector where PostgreSQL has one; without it, by words."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from agentops.sdk.memory import note
from runs.engine import meaning, memories
from runs.engine.host import Host
from runs.engine.meaning import Meaning, fused
from runs.engine.memories import Namespace, Writer
from runs.models import Memory, MemoryKind, ModelEndpoint, RouteVersion
from tests.runs.engine.conftest import eventually

SPACE = Namespace(MemoryKind.AGENT, agent="clerk")
# What the embedding server understands: words of one line mean the same.
MEANINGS = (("car", "vehicle", "automobile"), ("lunch", "food", "meal"), ("rain", "weather"))


class Embeddings(BaseHTTPRequestHandler):
    """An OpenAI-compatible /embeddings; ``broken`` makes it fail, ``asked`` are its inputs."""

    asked: list[list[str]] = []
    broken = False

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(body["input"])
        data = [
            {"object": "embedding", "index": n, "embedding": _vector(text)}
            for n, text in enumerate(body["input"])
        ]
        answer = {"object": "list", "data": data, "model": body["model"],
                  "usage": {"prompt_tokens": 1, "total_tokens": 1}}  # fmt: skip
        said = json.dumps(answer).encode()
        self.send_response(500 if type(self).broken else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


def _vector(text: str) -> list[float]:
    words = text.lower().split()
    return [sum(w in line for w in words) + 0.01 for line in MEANINGS] + [0.01]


@pytest.fixture
def vectors(transactional_db: None) -> Iterator[None]:
    """The table of vectors, dropped afterwards: Django's clean-up knows nothing of it."""
    why_not = meaning.prepare()
    if why_not:
        pytest.skip(f"This PostgreSQL has no pgvector ({why_not}); searching by words is tested")
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE memory_vector")


@pytest.fixture
def served() -> Iterator[str]:
    Embeddings.asked, Embeddings.broken = [], False
    server = ThreadingHTTPServer(("127.0.0.1", 0), Embeddings)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def embedding(vectors: None, served: str, make_host: Callable[..., Host]) -> Meaning:
    """A worker with a route to embed, and three entries."""
    ModelEndpoint.objects.create(name="local", protocol="openai", base_url=served)
    candidates = [{"endpoint": "local", "model": "tiny"}]
    RouteVersion.objects.create(route="embed", number=1, candidates=candidates)
    for key, text in (("a", "Ana drives a car"), ("b", "rain all week"), ("c", "no lunch")):
        memories.put(SPACE, note(key, text, None, None), Writer("x"))
    host = make_host()
    eventually(lambda: host.models.embedding("embed"))
    return host.meaning


def keys(found: Meaning, query: str, limit: int = 10) -> list[str]:
    by_words = memories.search(SPACE.rows, query, limit)
    return [row.key for row in found.ranked(SPACE.rows, by_words, query, limit)]


def test_what_means_the_same_is_found_without_a_common_word(embedding: Meaning) -> None:
    assert memories.search(SPACE.rows, "vehicle", 10) == []
    assert embedding.catch_up() == 3
    assert embedding.catch_up() == 0
    assert keys(embedding, "vehicle", 1) == ["a"]
    assert keys(embedding, "meal", 1) == ["c"]
    assert keys(embedding, "car", 10)[0] == "a"


def test_a_changed_text_is_not_compared_until_it_is_embedded_anew(embedding: Meaning) -> None:
    embedding.catch_up()
    memories.put(SPACE, note("a", "Ana rides a bicycle", None, None), Writer("x"))
    assert "a" not in keys(embedding, "vehicle")
    assert embedding.catch_up() == 1


def test_what_is_erased_takes_its_vector_along(embedding: Meaning) -> None:
    embedding.catch_up()
    Memory.objects.filter(key="a").delete()
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM memory_vector")
        assert cursor.fetchone() == (2,)
    assert "a" not in keys(embedding, "vehicle")


def test_a_provider_that_fails_leaves_the_words_and_is_left_alone(embedding: Meaning) -> None:
    embedding.catch_up()
    Embeddings.broken = True
    asked = len(Embeddings.asked)
    assert keys(embedding, "car") == ["a"]
    assert keys(embedding, "vehicle") == []
    assert len(Embeddings.asked) == asked + 1


def test_without_the_table_words_are_searched_and_nobody_is_asked(
    embedding: Meaning, served: str
) -> None:
    embedding._looked_at, embedding._there = float("inf"), False
    assert keys(embedding, "car") == ["a"]
    assert Embeddings.asked == []


def test_two_orders_become_one() -> None:
    assert fused([1, 2, 3], [3, 4]) == [3, 1, 2, 4]
    assert fused([], [2]) == [2]


@pytest.mark.django_db
def test_the_command_says_why_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meaning, "prepare", lambda: "could not open extension control file")
    with pytest.raises(CommandError, match="could not open"):
        call_command("memory_vectors")
