"""Versions of routes: added, compared, made current again. None is ever changed."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import connection, transaction

from agentops.accounts.models import User
from agentops.providers import routing
from agentops.providers.routing import Candidate
from runs.models import ModelEndpoint, RouteVersion

# Whoever saves a route or deletes an endpoint holds this lock, so that neither is done on what the
# other has just taken away.
_LOCK = 7_305_007


class Refused(ValueError):
    """What was asked for cannot be done with the routes as they stand."""


def save(
    *, route: str, candidates: object, note: str, made_by: User | None, based_on: int | None
) -> RouteVersion:
    """Add a version, which is what the route asks from now on.

    ``based_on`` is the number the author saw as the newest, 0 for none; None where nobody looked.
    Raises Refused when there is a newer one by now or nothing would change, ValueError with the
    place of the fault for candidates that cannot be read.
    """
    read = routing.candidates(candidates)
    with transaction.atomic():
        _hold()
        newest = RouteVersion.objects.filter(route=route).order_by("-number").first()
        number = newest.number if newest else 0
        if based_on is not None and based_on != number:
            raise Refused(f"Meanwhile version {number} of “{route}” was saved. Look at it first.")
        if newest is not None and _read(newest) == read:
            raise Refused(f"Version {number} of “{route}” says the same already.")
        return RouteVersion.objects.create(
            route=route, number=number + 1, candidates=candidates, note=note, made_by=made_by
        )


def make_current_again(*, version: RouteVersion, made_by: User | None) -> RouteVersion:
    """Add a version that says what this one said. Raises Refused if it is what holds now."""
    return save(
        route=version.route,
        candidates=version.candidates,
        note=f"What version {version.number} said, again",
        made_by=made_by,
        based_on=None,
    )


def delete_endpoint(*, endpoint: ModelEndpoint) -> None:
    """Delete an endpoint that no current route asks. Raises Refused with the names of those."""
    with transaction.atomic():
        _hold()
        used = asked_by(endpoint.name)
        if used:
            named = ", ".join(map(str, used))
            raise Refused(f"“{endpoint.name}” is asked by {named}. Save these without it first.")
        endpoint.delete()


def current() -> list[RouteVersion]:
    """The newest version of each route, by name."""
    newest = RouteVersion.objects.order_by("route", "-number").distinct("route")
    return list(newest.select_related("made_by"))


def asked_by(endpoint: str) -> list[RouteVersion]:
    """The current routes that name an endpoint."""
    return [version for version in current() if endpoint in _endpoints(version.candidates)]


def before(version: RouteVersion) -> RouteVersion | None:
    """The version before this one."""
    older = RouteVersion.objects.filter(route=version.route, number__lt=version.number)
    return older.order_by("-number").first()


# -- differences -----------------------------------------------------------------------------


def difference(old: RouteVersion | None, new: RouteVersion) -> list[str]:
    """What the newer version changes, line by line; of the first version all of it."""
    earlier, later = _read(old) if old else (), _read(new)
    places = {c.target: place for place, c in enumerate(earlier, 1)}
    known = {c.target: c for c in earlier}
    kept = {c.target for c in later}
    lines = [f"- {places[c.target]}. {_named(c)}" for c in earlier if c.target not in kept]
    for place, candidate in enumerate(later, 1):
        was = known.get(candidate.target)
        if was is None:
            lines.append(f"+ {place}. {_named(candidate)}{_told(candidate)}")
            continue
        if places[candidate.target] != place:
            lines.append(f"↕ {_named(candidate)}: place {places[candidate.target]} → {place}")
        lines += _changes(was, candidate)
    return lines


def conditions(candidate: Candidate) -> str:
    """When a candidate may be asked and what it can, in words; empty for: always."""
    rule, told = candidate.when, []
    for name, some in (("agents", rule.agents), ("people", rule.people), ("teams", rule.teams)):
        if some is not None:
            told.append(f"only {name} {', '.join(sorted(some)) or 'nobody'}")
    if rule.min_input_tokens is not None:
        told.append(f"from {rule.min_input_tokens:,} tokens of input")
    if rule.max_input_tokens is not None:
        told.append(f"up to {rule.max_input_tokens:,} tokens of input")
    for name, wanted in (("tools", rule.tools), ("a structured answer", rule.structured)):
        if wanted is not None:
            told.append(f"only {'with' if wanted else 'without'} {name}")
    if candidate.context_tokens is not None:
        told.append(f"takes {candidate.context_tokens:,} tokens")
    if not candidate.can_use_tools:
        told.append("cannot use tools")
    return "; ".join(told)


def _changes(was: Candidate, now: Candidate) -> Iterable[str]:
    if was != now:
        told = conditions(was) or "always", conditions(now) or "always"
        yield f"~ {_named(now)}: {told[0]} → {told[1]}"


def _told(candidate: Candidate) -> str:
    words = conditions(candidate)
    return f" ({words})" if words else ""


def _named(candidate: Candidate) -> str:
    return f"{candidate.endpoint}/{candidate.model}"


def _read(version: RouteVersion) -> tuple[Candidate, ...]:
    """Its candidates; none where an older release wrote what this one cannot read."""
    try:
        return routing.candidates(version.candidates)
    except ValueError:
        return ()


def _endpoints(candidates: object) -> set[str]:
    """Read from the stored form, so that a route this release cannot read protects as well."""
    rows = candidates if isinstance(candidates, list) else []
    return {str(row.get("endpoint")) for row in rows if isinstance(row, dict)}


def _hold() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
