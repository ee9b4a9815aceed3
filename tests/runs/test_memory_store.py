"""The store of memory keeps what a dictionary keeps, with revisions; search finds words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models.functions import Now
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentops.accounts.models import Team, User
from agentops.sdk.memory import Note, Store, note
from agentops.testing import BEGINNING, Notebook
from runs.engine import memories, store
from runs.engine.memories import Namespace, Writer
from runs.engine.remembering import RunMemory
from runs.models import Memory, MemoryKind
from tests import factories

pytestmark = pytest.mark.django_db

KEYS = st.sampled_from(["a", "b", "a b", "ä", "/"])
SCOPES = st.sampled_from([None, "agent", "person", "team"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
ACTS = st.lists(
    st.tuples(st.sampled_from(["put", "get", "delete", "list", "end"]), SCOPES, KEYS, VALUES),
    max_size=25,
)


@dataclass
class Model:
    """What a store is: per namespace a dictionary of values with revisions."""

    held: dict[tuple[str, str], tuple[object, int]] = field(default_factory=dict)

    def put(self, scope: str | None, key: str, value: object) -> int:
        place = (scope or "person", key)
        revision = self.held.get(place, (None, 0))[1] + 1
        self.held[place] = value, revision
        return revision


@pytest.fixture
def run_memory() -> RunMemory:
    team = Team.objects.create(name="finance")
    run = factories.run(User.objects.create_user("ana"), team=team)
    return memory_of(run.pk, run.public_id)


def memory_of(pk: int, public_id: str) -> RunMemory:
    from agentops.execution.records import Claim

    return RunMemory(Claim(pk, public_id, 1, "clerk", "1", None, BEGINNING))


def agrees(
    kept: Store,
    acts: list[tuple[str, str | None, str, object]],
    end: Callable[[Store, str | None, str], None],
) -> None:
    model = Model()
    for verb, scope, key, value in acts:
        place = (scope or "person", key)
        if verb == "put":
            assert kept.put(scope, note(key, value, None, None), "s") == model.put(
                scope, key, value
            )
        elif verb == "delete":
            assert kept.delete(scope, key) == (model.held.pop(place, None) is not None)
        elif verb == "end":
            end(kept, scope, key)
            model.held.pop(place, None)
        elif verb == "list":
            found = {(e.scope, e.key): (e.value, e.revision) for e in kept.search(scope, "", 100)}
            known = {k: v for k, v in model.held.items() if k[0] == place[0]}
            assert found == known
        else:
            entry = kept.get(scope, key)
            assert (entry and (entry.value, entry.revision)) == model.held.get(place)


def ends(kept: Store, scope: str | None, key: str) -> None:
    """Its time is over, and no sweep has come."""
    kind = scope or "person"
    Memory.objects.filter(kind=kind, key=key).update(expires_at=Now() - timedelta(seconds=1))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(acts=ACTS)
def test_the_table_keeps_what_a_dictionary_keeps(
    run_memory: RunMemory, acts: list[tuple[str, str | None, str, object]]
) -> None:
    Memory.objects.all().delete()
    agrees(run_memory, acts, ends)


@settings(max_examples=100, deadline=None)
@given(acts=ACTS)
def test_the_notebook_of_tests_keeps_it_too(
    acts: list[tuple[str, str | None, str, object]],
) -> None:
    book = Notebook(person="ana", team="finance")

    def over(kept: Store, scope: str | None, key: str) -> None:
        book.entries.pop((*opened._space(scope), key), None)

    opened = book.opened("run", "clerk", lambda: BEGINNING)
    agrees(opened, acts, over)


def test_an_entry_over_its_time_is_written_over_as_a_new_one(run_memory: RunMemory) -> None:
    for _ in range(3):
        run_memory.put(None, note("k", 1, None, None), "s")
    old = Memory.objects.get()
    ends(run_memory, None, "k")
    assert run_memory.put(None, note("k", 2, None, None), "s") == 1
    new = Memory.objects.get()
    assert new.public_id != old.public_id
    assert new.created_at > old.created_at


def test_the_sweep_deletes_in_batches_what_is_over_and_nothing_else(
    run_memory: RunMemory,
) -> None:
    for n in range(5):
        run_memory.put(None, note(f"k{n}", n, 60 if n % 2 else None, None), "s")
    Memory.objects.filter(key__in=["k0", "k2", "k4"]).update(
        expires_at=Now() - timedelta(seconds=1)
    )
    with connection.cursor() as cursor:
        gone = [store.forget_memories(cursor, batch=2) for _ in range(3)]
    assert gone == [2, 1, 0]
    assert set(Memory.objects.values_list("key", flat=True)) == {"k1", "k3"}


def test_provenance_is_the_run_and_the_step(run_memory: RunMemory) -> None:
    run_memory.put("team", note("k", 1, None, None), "memory.put#7")
    entry = run_memory.get("team", "k")
    assert entry is not None
    assert (entry.step, entry.written_by, entry.scope) == ("memory.put#7", "clerk", "team")
    assert entry.run.startswith("run_")


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "agent"},
        {"kind": "person", "agent": "x"},
        {"kind": "team"},
        {"kind": "other", "agent": "x"},
        {"kind": "agent", "agent": "x", "revision": 0},
    ],
)
def test_the_database_refuses_an_entry_of_nobody(fields: dict[str, object]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Memory.objects.create(key="k", codec=0, data=b"1", **fields)


# -- searching -----------------------------------------------------------------------------------

TEXTS = {
    "colour": "Ana likes green and dislikes red",
    "lunch": "She eats vegetarian, often green salad with green beans",
    "stadt": "Wohnt in München, Straße des Friedens",
    "город": "Живёт в Москве",
    "色": "彼女は緑が好きです",
    "favourite_car": "an old Citroën",
    "path/to/desk": "third floor",
    "markup": "<b>O'Neill & sons</b> 100% (really)",
}


@pytest.fixture
def filled(run_memory: RunMemory) -> RunMemory:
    for key, text in TEXTS.items():
        run_memory.put(None, note(key, {"about": key}, None, text), "s")
    run_memory.put("agent", note("other", 1, None, "green green green"), "s")
    return run_memory


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("likes green", "colour"),
        ("green salad", "lunch"),
        ("what does Ana like to be green", "colour"),
        ("münchen", "stadt"),
        ("STRASSE STRAßE", "stadt"),
        ("москве", "город"),
        ("緑", "色"),
        ("car", "favourite_car"),
        ("desk", "path/to/desk"),
        ("o'neill", "markup"),
        ("vegeta", "lunch"),
        ("100%", "markup"),
    ],
)
def test_search_finds_words_of_any_language(filled: RunMemory, query: str, first: str) -> None:
    found = filled.search(None, query, 10)
    assert found
    assert found[0].key == first


@pytest.mark.parametrize("query", ["nothing such", "'", "\\", "&|!()", ":*", "%", "a & b | !c <->"])
def test_no_query_breaks_the_search(filled: RunMemory, query: str) -> None:
    for entry in filled.search(None, query, 10):
        assert entry.key in TEXTS


def test_an_entry_with_all_words_comes_before_one_with_some(filled: RunMemory) -> None:
    assert [e.key for e in filled.search(None, "green beans", 10)] == ["lunch", "colour"]


def test_a_search_stays_in_its_namespace_and_under_its_limit(filled: RunMemory) -> None:
    assert [e.key for e in filled.search("agent", "green", 10)] == ["other"]
    assert len(filled.search(None, "green", 1)) == 1
    assert len(filled.search(None, "", 3)) == 3


def test_what_is_over_is_not_found(filled: RunMemory) -> None:
    ends(filled, None, "colour")
    assert [e.key for e in filled.search(None, "green", 10)] == ["lunch"]
    assert filled.search(None, "dislike", 10) == []


def test_a_search_by_words_uses_its_index(filled: RunMemory) -> None:
    owner = User.objects.get().pk
    for n in range(300):
        memories.put(
            Namespace(MemoryKind.PERSON, owner=owner), note(f"n{n}", n, None, f"word{n}"),
            Writer("x"),
        )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(
            "EXPLAIN SELECT 1 FROM memory WHERE found_by @@ plainto_tsquery('simple', 'word7')"
        )
        assert "memory_found_by" in str(cursor.fetchall())


def test_long_and_odd_texts_are_kept(run_memory: RunMemory) -> None:
    long = " ".join(f"wörd{n}" for n in range(10_000))
    for key, value in {"long": long, "odd": "a\0b\ud800", "one": "x" * 200_000}.items():
        run_memory.put(None, note(key, value, None, None), "s")
        entry = run_memory.get(None, key)
        assert entry is not None
        assert entry.value == value


def test_a_note_can_be_written_by_hand(run_memory: RunMemory) -> None:
    space = Namespace(MemoryKind.AGENT, agent="clerk")
    assert memories.add(space, note("k", 1, None, None), Writer("ana"), None) is not None
    assert memories.add(space, note("k", 2, None, None), Writer("ana"), None) is None
    entry: Note = note("k", 3, None, None)
    row = Memory.objects.get()
    revised = memories.revise(
        row.public_id, 1, value=entry.value, text="", expires_at=None, by="ana"
    )
    again = memories.revise(row.public_id, 1, value=entry.value, text="", expires_at=None, by="ana")
    assert (revised, again) == (2, None)
