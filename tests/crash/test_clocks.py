"""A worker whose clock is wrong: the database's clock decides."""

from __future__ import annotations

import shutil
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from tests.crash.plant import Plant
from tests.crash.runs import start

pytestmark = pytest.mark.crash


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler to build the wrong clock with")
    built = tmp_path_factory.mktemp("clock") / "clock.so"
    source = Path(__file__).with_name("clock.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", built, source, "-ldl"], check=True)
    return built


@pytest.mark.parametrize("jump", [-86_400, 86_400])
def test_a_day_ahead_or_behind_changes_nothing(plant: Plant, shim: Path, jump: int) -> None:
    plant.worker(queue="odd", LD_PRELOAD=str(shim), TEST_CLOCK_JUMP=str(jump))
    plant.stayer()
    run = start(plant, "clerk", queue="odd", steps=["look", "sleep", "pay"])
    run.succeeded(["look", "sleep", "pay"])
    assert plant.value("SELECT count(*) FROM worker WHERE state = 'dead'") == 0
    now = plant.value("SELECT clock_timestamp()")
    row = run.row
    assert now - row["finished_at"] < timedelta(minutes=2)
    assert row["finished_at"] - row["started_at"] >= timedelta(seconds=3)
    assert all(abs(now - line["at"]) < timedelta(minutes=2) for line in run.journal)
