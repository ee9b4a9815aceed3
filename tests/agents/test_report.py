from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from agentops.agents.dependency_audit import report
from agentops.agents.dependency_audit.analysis import analyse
from agentops.agents.dependency_audit.findings import MEANING, Kind, Level
from agentops.agents.dependency_audit.markdown import code, listed, plain, unmarked
from agentops.agents.dependency_audit.policy import Policy
from agentops.agents.dependency_audit.records import Distribution, Project, Target
from tests.agents.environments import declared, record

NOW = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)


def made(
    *distributions: Distribution, asked: tuple[str, ...] = (), **rules: object
) -> report.Report:
    target = Target("/srv/app", ("/site",), tuple(d.path for d in distributions), "3.12.4", "/srv")
    project = Project("/srv", files=("pyproject.toml",), declared=declared(*asked))
    policy = Policy.model_validate(rules)
    analysis = analyse(target, list(distributions), project, policy, NOW.date())
    return report.Report("run_abc", NOW, target, project, policy, analysis)


def mit(name: str, version: str = "1.0", **more: object) -> Distribution:
    return record(name, version, licence_expression="MIT", **more)


def test_a_clean_environment_has_nothing_to_do() -> None:
    text = report.summary(made(mit("a"), mit("b")))

    assert "**2 packages, nothing to do**" in text
    assert "Nothing. Every rule of the policy holds." in text


def test_what_to_fix_comes_before_what_to_decide() -> None:
    found = made(
        mit("a", requires=("b<2", "gone")), mit("b", "2.0"),
        record("c", licence_expression="EPL-2.0"), record("d", licence_expression="EPL-2.0"),
        record("e", licence_expression="GPL-3.0-only"), asked=("a",),
    )  # fmt: skip

    lines = [line for line in report.summary(found).splitlines() if line[:1].isdigit()]

    assert [line.split(":")[0] for line in lines] == [
        "1. **Fix 1 version conflict**",
        "2. **Fix 1 missing requirement**",
        "3. **Fix 1 package with a denied licence**",
        "4. **Decide on 1 unpinned requirement**",
        "5. **Decide on 2 packages whose licences the policy does not mention**",
    ]
    assert "EPL-2.0 (`c`, `d`)" in lines[4]
    assert found.verdict == "5 packages, 3 to fix, 3 to decide"


def test_a_finding_shows_who_needs_it_and_what_proves_it() -> None:
    text = report.full(made(mit("a", requires=("b<2",)), mit("b", "2.0"), asked=("b",)))

    assert (
        "| `b` | 2.0 | a 1.0 needs b\\<2, but 2.0 is installed. | the project, `a` "
        "| `a-1.0.dist-info/METADATA` Requires-Dist: `b<2` |"
    ) in text


def test_the_report_says_what_was_read_and_by_which_rules() -> None:
    text = report.full(made(mit("a"), minimum_versions={"a": "1"}, max_age_days=90, ignore=["a"]))

    for line in (
        "- Package folders: `/site`",
        "- Files of the project: `pyproject.toml` in `/srv`",
        "- Minimum versions: a 1",
        "- Oldest files: 90 days",
        "- Nothing is said about a",
        "- Known vulnerabilities and newer releases are not looked up",
        "- Run: `run_abc`",
    ):
        assert line in text


def test_a_bare_family_is_said_in_words() -> None:
    text = report.full(made(record("a", licence_text="BSD")))

    assert "| BSD (version not said) | 1 | allowed | `a` |" in text


def test_data_for_programs_holds_everything() -> None:
    data = made(mit("a", requires=("gone",))).data()

    assert data["counts"] == {"packages": 1, "fix": 1, "decide": 0, "know": 0, "missing": 1}
    assert isinstance(data["findings"], list)
    assert data["findings"][0]["level"] == "fix"
    assert data["findings"][0]["file"] == "/site/a-1.0.dist-info/METADATA"


def test_every_kind_of_finding_has_a_meaning_and_the_gravest_come_first() -> None:
    assert set(MEANING) == set(Kind)
    levels = [list(Level).index(MEANING[kind].level) for kind in Kind]
    assert levels == sorted(levels)


@pytest.mark.parametrize(
    "text",
    [
        "[x](javascript:alert(1))",
        "<script>",
        "> q",
        "- i",
        "![](http://x)",
        "a | b",
        "`",
        "# h",
        "*b*",
    ],
)
def test_foreign_words_stay_words(text: str) -> None:
    html = MarkdownIt("commonmark").enable("table").render(f"| h |\n| --- |\n| {plain(text)} |\n")

    assert html.count("<td>") == 1
    for tag in ("<a", "<img", "<script", "<em", "<code", "<h1"):
        assert tag not in html


@given(st.text(max_size=30))
def test_code_shows_the_text_whatever_it_is(text: str) -> None:
    tokens = MarkdownIt("commonmark").parseInline(code(text))
    line = " ".join(text.split()).replace("|", "\\|")

    shown = "".join(t.content for t in (tokens[0].children or []) if t.type == "code_inline")

    assert shown == line.replace("\0", "\ufffd")


@given(st.text(max_size=30))
def test_words_come_back_when_the_marks_are_taken_off(text: str) -> None:
    line = " ".join(text.split())

    assert unmarked(f"**{plain(line)}**") == line


def test_many_names_are_counted() -> None:
    assert listed(["a", "b", "c"], 2) == "`a`, `b` and 1 more"
    assert listed([]) == ""
