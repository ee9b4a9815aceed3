"""Steering runs: stop, pause, go on, try again, begin anew."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from agentops.accounts.access import Action, allows, authorize_new
from runs import services
from runs.api.base import (
    IDEMPOTENCY_KEY,
    STARTED,
    RunView,
    checked,
    idempotency_key,
    shown,
    started_answer,
    traceparent,
)
from runs.labels import LONGEST_KEY
from runs.serializers import (
    CancelSerializer,
    ForkSerializer,
    ReplaySerializer,
    RetrySerializer,
    RunSerializer,
    SignalledSerializer,
    SignalSerializer,
)


class CancelRun(RunView):
    """The end of a run."""

    @extend_schema(operation_id="runs_cancel", request=CancelSerializer, responses=RunSerializer)
    def post(self, request: Request, public_id: str) -> Response:
        """Stop a run and everything it started. Stopping it again changes nothing."""
        run = self.run_for(Action.CONTROL, public_id)
        said = checked(CancelSerializer, request.data)
        stopped = services.cancel_run(
            run=run,
            actor=self.caller.name,
            by_operator=run.owner_id != self.caller.user.pk,
            **said,
        )
        return Response(shown(stopped))


class SignalRun(RunView):
    """Events for a run."""

    @extend_schema(
        operation_id="runs_signal", request=SignalSerializer, responses=SignalledSerializer
    )
    def post(self, request: Request, public_id: str) -> Response:
        """Send a named event to a run."""
        run = self.run_for(Action.RESPOND, public_id)
        said = checked(SignalSerializer, request.data)
        key = idempotency_key(request)
        if key is not None:
            # Should this process die before the answer is kept, the message still counts once.
            said.setdefault("dedup_key", f"key:{key}"[:LONGEST_KEY])
        accepted = services.signal_run(run=run, sender=self.caller.name, **said)
        return Response({"accepted": accepted})


class ForkRun(RunView):
    """Runs that begin with another one's past."""

    keeps_keys = True

    @extend_schema(
        operation_id="runs_fork",
        parameters=[IDEMPOTENCY_KEY],
        request=ForkSerializer,
        responses=STARTED,
    )
    def post(self, request: Request, public_id: str) -> Response:
        """Start a new run that begins with what this one had recorded up to an event."""
        run = self.run_for(Action.CONTROL, public_id)
        authorize_new(self.caller)
        wanted = checked(ForkSerializer, request.data)
        forked = services.fork_run(
            run=run,
            actor=self.caller.name,
            owner=self.caller.user,
            idempotency_key=idempotency_key(request),
            traceparent=traceparent(request),
            **wanted,
        )
        return started_answer(forked)


class ResumeRun(RunView):
    """Paused and parked runs."""

    @extend_schema(operation_id="runs_resume", request=None, responses=RunSerializer)
    def post(self, request: Request, public_id: str) -> Response:
        """Let a run go on that was paused, or parked for a crash loop, changed code or a payload.

        What is parked for a reason somebody has to look at, only operators let go on.
        """
        run = self.run_for(Action.CONTROL, public_id)
        resumed = services.resume_run(
            run=run,
            actor=self.caller.name,
            paused_only=not allows(self.caller, Action.OPERATE, run),
        )
        return Response(shown(resumed))


class PauseRun(RunView):
    """Runs that are to wait."""

    @extend_schema(operation_id="runs_pause", request=None, responses=RunSerializer)
    def post(self, request: Request, public_id: str) -> Response:
        """Let a run wait until somebody resumes it.

        What no worker holds waits at once; a running one ends the steps under way and starts no
        other. A run that is paused or has ended stays as it is.
        """
        run = self.run_for(Action.CONTROL, public_id)
        return Response(shown(services.pause_run(run=run, actor=self.caller.name)))


class RetryRun(RunView):
    """Attempts and failures."""

    @extend_schema(operation_id="runs_retry", request=RetrySerializer, responses=RunSerializer)
    def post(self, request: Request, public_id: str) -> Response:
        """Skip a back-off (now), or let a failed run go on from the step it failed at (failure)."""
        run = self.run_for(Action.CONTROL, public_id)
        said = checked(RetrySerializer, request.data)
        retry = services.retry_now if said["what"] == "now" else services.retry_failure
        return Response(shown(retry(run=run, actor=self.caller.name)))


class ReplayRun(RunView):
    """Runs that are run again."""

    keeps_keys = True

    @extend_schema(
        operation_id="runs_replay",
        parameters=[IDEMPOTENCY_KEY],
        request=ReplaySerializer,
        responses=STARTED,
    )
    def post(self, request: Request, public_id: str) -> Response:
        """Run it again from the start, as a new run, with the same input or another one."""
        run = self.run_for(Action.CONTROL, public_id)
        authorize_new(self.caller)
        wanted = checked(ReplaySerializer, request.data)
        again = services.replay_run(
            run=run,
            actor=self.caller.name,
            owner=self.caller.user,
            idempotency_key=idempotency_key(request),
            traceparent=traceparent(request),
            **wanted,
        )
        return started_answer(again)
