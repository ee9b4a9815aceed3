"""Policies: the rules of each layer, their versions, and drafts tried on past calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from django.db.models import F, QuerySet
from django.utils import timezone
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import api_settings
from rest_framework.views import APIView

from agentops.accounts import stepup
from agentops.accounts.access import Action, Actor, Forbidden, NotFound, authorize
from agentops.accounts.actors import actor_of
from agentops.accounts.models import Team
from approvals import comparing, policies, replaying
from approvals.api.base import SignInAgain
from approvals.api.policy_serializers import (
    LayerQuerySerializer,
    PolicyChangeSerializer,
    PolicyLayersSerializer,
    PolicyRevertSerializer,
    PolicySavedSerializer,
    PolicyTrialSerializer,
    PolicyVersionDetailSerializer,
    PolicyVersionSerializer,
    SimulationSerializer,
)
from approvals.models import PolicyProposal, PolicyVersion
from approvals.policies import Draft, Saved
from approvals.reading import RuleFault
from runs.api.base import checked

T = TypeVar("T")
_TOLD = (
    "since", "calls", "is_cut", "unread", "unclear", "differs", "lines", "watched", "changed",
)  # fmt: skip


class PolicyView(APIView):
    """A view of rules. Reading is for who looks after runs, changing for administrators."""

    @property
    def caller(self) -> Actor:
        """Who calls; the default permission has refused everybody else."""
        return actor_of(self.request)

    @property
    def pagination_class(self) -> Any:
        return api_settings.DEFAULT_PAGINATION_CLASS

    def read(self, team: Team | None = None) -> None:
        """Return if the caller may read the rules of a layer. Raises Forbidden, NotFound."""
        if not policies.may_read(self.caller):
            authorize(self.caller, Action.OPERATE)
            raise Forbidden
        if not policies.may_read(self.caller, team):
            raise NotFound

    def team(self, name: str | None) -> Team | None:
        """The team of this name, if the caller knows it. Raises ValidationError."""
        if name is None:
            return None
        found = policies.teams_of(self.caller).filter(name=name).first()
        if found is None:
            raise serializers.ValidationError({"team": ["You know no team of this name."]})
        return found

    def change(self, request: Request) -> None:
        """Return if the caller may change rules, and said a moment ago who they are."""
        policies.may_change(self.caller)
        if request.auth is None and not stepup.is_fresh(request._request):
            raise SignInAgain

    def version(self, number: int) -> PolicyVersion:
        """The version, if the caller may read it."""
        found = PolicyVersion.objects.select_related("team", "made_by").filter(pk=number).first()
        self.read(found.team if found else None)
        if found is None:
            raise NotFound
        return found


class LayerList(PolicyView):
    """What holds now."""

    @extend_schema(operation_id="policies_list", responses=PolicyLayersSerializer)
    def get(self, request: Request) -> Response:
        """List the rules that hold: everybody's, and those of the teams you know."""
        self.read()
        items = [self._layer(team) for team in [None, *policies.teams_of(self.caller)]]
        return Response(PolicyLayersSerializer({"items": items}).data)

    def _layer(self, team: Team | None) -> dict[str, Any]:
        return {
            "team": team.name if team else None,
            "version": policies.newest(team),
            "unmatched": policies.holding(team).unmatched,
            "proposal": policies.open_proposal(team),
        }


class VersionList(PolicyView):
    """The versions of a layer."""

    serializer_class = PolicyVersionSerializer

    @extend_schema(
        operation_id="policy_versions_list",
        parameters=[LayerQuerySerializer],
        responses=PolicyVersionSerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        """List the versions of a layer, newest first."""
        team = self.team(checked(LayerQuerySerializer, request.query_params).get("team"))
        self.read(team)
        paginator = self.pagination_class()
        rows: QuerySet[Any] = policies.layer(team).annotate(created_at=F("made_at"))
        page = paginator.paginate_queryset(rows.order_by(), request, view=self)
        answer: Response = paginator.get_paginated_response(
            PolicyVersionSerializer(page, many=True).data
        )
        return answer

    @extend_schema(
        operation_id="policy_versions_create",
        request=PolicyChangeSerializer,
        responses={
            201: OpenApiResponse(PolicySavedSerializer, description="It holds from now on."),
            202: OpenApiResponse(
                PolicySavedSerializer, description="It waits for another administrator to agree."
            ),
        },
    )
    def post(self, request: Request) -> Response:
        """Save rules for a layer. What lets agents do more takes a second administrator."""
        self.change(request)
        said = checked(PolicyChangeSerializer, request.data)
        draft = _draft(self.team(said.get("team")), said, said["note"], said["based_on"])
        return _answer(_naming_fields(lambda: policies.save(actor=self.caller, draft=draft)))


class VersionDetail(PolicyView):
    """One version."""

    @extend_schema(operation_id="policy_versions_read", responses=PolicyVersionDetailSerializer)
    def get(self, request: Request, number: int) -> Response:
        """Read a version, and what it changed."""
        version = self.version(number)
        return Response(PolicyVersionDetailSerializer(version).data)


class RevertVersion(PolicyView):
    """An earlier version that shall hold again."""

    @extend_schema(
        operation_id="policy_versions_revert",
        request=PolicyRevertSerializer,
        responses={201: PolicySavedSerializer, 202: PolicySavedSerializer},
    )
    def post(self, request: Request, number: int) -> Response:
        """Save what this version said as a new one, under the same rules as any change."""
        self.change(request)
        version, said = self.version(number), checked(PolicyRevertSerializer, request.data)
        return _answer(_naming_fields(lambda: policies.revert(
            actor=self.caller, version=version, note=said["note"], based_on=said["based_on"]
        )))  # fmt: skip


class AgreeToProposal(PolicyView):
    """What another administrator proposed."""

    @extend_schema(
        operation_id="policy_proposals_agree",
        request=None,
        responses={201: PolicyVersionSerializer},
    )
    def post(self, request: Request, number: int) -> Response:
        """Let it hold. Nobody agrees to what they proposed themselves."""
        self.change(request)
        made = policies.agree(actor=self.caller, proposal=_proposal(number))
        return Response(PolicyVersionSerializer(made).data, status=status.HTTP_201_CREATED)


class RefuseProposal(PolicyView):
    """What an administrator proposed."""

    @extend_schema(operation_id="policy_proposals_refuse", request=None, responses={204: None})
    def post(self, request: Request, number: int) -> Response:
        """Refuse it, or take back your own; what holds stays as it is."""
        self.change(request)
        policies.take_back(actor=self.caller, proposal=_proposal(number))
        return Response(status=status.HTTP_204_NO_CONTENT)


class SimulatePolicy(PolicyView):
    """A draft."""

    @extend_schema(
        operation_id="policies_simulate",
        request=PolicyTrialSerializer,
        responses=SimulationSerializer,
    )
    def post(self, request: Request) -> Response:
        """Try rules on the calls of the last days that you may see. Nothing is stored."""
        self.read()
        said = checked(PolicyTrialSerializer, request.data)
        team = self.team(said.get("team"))
        self.read(team)
        return Response(SimulationSerializer(_naming_fields(lambda: self._tried(team, said))).data)

    def _tried(self, team: Team | None, said: dict[str, Any]) -> dict[str, Any]:
        policy = policies.read_draft(_draft(team, said, "", 0))
        replay = replaying.replay(
            actor=self.caller, draft=policy, team=team, now=timezone.now(), days=said["days"]
        )
        told = {name: getattr(replay, name) for name in _TOLD}
        now = policies.holding(team)
        changes, widens = comparing.difference(now, policy), comparing.widens(now, policy)
        return {**told, "changes": changes, "widens": widens}


def _draft(team: Team | None, said: dict[str, Any], note: str, based_on: int) -> Draft:
    return Draft(team, said["rules"], said["unmatched"], note, based_on)


def _proposal(number: int) -> PolicyProposal:
    found = PolicyProposal.objects.filter(pk=number).first()
    if found is None:
        raise NotFound
    return found


def _answer(saved: Saved) -> Response:
    holds = saved.version is not None
    made = status.HTTP_201_CREATED if holds else status.HTTP_202_ACCEPTED
    return Response(PolicySavedSerializer(saved).data, status=made)


def _naming_fields(work: Callable[[], T]) -> T:
    """What ``work`` returns; a fault in a rule is said with its place in the body."""
    try:
        return work()
    except RuleFault as fault:
        detail: Any = [str(fault)]
        for part in reversed(fault.path.strip("/").split("/")):
            detail = {part: detail}
        raise serializers.ValidationError(detail) from fault
