"""One kept program: started again, told apart, ended with all it started."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import sys
from pathlib import Path

import pytest

from agentops.launcher import children
from agentops.launcher.children import Child, Program
from agentops.launcher.errors import LaunchError
from agentops.launcher.output import Output


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "_FIRST_DELAY", 0.01)


class Stage:
    """A place for children, and what was said there."""

    def __init__(self, folder: Path) -> None:
        self.said = io.StringIO()
        self.output = Output(self.said, as_json=False, on_closed=lambda: None)
        self.folder = folder

    def child(self, script: str, **how: object) -> Child:
        program = Program("it", (sys.executable, "-c", script), grace_seconds=5, **how)  # type: ignore[arg-type]
        return Child(program, os.environ, self.output, self.folder)

    @property
    def lines(self) -> list[str]:
        self.output.close()
        return self.said.getvalue().splitlines()


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


async def _until(is_so: object) -> None:
    async with asyncio.timeout(20):
        while not is_so():  # type: ignore[operator]
            await asyncio.sleep(0.01)


async def test_what_it_says_is_passed_on_line_by_line(stage: Stage) -> None:
    child = stage.child("print('one'); print('two', end='')")
    assert await child.run() == 0
    assert stage.lines == ["it       │ one", "it       │ two"]
    assert (stage.folder / "it.log").read_text() == "one\ntwo"
    await child.stop()


async def test_a_program_that_ends_is_started_again(stage: Stage) -> None:
    child = stage.child("print('hello')")
    child.start()
    await _until(lambda: child.early_exits >= 2)
    await child.stop()
    assert "it ended with code 0; starting it again in 0.01 s" in stage.lines


async def test_one_that_never_works_is_given_up_with_its_last_words(stage: Stage) -> None:
    child = stage.child("import sys; sys.exit('no such table')")
    child.start()
    await _until(lambda: child.early_exits >= 3)
    with pytest.raises(LaunchError, match=r"it does not start(.|\n)*no such table"):
        child.check_start()
    await child.stop()


async def test_one_that_cannot_even_be_run_is_told(stage: Stage) -> None:
    child = stage.child("")
    child.program = Program("it", ("/nonexistent/program",))
    child.start()
    await asyncio.sleep(0.1)
    with pytest.raises(FileNotFoundError):
        child.check_start()
    await child.stop()


async def test_it_announces_itself(stage: Stage) -> None:
    announce = "import time; from agentops import announce; announce.ready(); time.sleep(60)"
    child = stage.child(announce, announces=True)
    child.start()
    await asyncio.wait_for(child.announced.wait(), 20)
    await child.stop()


async def test_a_stop_that_is_not_heard_becomes_a_kill(stage: Stage) -> None:
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); "
    child = stage.child(deaf + "time.sleep(60)")
    child.program = Program("it", child.program.command, grace_seconds=0.2)
    child.start()
    await _until(lambda: list(child.last_words) == ["deaf"])
    await child.stop()
    assert child.exit_code == -signal.SIGKILL


async def test_what_it_started_ends_with_it(stage: Stage) -> None:
    script = (
        "import subprocess, sys, time; "
        "it = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); "
        "print(it.pid, flush=True)"
    )
    child = stage.child(script)
    await child.run()
    grandchild = int(child.last_words[0])
    await _until(lambda: not _is_alive(grandchild))
    await child.stop()


async def test_a_line_without_end_does_not_fill_the_memory(stage: Stage) -> None:
    child = stage.child("import sys; sys.stdout.write('x' * 300_000)")
    await child.run()
    await child.stop()
    assert sum(line.count("x") for line in stage.lines) == 300_000
    assert max(map(len, stage.lines)) < 200_000


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"
