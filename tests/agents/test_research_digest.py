"""The digest: what it may read, what it cites, and what it does about texts it cannot use."""

from __future__ import annotations

import gc
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from agentops import InvalidInput, ToolError
from agentops.agents.research_digest import folder, research_digest, research_summary
from agentops.agents.research_digest.folder import Listing, Text, list_texts, read_text, skim
from agentops.sdk.messages import ToolUse
from agentops.sdk.models import ModelRequest
from agentops.testing import Result, ScriptedModel
from tests.agents.playing import output, play


def digest(given: dict[str, Any] | None = None, **more: Any) -> Result:
    return play(research_digest, given, research_summary, **more)


@pytest.fixture
def texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that may be read."""
    place = tmp_path / "texts"
    place.mkdir()
    monkeypatch.setenv("AGENTOPS_RESEARCH_FOLDERS", f"{place}{os.pathsep}")
    return place


def listed(place: Path) -> Listing:
    found = list_texts(str(place))
    assert isinstance(found, Listing)
    return found


def text(place: Path, name: str) -> Text:
    found = read_text(str(place), name)
    assert isinstance(found, Text)
    return found


def test_the_digest_answers_and_cites_lines_that_say_so(data: Path) -> None:
    result = digest()

    found = output(result)
    assert (result.status, result.degraded, found["left_out"]) == ("succeeded", (), [])
    assert found["answered_by"] == ["scripted"]
    assert "repeating-requests.md" in found["files_read"]
    assert "coffee.txt" not in found["files_read"]
    report = json.loads(Path(found["report"]["json"]).read_text())["report"]
    assert len(report["points"]) == found["points"] > 4
    for point in report["points"]:
        name, _, lines = point["place"].partition(":")
        first, _, last = lines.partition("-")
        stands = text(folder.SHIPPED, name).quoted(int(first), int(last or first))
        assert stands.startswith(point["quote"].removesuffix(" …"))
    shown = Path(found["report"]["markdown"]).read_text()
    assert "(`repeating-requests.md:" in shown
    assert "- Model: scripted. No provider" in shown


def test_texts_are_skimmed_at_once_and_each_chosen_one_is_read_by_a_run_of_its_own(
    data: Path,
) -> None:
    result = digest()

    keys = result.journal.keys()
    skims = [place for place, key in enumerate(keys) if key.startswith("skim")]
    models = [place for place, key in enumerate(keys) if key.startswith("fast")]
    assert len(skims) == 5
    assert models[0] < min(skims) <= max(skims) < models[1]
    spawned = {key for key in keys if key.startswith("spawn:research-summary:")}
    assert len(spawned) == len(output(result)["files_read"])


# A crash interrupts tools wherever they are: also between opening a file and holding it.
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_a_crash_after_any_row_writes_the_same_digest(data: Path) -> None:
    whole = digest()
    kept = _report(whole)
    for crash_after in range(len(whole.journal.entries)):
        shutil.rmtree(data)
        crashed = digest(crash_after=crash_after)
        assert crashed.detail == "crashed"
        result = digest(journal=crashed.journal)

        assert result.status == "succeeded", crash_after
        assert _report(result) == kept, crash_after
    gc.collect()


def _report(result: Result) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(Path(output(result)["report"]["json"]).read_text())["report"]
    return {**read, "made_at": ""}


def test_only_named_folders_are_read(data: Path, texts: Path, tmp_path: Path) -> None:
    for place in (str(tmp_path), "/", "/etc", f"{texts}/../", "texts", "/no\0such", "/no/such"):
        with pytest.raises(ToolError, match=r"outside the folders|not an absolute path"):
            list_texts(place)
    with pytest.raises(ToolError, match="No text lies in"):
        list_texts(str(texts))
    with pytest.raises(ToolError, match="is no folder"):
        list_texts(str(texts / "none"))


def test_no_name_leads_out_of_the_folder(texts: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.md"
    secret.write_text("secret")
    (texts / "link.md").symlink_to(secret)
    (texts / "loop.md").symlink_to(texts / "loop.md")
    (texts / "good.md").write_text("fine")
    (texts / "key.pem").write_text("secret")
    (texts / ".hidden.md").write_text("secret")

    found = listed(texts)

    assert found.files == ("good.md",)
    assert found.left_out[0] == "link.md: it is a link out of the folder"
    assert "loop.md: it cannot be opened" in found.left_out[1]
    for name in ("link.md", "../secret.md", str(secret), "key.pem", "a\0b.md", "gone.md", "."):
        for reading in (read_text, skim):
            with pytest.raises(ToolError):
                reading(str(texts), name)


def test_what_is_too_much_is_left_out_in_words(
    texts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (texts / "big.txt").write_bytes(b"x" * (folder.LARGEST_BYTES + 1))
    for number in range(folder.MOST_FILES + 1):
        (texts / f"n{number:02}.txt").write_text("?")

    found = listed(texts)

    assert len(found.files) == folder.MOST_FILES
    assert "big.txt: it has 100,001 bytes, more than 100,000" in found.left_out
    assert f"Only the first {folder.MOST_FILES} texts are read." in found.left_out
    monkeypatch.setattr(folder, "MOST_ENTRIES", 10)
    with pytest.raises(ToolError, match="More than 10 files"):
        list_texts(str(texts))


@pytest.mark.parametrize(
    ("encoding", "note"),
    [
        ("utf-8", ""),
        ("utf-8-sig", ""),
        ("utf-16", ""),
        ("utf-32", ""),
        ("cp1252", "read as Windows-1252, which is a guess"),
    ],
)
def test_odd_encodings_are_read(texts: Path, encoding: str, note: str) -> None:
    (texts / "a.txt").write_bytes("Grüße\r\nan alle\rund – jeden".encode(encoding))

    assert text(texts, "a.txt") == Text("a.txt", ("Grüße", "an alle", "und – jeden"), note)


def test_what_is_no_text_is_not_used_and_the_run_says_so(data: Path, texts: Path) -> None:
    (texts / "picture.txt").write_bytes(b"repeat\0\1\2")
    (texts / "good.md").write_text("It is safe to repeat a request that has a key.\n")
    both = ToolUse(
        "a", "answer", {"files": ["picture.txt", "good.md", "made-up.md"], "because": ""}
    )
    assert research_digest.script is not None
    play_on = research_digest.script

    def model(request: ModelRequest) -> Any:
        return both if request.tools else play_on(request)

    result = digest({"folder": str(texts)}, models=ScriptedModel(model))

    found = output(result)
    assert (result.status, result.degraded) == ("succeeded", ("read_text",))
    assert found["files_read"] == ["good.md", "picture.txt"]
    assert "holds zero bytes" in found["left_out"][0]
    assert found["points"] == 1


def test_lines_and_references_that_do_not_exist_are_not_shown(data: Path, texts: Path) -> None:
    (texts / "a.md").write_text("One.\n\nThree.\n")
    said = [
        {"text": "Good", "first_line": 1, "last_line": 3},
        {"text": "Beyond", "first_line": 3, "last_line": 9},
        {"text": "Empty", "first_line": 2, "last_line": 2},
    ]

    def model(request: ModelRequest) -> Any:
        if request.tools:
            return ToolUse("a", "answer", {"files": ["a.md"], "because": ""})
        return ToolUse("b", "answer", {"summary": "Yes [1], no [2].", "open_questions": []})

    from agentops.testing import run

    result = run(
        research_digest, {"folder": str(texts)}, models=ScriptedModel(model),
        children=lambda *_: {"points": said},
    )  # fmt: skip

    found = output(result)
    assert (found["points"], found["answer"]) == (1, "Yes [1], no.")
    assert found["left_out"] == ["a.md: a point named lines that are not there"]


def test_a_question_nobody_wrote_about_is_answered_with_that(data: Path) -> None:
    found = output(digest({"question": "Xylophones?"}))

    assert (found["answer"], found["files_read"]) == ("The texts say nothing about this.", [])


def test_text_of_others_is_no_markdown_of_ours(data: Path, texts: Path) -> None:
    (texts / "a.md").write_text("It is safe to repeat [this](http://e.org) <b>request</b>.\n")

    found = output(digest({"folder": str(texts)}))

    shown = Path(found["report"]["markdown"]).read_text()
    assert r"\[this\](http://e.org) \<b\>request" in shown


@pytest.mark.parametrize(
    ("given", "path"),
    [({"question": ""}, "/question"), ({"folder": 7}, "/folder"), ({"file": "x"}, "/file")],
)
def test_wrong_input_is_refused_where_it_is_wrong(given: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        research_digest.validate_input(given)

    assert refused.value.path == path
