"""The environment as one picture: what is installed, which extras and markers hold."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from packaging.markers import (
    Environment,
    UndefinedComparison,
    UndefinedEnvironmentName,
    default_environment,
)
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from agentops.agents.dependency_audit.records import Declared, Distribution


@dataclass(frozen=True, slots=True)
class Need:
    """A requirement that holds here, and the package that has it."""

    by: Distribution
    requirement: Requirement
    extra: str = ""


@dataclass
class Installed:
    """Distributions by canonical name; of several with one name, the one Python imports."""

    environment: Environment
    by_name: dict[str, Distribution] = field(default_factory=dict)
    extras: dict[str, set[str]] = field(default_factory=dict)

    def version(self, name: str) -> Version | None:
        """The installed version, or None when it is not installed or has no valid version."""
        found = self.by_name.get(canonicalize_name(name))
        try:
            return Version(found.version) if found else None
        except InvalidVersion:
            return None

    def needs(self) -> Iterator[Need]:
        """Every requirement of every distribution that holds in this environment."""
        for name, found in self.by_name.items():
            yield from self._needs_of(found, {"", *self.extras.get(name, ())})

    def holds(self, requirement: Requirement, extra: str = "") -> bool:
        """Whether the marker of ``requirement`` is true here, with one extra or none."""
        if requirement.marker is None:
            return True
        try:
            return requirement.marker.evaluate({**_texts(self.environment), "extra": extra})
        except (UndefinedComparison, UndefinedEnvironmentName):
            return False

    def _needs_of(self, found: Distribution, extras: set[str]) -> Iterator[Need]:
        for requirement in parsed(found.requires):
            held = (extra for extra in sorted(extras) if self.holds(requirement, extra))
            extra = next(held, None)
            if extra is not None:
                yield Need(found, requirement, extra)

    def want(self, declared: Iterable[Requirement]) -> None:
        """Follow extras from what the project asks for and what packages ask of each other."""
        queue = deque(declared)
        queue.extend(need.requirement for need in self.needs())
        while queue:
            requirement = queue.popleft()
            name = canonicalize_name(requirement.name)
            asked = {str(canonicalize_name(extra)) for extra in requirement.extras}
            new = asked - self.extras.get(name, set())
            if new and name in self.by_name:
                self.extras.setdefault(name, set()).update(new)
                queue.extend(
                    n.requirement for n in self._needs_of(self.by_name[name], new) if n.extra
                )


def picture(
    distributions: Iterable[Distribution], python: str, declared: Iterable[Declared]
) -> Installed:
    """The environment made of ``distributions`` for a Python of version ``python``."""
    installed = Installed(_environment(python))
    for found in distributions:
        if found.name and not found.label.startswith("~"):
            installed.by_name.setdefault(canonicalize_name(found.name), found)
    wanted = parsed(d.text for d in declared)
    installed.want([r for r in wanted if installed.holds(r)])
    return installed


def parsed(texts: Iterable[str]) -> list[Requirement]:
    """The requirements among ``texts`` that can be understood; the rest is reported elsewhere."""
    found = []
    for text in texts:
        try:
            found.append(Requirement(text))
        except InvalidRequirement:
            continue
    return found


def _texts(environment: Environment) -> dict[str, str]:
    return {name: str(value) for name, value in environment.items()}


def _environment(python: str) -> Environment:
    """This machine with another Python: what is installed is for this machine."""
    parts = python.split(".")
    environment = default_environment()
    environment["python_version"] = ".".join(parts[:2])
    if python.count(".") > 1:
        environment["python_full_version"] = python
    elif not environment["python_full_version"].startswith(f"{python}."):
        environment["python_full_version"] = f"{python}.0"
    return environment
