from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentops import ToolError
from agentops.agents.dependency_audit.folders import find_environment
from agentops.agents.dependency_audit.records import Target
from tests.agents.environments import install, virtualenv


def find(folder: Path | str | None) -> Target:
    found = find_environment(None if folder is None else str(folder))
    assert isinstance(found, Target)
    return found


def labels(target: Target) -> list[str]:
    return [Path(path).name for path in target.distributions]


def test_nothing_means_the_environment_that_runs_the_audit() -> None:
    target = find(None)

    assert target.python.startswith(f"{sys.version_info.major}.{sys.version_info.minor}")
    assert len(target.distributions) > 50
    assert any(label.startswith("django-5") for label in labels(target))


def test_a_virtual_environment_says_its_python_and_packages(tmp_path: Path) -> None:
    site = virtualenv(tmp_path / "env", "3.13.2")
    install(site, "six", "1.17.0")

    target = find(tmp_path / "env")

    assert (target.python, labels(target)) == ("3.13.2", ["six-1.17.0.dist-info"])
    assert target.project is None


def test_a_project_is_audited_with_the_environment_inside_it(tmp_path: Path) -> None:
    install(virtualenv(tmp_path / ".venv"), "six", "1.17.0")
    install(virtualenv(tmp_path / "other"), "attrs", "25.1.0")
    (tmp_path / "requirements.txt").write_text("six\n")

    target = find(tmp_path)

    assert labels(target) == ["six-1.17.0.dist-info"]
    assert target.project == str(tmp_path)
    assert target.notes == ("The environment .venv was audited, not other.",)


def test_the_project_around_an_environment_is_found(tmp_path: Path) -> None:
    install(virtualenv(tmp_path / ".venv"), "six", "1.17.0")
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")

    assert find(tmp_path / ".venv").project == str(tmp_path)


def test_a_package_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    install(tmp_path, "six", "1.17.0")

    target = find(tmp_path)

    assert target.paths == (str(tmp_path),)
    assert "does not say for which Python" in " ".join(target.notes)


def test_a_folder_reached_by_two_names_is_read_once(tmp_path: Path) -> None:
    site = virtualenv(tmp_path)
    install(site, "six", "1.17.0")
    (tmp_path / "lib64").symlink_to("lib")

    assert len(find(tmp_path).distributions) == 1


def test_a_project_without_environment_is_said_to_have_none(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("six\n")

    target = find(tmp_path)

    assert target.distributions == ()
    assert "No environment was found" in target.notes[0]


def test_eggs_and_egg_infos_are_found_too(tmp_path: Path) -> None:
    (tmp_path / "old-1.0.egg-info").write_text("Name: old\nVersion: 1.0\n")
    (tmp_path / "older-2.0-py3.egg" / "EGG-INFO").mkdir(parents=True)

    assert labels(find(tmp_path)) == ["old-1.0.egg-info", "EGG-INFO"]


@pytest.mark.parametrize(
    ("folder", "sentence"),
    [
        ("relative/folder", "is not an absolute path"),
        ("/no/such/folder", "does not exist on the machine of the worker"),
        ("/etc/passwd", "is a file"),
        ("/nul\0byte", "is not an absolute path"),
    ],
)
def test_a_bad_folder_is_refused_in_plain_words(folder: str, sentence: str) -> None:
    with pytest.raises(ToolError, match=sentence):
        find(folder)


def test_a_folder_with_nothing_in_it_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"Nothing to audit in .*pyproject\.toml"):
        find(tmp_path)


@contextlib.contextmanager
def ordinary_user() -> Iterator[None]:
    """Nobody's rights for a moment, when the tests run as root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_folder_that_may_not_be_read_names_the_user_who_may_not(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)

    with ordinary_user(), pytest.raises(ToolError, match="may not be read by the worker, which"):
        find(closed)


def test_only_named_folders_are_audited_once_any_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    install(inside / "site", "six", "1.17.0")
    install(outside, "six", "1.17.0")
    (inside / "link").symlink_to(outside)
    monkeypatch.setenv("AGENTOPS_AUDIT_FOLDERS", str(inside))

    assert labels(find(inside / "site")) == ["six-1.17.0.dist-info"]
    for refused in (outside, inside / "link", inside / ".." / "outside"):
        with pytest.raises(ToolError, match="outside the folders this system may audit"):
            find(refused)
