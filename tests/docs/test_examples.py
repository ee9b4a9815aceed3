"""The examples of the docs run: every Python block below the mark ``<!-- runs -->``."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest

from agentops.launcher.home import PROJECT

_BLOCK = re.compile(r"<!-- runs -->\s*```python\n(.*?)```", re.DOTALL)
_PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))]
_MARKED = [path for path in _PAGES if _BLOCK.search(path.read_text())]


def test_there_are_examples() -> None:
    assert PROJECT / "README.md" in _MARKED


@pytest.mark.parametrize("page", _MARKED, ids=lambda path: str(path.relative_to(PROJECT)))
def test_the_examples_of_a_page_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The blocks of a page are one module, as a reader would type them."""
    name = f"example_{page.stem.lower().replace('-', '_')}"
    source = tmp_path / f"{name}.py"
    source.write_text("\n\n".join(_BLOCK.findall(page.read_text())))
    spec = importlib.util.spec_from_file_location(name, source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
