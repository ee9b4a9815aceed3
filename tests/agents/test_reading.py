from __future__ import annotations

import os
from pathlib import Path

from agentops.agents.dependency_audit.reading import read_distribution
from agentops.agents.dependency_audit.records import Distribution
from tests.agents.environments import install


def read(folder: Path) -> Distribution:
    found = read_distribution(str(folder))
    assert isinstance(found, Distribution)
    return found


def test_every_field_an_audit_needs_is_read(tmp_path: Path) -> None:
    folder = install(
        tmp_path, "My-Package", "1.2",
        "License-Expression: MIT", "Classifier: License :: OSI Approved :: MIT License",
        "Classifier: Framework :: Django", "Requires-Python: >=3.9",
        "Requires-Dist: six>=1", "Provides-Extra: fast", 'Requires-Dist: uvloop; extra == "fast"',
    )  # fmt: skip

    found = read(folder)

    assert (found.name, found.version, found.problems) == ("My-Package", "1.2", ())
    assert found.licence_expression == "MIT"
    assert found.licence_classifiers == ("License :: OSI Approved :: MIT License",)
    assert found.requires == ("six>=1", 'uvloop; extra == "fast"')
    assert (found.requires_python, found.installer) == (">=3.9", "uv")
    assert len(found.dated) == len("2026-01-01")


def test_unknown_is_no_licence(tmp_path: Path) -> None:
    assert read(install(tmp_path, "a", "1", "License: UNKNOWN")).licence_text == ""


def test_a_folder_without_metadata_is_broken_but_named(tmp_path: Path) -> None:
    folder = tmp_path / "lost-1.0.dist-info"
    folder.mkdir()

    found = read(folder)

    assert (found.name, found.version) == ("lost", "1.0")
    assert found.problems == ("lost-1.0.dist-info has no METADATA file.",)


def test_empty_metadata_are_broken(tmp_path: Path) -> None:
    found = read(install(tmp_path, "a", "1", text=" \n"))

    assert found.problems == ("a-1.dist-info/METADATA is empty.",)


def test_metadata_that_are_not_text_are_broken(tmp_path: Path) -> None:
    folder = install(tmp_path, "a", "1")
    (folder / "METADATA").write_bytes(b"Name: a\xff\xfe\n")

    assert read(folder).problems[0].startswith("Its metadata cannot be read: UnicodeDecodeError")


def test_a_folder_that_vanishes_is_broken_not_fatal(tmp_path: Path) -> None:
    assert read(tmp_path / "gone-1.0.dist-info").problems == (
        "gone-1.0.dist-info has no METADATA file.",
    )


def test_a_pipe_in_place_of_metadata_is_not_opened(tmp_path: Path) -> None:
    folder = install(tmp_path, "a", "1")
    (folder / "METADATA").unlink()
    os.mkfifo(folder / "METADATA")

    assert read(folder).problems == ("METADATA is not a file.",)


def test_giant_metadata_are_not_read(tmp_path: Path) -> None:
    folder = install(tmp_path, "a", "1")
    with (folder / "METADATA").open("r+b") as file:
        file.truncate(33 * 1024 * 1024)

    assert read(folder).problems == ("METADATA is larger than 32 MB.",)


def test_what_an_interrupted_installation_left_is_named(tmp_path: Path) -> None:
    found = read(install(tmp_path, "pip", "24.0", label="~ip-24.0.dist-info"))

    assert "left by an interrupted installation" in found.problems[0]


def test_missing_and_wrong_fields_are_each_named(tmp_path: Path) -> None:
    folder = install(
        tmp_path, "a", "1",
        text="Version: one\nRequires-Python: lots\nRequires-Dist: ???\n",
    )  # fmt: skip

    assert read(folder).problems == (
        "Its metadata lack the field Name.",
        "Version “one” is not a version.",
        "Requires-Python “lots” is not a version range.",
        "Requirement “???” cannot be understood.",
    )


def test_a_name_that_is_not_the_folders_is_broken(tmp_path: Path) -> None:
    found = read(install(tmp_path, "other", "1", label="mine-1.dist-info"))

    assert found.problems == ("The folder is called mine-1.dist-info, the metadata say other.",)


def test_names_that_differ_in_spelling_only_are_the_same(tmp_path: Path) -> None:
    found = read(install(tmp_path, "Zope.Interface", "7.0", label="zope_interface-7.0.dist-info"))

    assert found.problems == ()


def test_a_distutils_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "old-0.9.egg-info"
    file.write_text("Metadata-Version: 1.0\nName: old\nVersion: 0.9\nLicense: MIT\n")

    found = read(file)

    assert (found.name, found.version, found.licence_text) == ("old", "0.9", "MIT")


def test_requirements_of_an_egg_info_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "old.egg-info"
    folder.mkdir()
    (folder / "PKG-INFO").write_text("Metadata-Version: 1.2\nName: old\nVersion: 0.9\n")
    (folder / "requires.txt").write_text("six>=1\n\n[fast]\nuvloop\n")

    assert read(folder).requires == ("six>=1", 'uvloop; extra == "fast"')


def test_a_licence_file_is_read_when_no_field_names_one(tmp_path: Path) -> None:
    folder = install(tmp_path, "a", "1")
    (folder / "licenses").mkdir()
    (folder / "licenses" / "LICENSE.txt").write_text("This is free and unencumbered software")

    found = read(folder)

    assert found.licence_file == "licenses/LICENSE.txt"
    assert found.licence_file_text.startswith("This is free")


def test_the_place_it_came_from_is_told_without_password(tmp_path: Path) -> None:
    folder = install(tmp_path, "a", "1")
    (folder / "direct_url.json").write_text(
        '{"url": "https://me:secret@git.example/a", "vcs_info": {"vcs": "git", "commit_id": "abc"}}'
    )

    assert read(folder).origin == "https://git.example/a at abc"


def test_an_unreadable_origin_is_said_to_be_so(tmp_path: Path) -> None:
    folder = install(tmp_path, "a", "1")
    (folder / "direct_url.json").write_text("{")

    assert read(folder).origin == "direct_url.json cannot be read"
