"""Every exploration there is: the rules as they are, and each rule broken."""

from __future__ import annotations

from typing import Any, NamedTuple

from tests.model import effects_state, endings, wakeups
from tests.model.effects import Effects
from tests.model.effects_state import Size
from tests.model.endings import Endings
from tests.model.explorer import Model
from tests.model.wakeups import Wakeups

TWICE = "the effect happened twice"
STALE = "a row of an old epoch appeared after the new owner had read the journal"
SLEEPS = "the run sleeps although a message has come"
STUCK = "no end can be reached from here"


class Mutant(NamedTuple):
    """A model with one rule broken, and the promise that must be seen to break."""

    model: Model[Any]
    breaks: str


def _effects(**rules: Any) -> Effects:
    return Effects(effects_state.Rules(**rules))


def _two_operators(**rules: Any) -> Effects:
    return Effects(effects_state.Rules(**rules), Size(operators=2))


def _wakeups(**rules: Any) -> Wakeups:
    return Wakeups(wakeups.Rules(**rules))


def _endings(**rules: Any) -> Endings:
    return Endings(endings.Rules(**rules))


SOUND: dict[str, Model[Any]] = {
    "effects, two workers": _effects(),
    "effects, two workers, two crashes": Effects(effects_state.Rules(), Size(crashes=2)),
    "effects, two workers, two operators": _two_operators(),
    "effects, three workers": Effects(effects_state.Rules(), Size(workers=3)),
    "effects, late settlements dropped": _effects(late="never"),
    "effects, with verify": _effects(verify="quarantined"),
    "effects, deadline or exit, no pause after the last look": _effects(
        quarantine="deadline", pause_after_check=False
    ),
    "effects, deadline or exit, no pause after the last look, with verify": _effects(
        quarantine="deadline", pause_after_check=False, verify="quarantined"
    ),
    "wake-ups, two workers": _wakeups(),
    "wake-ups, three workers": Wakeups(wakeups.Rules(), workers=3, disturbances=3),
    "endings, two workers": _endings(),
    "endings, three workers": Endings(endings.Rules(), workers=3, disturbances=3),
}

MUTANTS: dict[str, Mutant] = {
    "the fence takes no lock": Mutant(_effects(fence="read"), STALE),
    "there is no fence": Mutant(_effects(fence="none"), STALE),
    "a takeover keeps the epoch": Mutant(_effects(takeover_raises_epoch=False), TWICE),
    "an effect needs no intent": Mutant(_effects(intent=False), TWICE),
    "any row in our place counts as ours": Mutant(_effects(conflict_is_mine=True), TWICE),
    "an open intent is simply tried again": Mutant(_effects(asks=False), TWICE),
    "'run again' is allowed at once": Mutant(_effects(quarantine="none"), TWICE),
    # Nothing here can prevent this one; only an idempotency key at the other side can.
    "'run again' is allowed after the deadline, and a process pauses after its last look": Mutant(
        _effects(quarantine="deadline"), TWICE
    ),
    "an attempt does not look at its deadline before it acts": Mutant(
        _effects(quarantine="deadline", pause_after_check=False, heeds_deadline=False), TWICE
    ),
    "the operator looks before the old attempt is gone": Mutant(
        _effects(looks_after_exit=False), TWICE
    ),
    "an answer does not say which attempt it is about": Mutant(
        _two_operators(settle_names_attempt=False), TWICE
    ),
    "verify's 'not done' is believed while the old attempt may act": Mutant(
        _effects(verify="trusted"), TWICE
    ),
    "verify is asked before the old attempt is seen to be over": Mutant(
        _effects(verify="asked first"), TWICE
    ),
    "a late settlement goes past the fence": Mutant(_effects(late="journal"), STALE),
    "going to sleep is decided by EXISTS(inbox)": Mutant(_wakeups(decides_by="exists"), SLEEPS),
    "the counter is noted after the inbox is read": Mutant(
        _wakeups(notes_before_reading=False), SLEEPS
    ),
    "messages to a running run are not counted": Mutant(
        _wakeups(counts_while_running=False), STUCK
    ),
    "message and counter are two transactions": Mutant(_wakeups(one_transaction=False), STUCK),
    "cancel acts on what it read before": Mutant(
        _endings(cancel_locks=False), "the run ended twice"
    ),
    "cancel writes into a running run": Mutant(
        _endings(owner_writes_alone=False), "numbers of the journal are missing or given twice"
    ),
    "finish is not fenced": Mutant(_endings(finish_is_fenced=False), "the run ended twice"),
    "finish is two transactions": Mutant(
        _endings(finish_is_one_transaction=False), "status and journal disagree about the end"
    ),
    "a retry acts on what it read before": Mutant(
        _endings(reopen_locks=False), "a run that did not fail was reopened"
    ),
    "a retry does not say so in the journal": Mutant(
        _endings(reopen_is_told=False), "status and journal disagree about the end"
    ),
    "a retry keeps the wish to stop": Mutant(
        _endings(reopen_forgets_wishes=False),
        "a wish from before the failure stops the run that goes on",
    ),
    "a run asked to stop may go to sleep": Mutant(
        _endings(suspend_heeds_cancel=False), "the run sleeps although it was asked to stop"
    ),
}
