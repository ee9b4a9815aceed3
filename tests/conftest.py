"""For every test: what did not run is said at the end, with its reason and the cure."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Generator

import pytest
from _pytest.terminal import TerminalReporter

_REQUIRE_BROWSER = "AGENTOPS_TEST_REQUIRE_BROWSER"
_NO_BROWSER = "No browser found"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With ``bin/test --require-browser`` a missing browser is a failure."""
    report = yield
    if report.skipped and _REQUIRE_BROWSER in os.environ and _NO_BROWSER in _reason(report):
        report.outcome = "failed"
    return report


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Say how many checks were not run, and why."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = Counter(_reason(report) for report in skipped)
    if reasons:
        terminalreporter.section("checks that did not run")
        for reason, count in reasons.most_common():
            terminalreporter.write_line(f"{count:>4}  {reason}")


def _reason(report: pytest.TestReport) -> str:
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")
    return str(report.longrepr).strip()
