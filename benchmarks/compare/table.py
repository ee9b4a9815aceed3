"""The comparison as people read it: a table, the misses, and where all of it was measured."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.compare.rounds import OURS, Comparison
from benchmarks.compare.targets import TARGETS, Target

HEADER = ("what", "target", "ours", "DBOS", "absurd", "Restate", "ours / best peer", "")
PEERS = ("dbos", "absurd", "restate")
# Figures of which more is better; of all others less is.
MORE_IS_BETTER = "per_second"


def rows(comparison: Comparison) -> Iterator[tuple[str, ...]]:
    """One row per figure that was measured on any side."""
    for target in TARGETS:
        ours = comparison.medians(target.workload, OURS).get(target.metric)
        peers = _of_peers(comparison, target)
        if ours is not None:
            yield _row(target, ours, peers, smaller=comparison.is_smaller())
        elif peers:
            yield (target.label, target.wanted(), "–", *_cells(peers), "–", "not measured")


def _row(target: Target, ours: float, peers: dict[str, float], *, smaller: bool) -> tuple[str, ...]:
    misses = target.misses(ours, peers)
    verdict = f"MISS: {'; '.join(misses)}" if misses else ""
    if target.total and smaller:
        verdict = verdict or "not judged: smaller than the target's size"
    ratio = _ratio(target, ours, peers)
    return (target.label, target.wanted(), _shown(ours), *_cells(peers), ratio, verdict)


def _cells(peers: dict[str, float]) -> Iterator[str]:
    return (_shown(peers[peer]) if peer in peers else "–" for peer in PEERS)


def misses(comparison: Comparison) -> list[str]:
    """Every target that is not held, and every measurement that could not be made or trusted."""
    found = [f"{row[0]}: {row[-1]}" for row in rows(comparison) if row[-1].startswith("MISS")]
    found += [f"{f['workload']} on {f['system']} failed" for f in comparison.failures]
    return found + [f"does not add up: {line}" for line in comparison.incomplete()]


def text(comparison: Comparison) -> str:
    """The table in fixed width."""
    lines = [HEADER, *rows(comparison)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADER) - 1)]
    return "\n".join(
        "  ".join(
            [*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[-1]]
        ).rstrip()
        for line in lines
    )


def markdown(comparison: Comparison) -> str:
    """The table as Markdown."""
    lines = [HEADER, ("---",) * len(HEADER), *rows(comparison)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def provenance(comparison: Comparison) -> dict[str, Any]:
    """Versions and settings of every system, and the machine."""
    systems = {r["system"]: r for r in comparison.results}
    return {
        "machine": next(iter(systems.values()))["machine"] if systems else {},
        "systems": {
            name: {"versions": r["versions"], "settings": r["settings"]}
            for name, r in sorted(systems.items())
        },
    }


def _of_peers(comparison: Comparison, target: Target) -> dict[str, float]:
    found = {peer: comparison.medians(target.workload, peer) for peer in PEERS}
    return {peer: m[target.metric] for peer, m in found.items() if target.metric in m}


def _ratio(target: Target, ours: float, peers: dict[str, float]) -> str:
    if not peers or not ours:
        return "–"
    best = max(peers.values()) if MORE_IS_BETTER in target.metric else min(peers.values())
    return f"{ours / best:.2f}×" if best else "–"


def _shown(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
