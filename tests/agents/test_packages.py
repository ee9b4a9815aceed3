from __future__ import annotations

from collections.abc import Iterable
from datetime import date

import pytest

from agentops.agents.dependency_audit import packages
from agentops.agents.dependency_audit.findings import Finding, Kind
from agentops.agents.dependency_audit.installed import Installed, picture
from agentops.agents.dependency_audit.policy import Policy
from agentops.agents.dependency_audit.records import Distribution
from tests.agents.environments import declared, record


def environment(*distributions: Distribution, asked: Iterable[str] = ()) -> Installed:
    return picture(distributions, "3.12.4", declared(*asked))


def told(findings: Iterable[Finding]) -> list[tuple[Kind, str, str]]:
    return [(f.kind, f.package, f.sentence) for f in findings]


def test_a_version_outside_the_asked_range_is_a_conflict() -> None:
    installed = environment(record("a", requires=("b<2",)), record("b", "2.1"))

    [found] = packages.conflicts(installed)

    assert found.sentence == "a 1.0 needs b<2, but 2.1 is installed."
    assert (found.file, found.field, found.value) == (
        "/site/a-1.0.dist-info/METADATA", "Requires-Dist", "b<2",
    )  # fmt: skip


def test_what_is_needed_and_not_installed_is_missing() -> None:
    found = packages.conflicts(environment(record("a", requires=("Some_Thing>=1",))))

    assert told(found) == [
        (Kind.MISSING, "Some_Thing", "a 1.0 needs Some_Thing>=1, but it is not installed.")
    ]


@pytest.mark.parametrize(
    "requirement",
    [
        "b>=1,<3",
        "B.B",
        'c; python_version < "3.9"',
        'c; python_full_version < "3.12.4"',
        'c; sys_platform == "win32"',
        'c; extra == "fast"',
        'c; extra == "fast" and python_version > "3"',
    ],
)
def test_what_is_met_or_not_asked_for_here_is_no_finding(requirement: str) -> None:
    installed = environment(record("a", requires=(requirement,)), record("b", "2"), record("b-b"))

    assert told(packages.conflicts(installed)) == []


def test_a_prerelease_that_is_installed_counts() -> None:
    installed = environment(record("a", requires=("b>=2.0a1",)), record("b", "2.0b1"))

    assert told(packages.conflicts(installed)) == []


def test_an_extra_that_a_package_asks_for_must_be_met() -> None:
    installed = environment(
        record("app", requires=("lib[Fast]",)),
        record("lib", requires=('speed; extra == "fast"',)),
    )

    assert [f.sentence for f in packages.conflicts(installed)] == [
        "lib 1.0 needs speed (for its extra “fast”), but it is not installed."
    ]


def test_an_extra_of_an_extra_is_followed() -> None:
    installed = environment(
        record("lib", requires=('lib[fast]; extra == "all"', 'speed; extra == "fast"')),
        asked=["lib[all]"],
    )

    assert [f.package for f in packages.conflicts(installed)] == ["speed"]


def test_an_extra_nobody_asked_for_is_not_missed() -> None:
    installed = environment(
        record("lib", requires=('speed; extra == "fast"',)),
        asked=['lib[fast]; python_version < "3"'],
    )

    assert told(packages.conflicts(installed)) == []


def test_a_package_for_another_python_is_found() -> None:
    installed = environment(
        record("new", requires_python=">=3.13"), record("b", requires_python="")
    )

    assert told(packages.wrong_python(installed, "3.12.4")) == [
        (Kind.PYTHON, "new", "It needs Python >=3.13; this environment has 3.12.4.")
    ]


def test_of_two_copies_the_first_is_the_one_that_counts() -> None:
    copies = [
        record("Some.Thing", "2.0"),
        record("some_thing", "1.0", path="/other/some_thing-1.0.dist-info"),
    ]

    [found] = packages.duplicates(copies)

    assert found.sentence == ("Python imports 2.0; also installed: 1.0 in /other.")
    assert str(environment(*copies).version("some-thing")) == "2.0"


def test_two_copies_in_one_folder_contradict_each_other() -> None:
    copies = [record("a", "1.0"), record("a", "2.0"), record("a", "1.0", path="/other/a")]

    [found] = packages.duplicates(copies)

    assert found.sentence == (
        "/site holds a-1.0.dist-info, a-2.0.dist-info; only one of them can be true. "
        "Also installed: 1.0 in /other."
    )


def test_leftovers_of_an_installer_are_broken_and_nothing_else() -> None:
    left = record("ip", path="/site/~ip-1.0.dist-info", problems=("left behind",))

    assert told(packages.broken([left])) == [(Kind.BROKEN, "ip", "left behind")]
    assert told(packages.duplicates([left, record("ip")])) == []
    assert environment(left).by_name == {}


def test_a_version_below_the_minimum_is_outdated() -> None:
    policy = Policy(minimum_versions={"Django": "5.2.3", "attrs": "25", "absent": "1"})
    installed = environment(record("django", "5.2.2"), record("attrs", "25.0"))

    assert told(packages.outdated(installed, policy)) == [
        (Kind.OUTDATED, "django", "The policy asks for 5.2.3 or later.")
    ]


def test_age_is_counted_in_days_and_only_if_asked() -> None:
    installed = environment(record("a", dated="2026-01-01"), record("b", dated=""))
    today = date(2026, 1, 31)

    assert told(packages.old(installed, Policy(), today)) == []
    assert told(packages.old(installed, Policy(max_age_days=30), today)) == []
    assert told(packages.old(installed, Policy(max_age_days=29), today)) == [
        (Kind.OLD, "a", "Its files are 30 days old; the policy allows 29.")
    ]


def test_a_package_that_came_from_elsewhere_is_told() -> None:
    installed = environment(record("a", origin="file:///src (editable)"))

    assert told(packages.origins(installed)) == [
        (Kind.ORIGIN, "a", "It came from file:///src (editable).")
    ]
