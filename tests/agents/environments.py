"""Environments made of real metadata folders, as installers leave them."""

from __future__ import annotations

from pathlib import Path

from agentops.agents.dependency_audit.records import Declared, Distribution


def install(
    site: Path, name: str, version: str, *fields: str, label: str = "", text: str | None = None
) -> Path:
    """Put the metadata of a distribution into ``site``; ``fields`` are more header lines."""
    folder = site / (label or f"{name.replace('-', '_')}-{version}.dist-info")
    folder.mkdir(parents=True)
    head = f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n"
    body = text if text is not None else head + "".join(f"{field}\n" for field in fields)
    (folder / "METADATA").write_text(body)
    (folder / "INSTALLER").write_text("uv\n")
    return folder


def virtualenv(folder: Path, python: str = "3.12.4") -> Path:
    """Make ``folder`` a virtual environment; returns its site-packages."""
    short = ".".join(python.split(".")[:2])
    site = folder / "lib" / f"python{short}" / "site-packages"
    site.mkdir(parents=True)
    (folder / "pyvenv.cfg").write_text(f"home = /usr/bin\nversion_info = {python}\n")
    return site


def record(name: str, version: str = "1.0", **more: object) -> Distribution:
    """A distribution as the reading tool would return it."""
    path = f"/site/{name}-{version}.dist-info"
    return Distribution(**{"path": path, "name": name, "version": version, **more})  # type: ignore[arg-type]


def declared(*texts: str) -> tuple[Declared, ...]:
    """Requirements as a pyproject.toml would have them."""
    return tuple(Declared(text, "pyproject.toml", "project.dependencies") for text in texts)
