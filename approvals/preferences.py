"""What somebody wants to hear of by mail, and when they want to be left in peace."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from agentops.accounts.models import User
from approvals import rotas
from approvals.models import Preference
from runs.zones import zone

# What may be switched off, with what it means.
EVENTS: dict[str, str] = {
    "asked": "Somebody is asked for a decision or an answer",
    "reminded": "It still waits",
    "escalated": "Others did not decide in time, and you are next",
    "decided": "A request about a run of yours was decided",
    "asked_back": "Who decides wants to know something of you",
    "replied": "Somebody replied to what you asked",
}


@dataclass(frozen=True, slots=True)
class Wishes:
    """What one person wants."""

    switched_off: frozenset[str] = frozenset()
    quiet: rotas.Hours | None = None
    zone: str = ""

    def wants(self, event: str) -> bool:
        """Whether they want mail about it; what cannot be switched off they get."""
        return event not in self.switched_off

    def quiet_until(self, at: datetime) -> datetime | None:
        """When their quiet hours end, or None when it is not quiet for them now."""
        return rotas.quiet_until(self.quiet, zone(self.zone), at) if self.quiet else None


NO_ADDRESS = "no mail address"
SWITCHED_OFF = "switched off"


def why_not(person: User, wishes: Wishes, event: str) -> str:
    """Why this person gets no mail about an event; empty where they do."""
    if not wishes.wants(event):
        return SWITCHED_OFF
    return "" if person.email else NO_ADDRESS


def of(people: Iterable[int]) -> dict[int, Wishes]:
    """The wishes of these people; who said nothing wants everything at once."""
    wanted = list(people)
    found = dict.fromkeys(wanted, Wishes())
    for row in Preference.objects.filter(person_id__in=wanted):
        quiet = rotas.read_hours(row.quiet) if row.quiet else None
        found[row.person_id] = Wishes(frozenset(row.switched_off), quiet, row.zone)
    return found


def save(*, person: User, wants: Iterable[str], quiet: dict[str, object] | None, zone: str) -> None:
    """Keep what somebody wants. Raises InvalidRota for hours or a zone that cannot be read."""
    if quiet is not None:
        rotas.read_hours(quiet)
        rotas.read_zone(zone or "UTC")
    off = sorted(set(EVENTS) - set(wants))
    wishes = {"switched_off": off, "quiet": quiet, "zone": zone}
    Preference.objects.update_or_create(person=person, defaults=wishes)
