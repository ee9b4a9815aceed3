"""What we ship of others is what we say it is."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = [ROOT / "static/vendor", ROOT / "tests/vendor"]
PACKAGES = [
    (folder, entry)
    for folder in FOLDERS
    for entry in json.loads((folder / "manifest.json").read_text())
]


@pytest.mark.parametrize(("folder", "entry"), PACKAGES, ids=lambda value: str(value)[-30:])
def test_vendored_files_match_their_manifest(
    folder: Path, entry: dict[str, dict[str, str]]
) -> None:
    there = sorted((folder / str(entry["folder"])).iterdir())
    assert [file.name for file in there] == sorted(entry["sha256"])
    for file in there:
        assert hashlib.sha256(file.read_bytes()).hexdigest() == entry["sha256"][file.name]
    assert str(entry["version"]) in str(entry["folder"])
    assert "LICENSE" in entry["sha256"]


def test_nothing_is_vendored_without_a_manifest_entry() -> None:
    for folder in FOLDERS:
        named = {entry["folder"] for where, entry in PACKAGES if where == folder}
        there = {path.name for path in folder.iterdir() if path.is_dir()} - {"__pycache__"}
        assert there == named


def test_our_scripts_stay_within_five_kilobytes() -> None:
    scripts = sorted((ROOT / "static/console").glob("*.js"))
    assert sum(len(gzip.compress(file.read_bytes(), 9)) for file in scripts) <= 5 * 1024
