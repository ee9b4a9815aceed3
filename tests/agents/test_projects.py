from __future__ import annotations

from pathlib import Path

import pytest

from agentops.agents.dependency_audit import project_findings
from agentops.agents.dependency_audit.declarations import read_project
from agentops.agents.dependency_audit.findings import Kind
from agentops.agents.dependency_audit.installed import Installed, picture
from agentops.agents.dependency_audit.policy import Policy
from agentops.agents.dependency_audit.records import Distribution, Project
from tests.agents.environments import declared, record


def read(folder: Path, **files: str) -> Project:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_", ".", 1)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    found = read_project(str(folder))
    assert isinstance(found, Project)
    return found


def installed(*distributions: Distribution, project: Project) -> Installed:
    return picture(distributions, "3.12.4", project.declared)


def names(project: Project) -> list[tuple[str, str]]:
    return [(d.text, d.field) for d in project.declared]


def test_every_table_of_a_pyproject_is_read(tmp_path: Path) -> None:
    project = read(
        tmp_path,
        pyproject_toml="""
            [project]
            dependencies = ["a>=1", "not a requirement!"]
            [project.optional-dependencies]
            fast = ["b"]
            [dependency-groups]
            dev = ["c", {include-group = "lint"}]
            lint = ["d==1"]
            bad = [{include-group = "none"}]
        """,
    )

    assert names(project) == [
        ("a>=1", "project.dependencies"),
        ("b", "project.optional-dependencies.fast"),
        ("c", "dependency-groups.dev"),
        ("d==1", "dependency-groups.dev"),
    ]
    assert [d.installed_by_default for d in project.declared] == [True, False, False, False]
    assert "“not a requirement!” was not understood" in project.notes[0]
    assert "dependency-groups.bad in pyproject.toml cannot be read" in project.notes[1]


def test_requirement_files_are_read_with_what_they_include(tmp_path: Path) -> None:
    project = read(
        tmp_path,
        requirements_txt=(
            "# everything\n-r extra.txt\n-c limits.txt\n--index-url https://x\n"
            "a==1 \\\n    --hash=sha256:abc  # why\nb ; python_version > '3'\n-e ./here\n"
            "-r ../outside.txt\n<<<\n"
        ),
        extra_txt="c\n-r requirements.txt\n",
        limits_txt="b==2.0\nc>=1\n",
    )

    assert [d.text for d in project.declared] == ["c", "a==1", "b ; python_version > '3'"]
    assert [d.field for d in project.declared] == ["line 1", "line 5", "line 7"]
    assert project.locked == {"b": ["2.0"]}
    assert project.notes == (
        "requirements.txt: “-e ./here” was not followed.",
        "requirements.txt: “-r ../outside.txt” was not followed.",
        "requirements.txt, line 10: “<<<” was not understood.",
    )


@pytest.mark.parametrize(
    ("file", "key"),
    [("uv_lock", "package"), ("poetry_lock", "package"), ("pylock_toml", "packages")],
)
def test_lock_files_are_read(tmp_path: Path, file: str, key: str) -> None:
    text = f"""
        [[{key}]]
        name = "Some.Thing"
        version = "1.0"
        [[{key}]]
        name = "some-thing"
        version = "2.0"
        [[{key}]]
        name = "own"
        version = "0"
        source = {{ virtual = "." }}
    """
    project = read(tmp_path, **{file: text})

    assert project.lock_file == file.replace("_", ".")
    assert project.locked == {"some-thing": ["1.0", "2.0"], "own": []}


def test_files_that_cannot_be_read_are_noted_and_not_fatal(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_bytes(b"\xff\xfe\x00")
    project = read(tmp_path, pyproject_toml="[project", setup_py="raise SystemExit")

    assert "pyproject.toml is not valid TOML" in project.notes[0]
    assert "requirements.txt cannot be read" in project.notes[1]
    assert "setup.py was not run" in project.notes[2]


def test_a_file_that_leads_outside_the_project_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("root:x:0\n")
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "requirements.txt").symlink_to("../secret")

    project = read(tmp_path / "p")

    assert project.notes == ("requirements.txt leads outside the project and was not read.",)


def test_an_open_requirement_without_a_lock_is_unpinned() -> None:
    asked = declared("a>=1", "b==1.0", "c==1.*", "d===x", "e @ https://x/e.whl#sha256=00")
    project = Project("/p", declared=asked)

    found = list(project_findings.unpinned(project, Policy()))

    assert [f.package for f in found] == ["a", "c"]
    assert found[0].sentence == "“a>=1” leaves the version open and no lock file holds it."
    assert list(project_findings.unpinned(project, Policy(pinned=False))) == []


def test_a_lock_file_pins_what_it_holds() -> None:
    project = Project("/p", declared=declared("a", "b"), locked={"a": ["1"]}, lock_file="uv.lock")

    assert [f.sentence for f in project_findings.unpinned(project, Policy())] == [
        "“b” leaves the version open and uv.lock lacks it."
    ]


def test_what_the_project_asks_for_must_be_there() -> None:
    project = Project("/p", declared=declared("a<2", "b", 'c; sys_platform == "win32"'))
    here = installed(record("a", "2.0"), project=project)

    found = list(project_findings.unmet_declarations(project, here))

    assert [(f.kind, f.sentence) for f in found] == [
        (Kind.CONFLICT, "The project asks for a<2, but 2.0 is installed."),
        (Kind.MISSING, "The project asks for b, but it is not installed."),
    ]


def test_nothing_is_missed_where_nothing_is_installed() -> None:
    project = Project("/p", declared=declared("a"))

    assert list(project_findings.unmet_declarations(project, installed(project=project))) == []


def test_an_environment_that_left_its_lock_file_is_told() -> None:
    project = Project(
        "/p", locked={"a": ["1.0", "1.1"], "b": ["2.0"], "own": []}, lock_file="uv.lock"
    )
    here = installed(
        record("a", "1.1"), record("b", "2.1"), record("own", "9"), record("extra"),
        record("pip"), record("local", origin="file:///src"), project=project,
    )  # fmt: skip

    found = list(project_findings.drift(project, here))

    assert [(f.kind, f.sentence) for f in found] == [
        (Kind.DRIFT, "uv.lock says 2.0; 2.1 is installed."),
        (Kind.UNLOCKED, "uv.lock does not name it."),
    ]
    assert [f.package for f in found] == ["b", "extra"]
