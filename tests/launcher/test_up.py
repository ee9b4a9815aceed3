"""``bin/up`` for real: what a person, a crash and a second start find."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

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

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180), pytest.mark.xdist_group("launcher")]


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
    until(lambda: running.get("/admin/login/") == 200, "the sign-in page")
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


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_a_user_without_an_account_can_start_it(tmp_path: Path) -> None:
    python = _python_for_everybody()
    nobody_we_know = 54321
    home = Path(shutil.copytree(PROJECT / "bin", f"/tmp/agentops-test-{os.getpid()}"))
    try:
        os.chown(home, nobody_we_know, nobody_we_know)
        said = subprocess.run(
            [python, str(PROJECT / "manage.py"), "up", f"--data={home / 'data'}", "--check"],
            env=environment(HOME=str(home), PYTHONPATH=_site_packages()),
            user=nobody_we_know,
            group=nobody_we_know,
            extra_groups=[],
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
        )
    finally:
        shutil.rmtree(home)
    assert said.returncode == 0, said.stdout + said.stderr


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


def _site_packages() -> str:
    return next(path for path in sys.path if path.endswith("site-packages"))


def _python_for_everybody() -> str:
    """An interpreter of our version that anybody may run; root's own may lie in a private home."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for candidate in (os.path.realpath(sys.executable), f"/usr/bin/{version}"):
        seen = subprocess.run(
            ["/usr/bin/env", candidate, "-c", ""], user=54321, group=54321, capture_output=True
        )
        if seen.returncode == 0 and os.access(_site_packages(), os.R_OK):
            return candidate
    pytest.skip(f"no {version} that an ordinary user may run")
