"""One step of class ``once`` under crash, freeze and takeover at any point.

A freeze is a worker that is not moved for a while: whatever it was about to do, it does later. The
database may declare any worker dead at any moment, which is what an expired lease means, and may
take a run from a worker that lives, which is what a passed step deadline means.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.model.effects_state import Rules, Size, State, Worker, canonical

Moves = Iterator[tuple[str, State]]


class Effects:
    """A run whose only step is an effect of class ``once``."""

    def __init__(self, rules: Rules, size: Size | None = None) -> None:
        self.rules = rules
        self.size = size or Size()

    def initial(self) -> State:
        size = self.size
        return State(
            (Worker(),) * size.workers, (0,) * size.operators, size.crashes, size.takeovers
        )

    def canonical(self, state: State) -> State:
        return canonical(state)

    def is_end(self, state: State) -> bool:
        return state.status == "done"

    def broken(self, state: State) -> str:
        if len(state.effects) > 1:
            return "the effect happened twice"
        if state.stale:
            return "a row of an old epoch appeared after the new owner had read the journal"
        if state.status == "done" and not state.outcome:
            return "the run ended without the outcome of its step"
        if state.outcome and not state.effects:
            return "an outcome was recorded of an effect that never happened"
        return ""

    def moves(self, state: State) -> Moves:
        for place, worker in enumerate(state.workers):
            who = f"worker {place + 1}"
            for name, target in self._fate(state, place, worker):
                yield f"{who} {name}", target
            program: Callable[[State, int, Worker], Moves] = getattr(self, f"_at_{worker.at}")
            for name, target in program(state, place, worker):
                yield f"{who} {name}", target
        yield from self._settling(state)

    # What happens to a worker

    def _fate(self, state: State, place: int, worker: Worker) -> Moves:
        gone = worker.at == "gone"
        if not gone and state.crashes:
            crashed = worker._replace(at="gone", epoch=0, n=0)
            yield "crashes", state._replace(crashes=state.crashes - 1).with_worker(place, crashed)
        if worker.lease and (gone or state.takeovers):
            spent = state._replace(takeovers=state.takeovers - (not gone))
            yield "is declared dead", spent.with_worker(place, worker._replace(lease=False))
        if worker.owns and not worker.lease:
            yield "loses the run", self._reclaim(state, place, worker)
        if worker.owns and worker.lease and not gone and state.takeovers:
            spent = state._replace(takeovers=state.takeovers - 1)
            yield "loses the run, stuck past its deadline", self._reclaim(spent, place, worker)
        # The first attempt is enough to show what a passed deadline does.
        if self.rules.quarantine == "deadline" and worker.holds == 1 and not worker.overdue:
            overdue = worker._replace(overdue=True)
            yield "has an attempt past its deadline", state.with_worker(place, overdue)

    def _reclaim(self, state: State, place: int, worker: Worker) -> State:
        raised = state.epoch + self.rules.takeover_raises_epoch
        lost = worker._replace(owns=False)
        return state._replace(status="queued", epoch=raised).with_worker(place, lost)

    def _at_gone(self, state: State, place: int, worker: Worker) -> Moves:
        if not worker.owns:
            yield "is seen to be gone, another starts", state.with_worker(place, Worker())

    # What a worker does

    def _at_idle(self, state: State, place: int, worker: Worker) -> Moves:
        if not worker.lease and not worker.owns:
            yield "registers as a new incarnation", state.with_worker(place, Worker())
        elif worker.lease and state.status == "queued":
            epoch = state.epoch + self.rules.takeover_raises_epoch
            claimed = worker._replace(at="claimed", epoch=epoch, owns=True)
            yield (
                "claims",
                state._replace(status="running", epoch=epoch).with_worker(place, claimed),
            )

    def _at_claimed(self, state: State, place: int, worker: Worker) -> Moves:
        loaded = max(state.loaded, worker.epoch) if worker.owns else state.loaded
        at, n = self._decision(state)
        went = worker._replace(at=at, n=n)
        yield f"reads the journal: {at}", state._replace(loaded=loaded).with_worker(place, went)

    def _decision(self, state: State) -> tuple[str, int]:
        if state.outcome:
            return "finish", 0
        if not state.open or not self.rules.asks:
            return ("intent" if self.rules.intent else "checked"), len(state.intents) + 1
        if state.inbox == state.open:
            return "acted", state.open
        return ("uncertain" if self.rules.verify == "none" else "verifying"), state.open

    def _at_intent(self, state: State, place: int, worker: Worker) -> Moves:
        mine = state.mine(worker)
        if self.rules.fence == "locked":
            yield "sends its intent", self._write_intent(state, place, worker, allowed=mine)
        elif mine or self.rules.fence == "none":
            checked = worker._replace(at="intent_unlocked")
            yield "finds its epoch in order", state.with_worker(place, checked)
        else:
            yield "is fenced", state.with_worker(place, worker.idle())

    def _at_intent_unlocked(self, state: State, place: int, worker: Worker) -> Moves:
        yield "writes its intent", self._write_intent(state, place, worker, allowed=True)

    def _write_intent(self, state: State, place: int, worker: Worker, *, allowed: bool) -> State:
        sent = worker._replace(at="intent_sent")
        if not allowed or len(state.intents) >= worker.n:
            return state.with_worker(place, sent)
        written = state._replace(
            intents=(*state.intents, worker.epoch),
            stale=state.stale or worker.epoch < state.loaded,
        )
        return written.with_worker(place, sent._replace(holds=worker.n, overdue=False))

    def _at_intent_sent(self, state: State, place: int, worker: Worker) -> Moves:
        again = worker._replace(at="intent")
        yield "gets no reply and sends again", state.with_worker(place, again)
        there = len(state.intents) >= worker.n
        if there and (self.rules.conflict_is_mine or state.intents[worker.n - 1] == worker.epoch):
            ready = worker._replace(at="ready")
            yield "learns that the intent stands", state.with_worker(place, ready)
        else:
            yield "learns that it is fenced", state.with_worker(place, worker.idle())

    def _at_ready(self, state: State, place: int, worker: Worker) -> Moves:
        if not worker.lease:
            yield "gives up, its lease is over", state.with_worker(place, worker.idle())
        elif worker.overdue and self.rules.heeds_deadline:
            yield "gives up, its deadline is over", self._give_up(state, place, worker)
        elif self.rules.pause_after_check:
            checked = worker._replace(at="checked")
            yield "finds that it may act", state.with_worker(place, checked)
        else:
            yield "finds that it may act and ACTS", _act(state, place, worker)

    def _give_up(self, state: State, place: int, worker: Worker) -> State:
        """It has not acted, and may say so as long as the run is its own."""
        if not state.mine(worker):
            return state.with_worker(place, worker.idle())
        again = worker._replace(at="intent", n=worker.n + 1, holds=0, overdue=False)
        return state._replace(voids=state.voids | {worker.n}).with_worker(place, again)

    def _at_checked(self, state: State, place: int, worker: Worker) -> Moves:
        yield "ACTS", _act(state, place, worker)

    def _at_acted(self, state: State, place: int, worker: Worker) -> Moves:
        unlocked = worker._replace(at="acted_unlocked")
        if self.rules.fence == "none" or (self.rules.fence == "read" and state.mine(worker)):
            yield "finds its epoch in order", state.with_worker(place, unlocked)
        elif state.mine(worker):
            yield "records the outcome", _record(state, place, worker._replace(at="finish"))
        else:
            late = worker._replace(at="late")
            yield "is fenced with an outcome in hand", state.with_worker(place, late)

    def _at_acted_unlocked(self, state: State, place: int, worker: Worker) -> Moves:
        yield "records the outcome", _record(state, place, worker._replace(at="finish"))

    def _at_late(self, state: State, place: int, worker: Worker) -> Moves:
        if self.rules.late == "journal":
            yield "records its outcome late", _record(state, place, worker._replace(at="idle"))
        elif self.rules.late == "inbox" and state.status != "done":
            left = state._replace(inbox=worker.n).with_worker(place, worker.idle())
            yield "leaves a late settlement", left
        else:
            yield "drops its outcome", state.with_worker(place, worker.idle())

    def _at_verifying(self, state: State, place: int, worker: Worker) -> Moves:
        may = self.rules.verify != "quarantined" or self._may_run_again(state)
        asking = worker._replace(at="asking" if may else "asking_early")
        yield (
            f"sees that the old attempt {'can no longer' if may else 'may still'} act",
            (state.with_worker(place, asking)),
        )

    def _at_asking(self, state: State, place: int, worker: Worker) -> Moves:
        yield from self._verify(state, place, worker, then="verified_absent")

    def _at_asking_early(self, state: State, place: int, worker: Worker) -> Moves:
        yield from self._verify(state, place, worker, then="uncertain")

    def _verify(self, state: State, place: int, worker: Worker, then: str) -> Moves:
        happened = worker.n in state.effects
        answered = worker._replace(at="acted" if happened else then)
        yield f"verifies: {'done' if happened else 'not done'}", state.with_worker(place, answered)

    def _at_verified_absent(self, state: State, place: int, worker: Worker) -> Moves:
        if self.rules.verify == "asked first" and not self._may_run_again(state):
            yield "cannot tell yet", state.with_worker(place, worker._replace(at="uncertain"))
        elif state.mine(worker) and state.open == worker.n:
            again = worker._replace(at="intent", n=worker.n + 1)
            voided = state._replace(voids=state.voids | {worker.n})
            yield f"voids attempt {worker.n}", voided.with_worker(place, again)
        else:
            yield "is fenced", state.with_worker(place, worker.idle())

    def _at_uncertain(self, state: State, place: int, worker: Worker) -> Moves:
        left = state.with_worker(place, worker.idle()._replace(owns=False))
        if not state.mine(worker):
            yield "is fenced", left
        elif state.inbox == worker.n:
            yield "may not park: a settlement has come", left._replace(status="queued")
        else:
            yield "asks an operator", left._replace(status="parked")

    def _at_finish(self, state: State, place: int, worker: Worker) -> Moves:
        left = state.with_worker(place, worker.idle()._replace(owns=False))
        if state.mine(worker):
            yield "finishes the run", left._replace(status="done")
        else:
            yield "is fenced", left

    # What people do

    def _settling(self, state: State) -> Moves:
        parked = state.status == "parked" and state.open
        if parked and state.inbox == state.open:
            yield "the late settlement is taken", _settle(state)
        if parked and state.open in state.effects:
            yield "an operator finds that it happened", _settle(state)
        for place, means in enumerate(state.operators):
            who = f"operator {place + 1}"
            if not means and parked and self._may_look(state) and state.open not in state.effects:
                looked = state.with_operator(place, state.open)
                yield f"{who} looks: attempt {state.open} did not happen", looked
            if means:
                yield f"{who} says so", self._say_no(state, place, means)

    def _may_look(self, state: State) -> bool:
        return not self.rules.looks_after_exit or self._may_run_again(state)

    def _say_no(self, state: State, place: int, means: int) -> State:
        said = state.with_operator(place, 0)
        meant = state.open and (means == state.open or not self.rules.settle_names_attempt)
        if state.status != "parked" or not meant or not self._may_run_again(state):
            return said
        return said._replace(status="queued", voids=state.voids | {state.open})

    def _may_run_again(self, state: State) -> bool:
        if self.rules.quarantine == "none":
            return True
        holders = [worker for worker in state.workers if worker.holds == state.open]
        if self.rules.quarantine == "deadline":
            return all(worker.overdue for worker in holders)
        return not holders


def _act(state: State, place: int, worker: Worker) -> State:
    acted = worker._replace(at="acted")
    return state._replace(effects=(*state.effects, worker.n)).with_worker(place, acted)


def _record(state: State, place: int, worker: Worker) -> State:
    """Record the worker's outcome unless there is one; note if a newer owner has read already."""
    recorded = state.with_worker(place, worker)
    if state.outcome:
        return recorded
    stale = state.stale or worker.epoch < state.loaded
    return recorded._replace(outcome=worker.n, stale=stale)


def _settle(state: State) -> State:
    return state._replace(outcome=state.open, status="queued")
