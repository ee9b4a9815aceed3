"""Steps, and settling those whose outcome is uncertain."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from agentops.accounts.access import Action, NotFound
from runs import queries, services, steps
from runs.api.base import RunView, checked, shown
from runs.serializers import (
    RunSerializer,
    SettleSerializer,
    StepDetailSerializer,
    StepListSerializer,
)


class StepList(RunView):
    """The steps of a run."""

    @extend_schema(operation_id="steps_list", responses=StepListSerializer)
    def get(self, request: Request, public_id: str) -> Response:
        """List the steps of a run in the order in which they began."""
        run = self.run_for(Action.VIEW, public_id)
        return Response(StepListSerializer({"items": steps.steps(run=run)}).data)


class StepDetail(RunView):
    """A step of a run."""

    @extend_schema(operation_id="steps_read", responses=StepDetailSerializer)
    def get(self, request: Request, public_id: str, key: str) -> Response:
        """Read a step with its attempts and values."""
        run = self.run_for(Action.VIEW, public_id)
        found = next((one for one in steps.steps(run=run) if one.step.key == key), None)
        if found is None:
            raise NotFound(f"This run has no step {key[:80]}.")
        values = queries.step_values(run=run, key=key)
        shown = {"step": found, "attempts": found.step.attempts, **vars(values)}
        return Response(StepDetailSerializer(shown).data)


class SettleStep(RunView):
    """A step whose outcome is uncertain."""

    @extend_schema(operation_id="steps_settle", request=SettleSerializer, responses=RunSerializer)
    def post(self, request: Request, public_id: str, key: str) -> Response:
        """Say what became of a step: happened, did_not_happen, unknown, or stop the run."""
        run = self.run_for(Action.OPERATE, public_id)
        said = checked(SettleSerializer, request.data)
        settled = services.settle_step(run=run, key=key, actor=self.caller.name, **said)
        return Response(shown(settled))
