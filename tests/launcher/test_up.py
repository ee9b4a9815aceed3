"""``bin/up`` for real: what a person, a crash and a second start find."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from agentops.launcher.home import PROJECT, Home
from tests.launcher.launched import (
    PATIENCE_SECONDS,
    Launched,
    environment,
    launched,
    processes_of,
    until,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240), pytest.mark.xdist_group("launcher")]


_IS_ROOT = os.getuid() == 0
_STRANGER = 54321


def long(folder: Path) -> Path:
    """A folder whose path is too long for a Unix socket."""
    return folder / ("deep-" * 20) / "data"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launched]:
    """One launcher for everything that leaves it whole."""
    with launched(long(tmp_path_factory.mktemp("up"))) as it:
        yield it


def test_it_says_where_to_sign_in_and_with_what(running: Launched) -> None:
    first = json.loads(running.home.first_sign_in.read_text())
    assert running.says(f"READY {running.state['url']}")
    assert running.says(f"Sign in as operator with the password {first['password']}")
    assert running.get("/healthz") == 200
    assert running.get("/admin/login/") == 200


def test_what_it_keeps_is_for_its_owner_alone(running: Launched) -> None:
    for path in (running.home.secrets, running.home.first_sign_in, running.home.state):
        assert oct(path.stat().st_mode & 0o777) == "0o600", path
    for folder in (running.home.folder, running.home.sockets, running.home.postgres):
        assert oct(folder.stat().st_mode & 0o777) == "0o700", folder


def test_a_second_start_in_the_folder_names_the_first(running: Launched) -> None:
    second = _up(running.home.folder)
    assert second.returncode == 3
    assert f"Already running: {running.state['url']}" in second.stdout


@pytest.mark.parametrize("name", ["web", "worker", "beat", "valkey", "postgres"])
def test_a_killed_process_is_started_again(running: Launched, name: str) -> None:
    before = running.pid_of(name)
    assert before is not None
    os.kill(before, signal.SIGKILL)
    until(lambda: running.pid_of(name) not in (before, None), f"a new {name}")
    until(lambda: running.get("/readyz") == 200, "everything is ready again")
    assert running.says(f"{name} was ended by SIGKILL; starting it again")


def test_commands_beside_it_use_its_servers(running: Launched) -> None:
    said = subprocess.run(
        [sys.executable, "manage.py", "shell", "-c", "print(User.objects.get().username)"],
        cwd=PROJECT,
        env=environment(AGENTOPS_DATA=str(running.home.folder)),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert said.stdout.splitlines()[-1:] == ["operator"], said.stderr


def test_data_survive_an_ordered_stop_and_a_kill(tmp_path: Path) -> None:
    with launched(tmp_path) as first:
        _remember(first.home, "stopped in order")
        assert first.end(signal.SIGINT) == 0
        assert first.lines[-1] == "stopped"
        assert first.leftovers() == []
        assert not first.home.state.exists()
    with launched(tmp_path) as second:
        assert not second.says("set-up"), "a warm start must not set up again"
        _remember(second.home, "killed")
        second.process.kill()
        second.process.wait()
        until(lambda: second.leftovers() == [], "no process to be left behind")
    with launched(tmp_path) as third:
        assert _remembered(third.home) == ["stopped in order", "killed"]


def test_a_closed_terminal_ends_it(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [sys.executable, str(PROJECT / "manage.py"), "up", f"--data={tmp_path}"],
        stdin=subprocess.DEVNULL,
        stdout=writing,
        stderr=subprocess.DEVNULL,
        env=environment(),
        start_new_session=True,
    )
    os.close(writing)
    try:
        until(lambda: b"postgres" in os.read(reading, 65536), "the first lines")
        os.close(reading)
        assert process.wait(PATIENCE_SECONDS) == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    assert processes_of(tmp_path, besides=process.pid) == []


def test_named_servers_are_used_and_none_of_ours_started(tmp_path: Path) -> None:
    name = f"named_{os.getpid()}"
    address = os.environ["DATABASE_URL"]
    with _connect(Path(address.partition("host=")[2])) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    named = {
        "DATABASE_URL": address.replace("/agentops?", f"/{name}?"),
        "REDIS_URL": os.environ["REDIS_URL"].replace("db=0", "db=7"),
    }
    with launched(tmp_path, "--logs=json", **named) as it:
        assert it.says("the server named by DATABASE_URL")
        assert not it.home.postgres.exists()
        assert not it.home.valkey.exists()
        assert sorted(_processes(it)) == ["beat", "web", "worker"]


def test_a_fresh_clone_starts_for_an_ordinary_user() -> None:
    """From nothing but Python, with a user id that has no account where we may become one."""
    with _fresh_copy() as clone:
        who: dict[str, Any] = (
            {"user": _STRANGER, "group": _STRANGER, "extra_groups": []} if _IS_ROOT else {}
        )
        path = "/usr/local/bin:/usr/bin:/bin" if _IS_ROOT else os.environ["PATH"]
        surroundings = environment(HOME=str(clone.parent), PATH=path)
        _need_python(surroundings, who)
        said = subprocess.run(
            [str(clone / "bin/up"), "--check"],
            env=surroundings,
            capture_output=True,
            text=True,
            timeout=150,
            **who,
        )
        assert said.returncode == 0, said.stdout + said.stderr
        assert "environment  ready" in said.stdout
        assert "OK http://localhost:" in said.stdout
        assert processes_of(clone, besides=0) == []


@contextlib.contextmanager
def _fresh_copy() -> Iterator[Path]:
    # Not below pytest's own folder, which strangers may not enter.
    place = Path(tempfile.mkdtemp(prefix="agentops-clone-"))
    try:
        unwanted = shutil.ignore_patterns(".venv", "var", ".git", ".*_cache", "__pycache__")
        clone = Path(shutil.copytree(PROJECT, place / "clone", ignore=unwanted))
        if _IS_ROOT:
            for path in (place, *place.rglob("*")):
                os.chown(path, _STRANGER, _STRANGER, follow_symlinks=False)
        yield clone
    finally:
        shutil.rmtree(place)


def _need_python(surroundings: dict[str, str], who: dict[str, Any]) -> None:
    question = "import ensurepip, sys; sys.exit(sys.version_info < (3, 11))"
    asked = subprocess.run(
        ["python3", "-c", question], env=surroundings, **who, capture_output=True
    )
    if asked.returncode:
        pytest.skip("no Python of 3.11 or newer with venv that an ordinary user may run")


def _up(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(PROJECT / "manage.py"), "up", f"--data={folder}", *options],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )


def _processes(it: Launched) -> dict[str, int]:
    processes = it.state["processes"]
    assert isinstance(processes, dict)
    return processes


def _connect(sockets: Path) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(host=str(sockets), user="agentops", dbname="agentops", autocommit=True)


def _remember(home: Home, what: str) -> None:
    with _connect(home.sockets) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS remembered (what text)")
        connection.execute("INSERT INTO remembered VALUES (%s)", [what])


def _remembered(home: Home) -> list[object]:
    with _connect(home.sockets) as connection:
        return [what for (what,) in connection.execute("SELECT what FROM remembered")]
