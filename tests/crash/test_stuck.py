"""Code that never returns, and values that cannot be stored."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.plant import Plant, until
from tests.crash.runs import start
from tests.crash.victims import QUEUE

pytestmark = pytest.mark.crash


def test_a_tool_that_never_returns_is_given_up(plant: Plant) -> None:
    plant.stayer()
    run = start(plant, "patient")
    run.succeeded("StepTimeout, then look")
    assert plant.world.count("enter never_returns") == 1


def test_a_blocked_loop_ends_the_process_and_others_go_on(plant: Plant) -> None:
    run = start(plant, "clerk", queue=QUEUE, steps=["block_the_loop"])
    victim = plant.worker(queue=QUEUE, AGENTOPS_STUCK_SECONDS="2")
    assert victim.wait() == 70, victim.said
    assert "loop.stuck" in victim.said
    assert "block_the_loop" in victim.said
    plant.stayer()
    run.move_to("default").succeeded(["went through"])


@pytest.fixture
def strict(plant: Plant) -> Iterator[None]:
    """A database that refuses the rows of one step."""
    plant.execute("ALTER TABLE journal ADD CONSTRAINT strict CHECK (name <> 'refused')")
    yield
    plant.execute("ALTER TABLE journal DROP CONSTRAINT strict")


@pytest.mark.usefixtures("strict")
def test_a_row_postgres_refuses_parks_its_run_and_no_other(plant: Plant) -> None:
    plant.stayer()
    others = [start(plant, "clerk", steps=["look", "post", "look"]) for _ in range(10)]
    bad = start(plant, "unstorable")
    more = [start(plant, "clerk", steps=["look", "post", "look"]) for _ in range(10)]
    bad.until_waiting("payload")
    for run in others + more:
        run.succeeded(["look", "post", "look"])
    bad.check()


@pytest.fixture
def tight(plant: Plant) -> Iterator[Path]:
    """The journal lies on a disk of a few megabytes."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount a small disk to fill up")
    disk = plant.folder / "tight"
    disk.mkdir(exist_ok=True)
    options = "size=6m,mode=0777"
    said = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tight", str(disk)], capture_output=True, text=True
    )
    if said.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {said.stderr.strip()}")
    try:
        (disk / "space").mkdir(mode=0o700)
        shutil.chown(disk / "space", *plant.owner)
        plant.execute(f"CREATE TABLESPACE tight LOCATION '{disk / 'space'}'")
        plant.execute("ALTER TABLE journal SET TABLESPACE tight")
        yield disk
    finally:
        plant.execute("ALTER TABLE journal SET TABLESPACE pg_default")
        plant.execute("DROP TABLESPACE IF EXISTS tight")
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk_stops_the_work_and_an_emptied_one_lets_it_go_on(
    plant: Plant, tight: Path
) -> None:
    worker = plant.stayer()
    ballast = tight / "ballast"
    with ballast.open("wb") as file:
        file.write(bytes(shutil.disk_usage(tight).free - 200_000))
    before = worker.said.count("writer.retrying")
    run = start(plant, "big", steps=20, size=60_000)
    until(lambda: worker.said.count("writer.retrying") > before, "the disk is full")
    assert run.status == "running"
    ballast.unlink()
    run.succeeded(20 * 60_000)
