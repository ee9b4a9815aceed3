"""Which agents there are: those found in the modules named by ``AGENTOPS_AGENTS``."""

from __future__ import annotations

import difflib
import importlib
import os
import threading
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import ModuleType

from agentops.sdk.agents import AgentDefinition
from agentops.sdk.errors import UnknownAgent


@dataclass(frozen=True, slots=True)
class Problem:
    """A module that could not be used, in a sentence, with the place of the error."""

    module: str
    sentence: str


# Searches a module for agents of another make: yields them as ours, or says what is in the way.
Finder = Callable[[ModuleType], Iterable[AgentDefinition | str]]
_finders: list[Finder] = []


def recognise(find: Finder) -> None:
    """Have modules searched in this way as well."""
    if find not in _finders:
        _finders.append(find)


class Catalog:
    """The agents of some modules. Modules are imported on first use, a broken one is skipped."""

    def __init__(self, modules: tuple[str, ...]) -> None:
        self.modules = modules
        self._lock = threading.Lock()
        self._agents: dict[str, AgentDefinition] | None = None
        self._problems: list[Problem] = []

    def agent(self, name: str) -> AgentDefinition:
        """The agent called ``name``. Raises UnknownAgent with the nearest names."""
        known = self._collected()
        if name not in known:
            raise UnknownAgent(name, difflib.get_close_matches(name, known, n=3, cutoff=0.4))
        return known[name]

    def agents(self) -> list[AgentDefinition]:
        """All agents by name."""
        return [agent for _, agent in sorted(self._collected().items())]

    def problems(self) -> list[Problem]:
        """What is wrong with the named modules."""
        self._collected()
        return list(self._problems)

    def _collected(self) -> dict[str, AgentDefinition]:
        with self._lock:
            if self._agents is None:
                found: dict[str, AgentDefinition] = {}
                # All first: a module may adopt what another one holds.
                modules = [self._import(name) for name in self.modules]
                for module in modules:
                    if module is not None:
                        self._collect(module, found)
                self._agents = found
            return self._agents

    def _import(self, name: str) -> ModuleType | None:
        try:
            return importlib.import_module(name)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a module may raise anything
            self._problems.append(Problem(name, _why(name, error)))
            return None

    def _collect(self, module: ModuleType, found: dict[str, AgentDefinition]) -> None:
        name = module.__name__
        agents, obstacles = _agents_in(module)
        self._problems += [Problem(name, sentence) for sentence in obstacles]
        if not agents and not obstacles:
            self._problems.append(Problem(name, f"{name} has no agent; decorate one with @agent."))
        for agent in agents:
            other = found.setdefault(agent.name, agent)
            if other is not agent:
                where = f"{other.fn.__module__} and {agent.fn.__module__}"
                self._problems.append(
                    Problem(name, f"Two agents are called “{agent.name}” ({where}); rename one.")
                )


def _agents_in(module: ModuleType) -> tuple[list[AgentDefinition], list[str]]:
    """The agents of a module, and what is in the way of others."""
    agents = [value for value in vars(module).values() if isinstance(value, AgentDefinition)]
    found = [each for find in _finders for each in find(module)]
    agents += [each for each in found if isinstance(each, AgentDefinition)]
    return agents, [each for each in found if isinstance(each, str)]


def _why(name: str, error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if "importlib" not in f.filename and not f.filename.startswith("<")]
    place = f" at {own[-1].filename}:{own[-1].lineno}" if len(own) > 1 else ""
    return f"{name} does not import: {type(error).__name__}: {error}{place}"


_lock = threading.Lock()
_catalog: Catalog | None = None


def configure(modules: tuple[str, ...]) -> None:
    """Name the modules that hold the agents. They are imported on first use, not now."""
    global _catalog
    with _lock:
        _catalog = Catalog(modules)


def catalog() -> Catalog:
    """The catalog of this process; without :func:`configure`, of ``AGENTOPS_AGENTS``."""
    global _catalog
    with _lock:
        if _catalog is None:
            named = os.environ.get("AGENTOPS_AGENTS", "")
            _catalog = Catalog(tuple(n.strip() for n in named.split(",") if n.strip()))
        return _catalog
