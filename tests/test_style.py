"""The sizes that STYLE asks for, where a linter does not look."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentops.launcher.home import PROJECT

LONGEST_FUNCTION = 50
LONGEST_FILE = 500
_OURS = ("agentops", "runs", "approvals", "credentials", "tests", "benchmarks", "examples")


def sources() -> Iterator[Path]:
    for folder in _OURS:
        for path in sorted((PROJECT / folder).rglob("*.py")):
            if not {"migrations", "vendor", ".peers"} & set(path.parts):
                yield path


@pytest.mark.parametrize("path", list(sources()), ids=lambda path: str(path.relative_to(PROJECT)))
def test_a_file_and_its_functions_can_be_read_at_once(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= LONGEST_FILE
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    long = [
        f"{node.name} has {node.end_lineno - node.lineno + 1} lines"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, functions)
        and node.end_lineno
        and node.end_lineno - node.lineno >= LONGEST_FUNCTION
    ]
    assert long == []
