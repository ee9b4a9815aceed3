from __future__ import annotations

import json
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agentops import Fatal, Retryable, ToolContext, Verified
from agentops.agents.dependency_audit.files import JSON, MARKDOWN, report_is_written, write_report
from agentops.reports import Written
from agentops.sdk.tools import Verdict

TEXT, DATA = "# Report – ✓\n", {"packages": [1, 2, 3], "verdict": "fine"}


def write(call: ToolContext) -> Written:
    written = write_report(call, TEXT, dict(DATA))
    assert isinstance(written, Written)
    return written


def verified(call: ToolContext) -> Verified:
    return report_is_written(call, TEXT, dict(DATA))


def test_both_files_are_written_and_proven(data: Path, call: ToolContext) -> None:
    assert verified(call).verdict is Verdict.NOT_DONE

    written = write(call)

    assert Path(written.markdown).read_text() == TEXT
    assert json.loads(Path(written.json).read_text())["report"] == DATA
    assert Path(written.json) == data / "reports" / "run_abc" / JSON
    assert verified(call) == Verified.done(written)


def test_writing_again_gives_the_same_files(data: Path, call: ToolContext) -> None:
    assert write(call) == write(call)
    assert sorted(p.name for p in (data / "reports" / "run_abc").iterdir()) == [JSON, MARKDOWN]


@pytest.mark.parametrize("name", [MARKDOWN, JSON])
def test_a_lost_or_damaged_file_is_not_done(data: Path, call: ToolContext, name: str) -> None:
    write(call)
    file = data / "reports" / "run_abc" / name
    whole = file.read_bytes()

    file.write_bytes(whole.replace(b"R", b"r").replace(b"fine", b"bad"))
    assert verified(call).verdict is Verdict.NOT_DONE
    file.write_bytes(whole[: len(whole) // 2])
    assert verified(call).verdict is Verdict.NOT_DONE
    file.unlink()
    assert verified(call).verdict is Verdict.NOT_DONE


def test_a_report_of_another_call_proves_nothing(data: Path, call: ToolContext) -> None:
    write(call)
    other = ToolContext(run_id="run_abc", key="tool#2", attempt=1, deadline=0.0)

    assert verified(other).verdict is Verdict.UNKNOWN


@contextmanager
def full_disk(limit: int) -> Iterator[None]:
    """No file of this process may grow beyond ``limit`` bytes: writing fails as on a full disk."""
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("limit", [4, 40])
def test_a_full_disk_is_worth_another_try_and_leaves_nothing(
    data: Path, call: ToolContext, limit: int
) -> None:
    with full_disk(limit), pytest.raises(Retryable, match="cannot be written"):
        write(call)

    assert [p.name for p in (data / "reports" / "run_abc").iterdir() if "part" in p.name] == []
    assert verified(call).verdict is Verdict.NOT_DONE
    written = write(call)
    assert verified(call) == Verified.done(written)


def test_a_place_that_is_no_folder_is_hopeless(data: Path, call: ToolContext) -> None:
    data.mkdir()
    (data / "reports").write_text("in the way")

    with pytest.raises(Fatal, match="may not write"):
        write(call)
