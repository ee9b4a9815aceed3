"""What people say to a request. Only a session of the console decides; a token never does."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.request import Request as HttpRequest
from rest_framework.response import Response

from agentops.accounts.access import authorize_person
from approvals import asking_back, bulk, deciding, queries, questions
from approvals.api.base import AskView, be_sure, checked
from approvals.api.requests import brief, whole
from approvals.api.serializers import (
    AnswerSerializer,
    BulkDecideSerializer,
    CommentSerializer,
    DecideRequestSerializer,
    OutcomesSerializer,
    RecordSerializer,
    RequestSerializer,
    TextSerializer,
    WholeRequestSerializer,
)
from approvals.models import Risk, Verdict


class DecideRequest(AskView):
    """A word on an action."""

    @extend_schema(
        operation_id="approvals_decide",
        request=DecideRequestSerializer,
        responses=RequestSerializer,
    )
    def post(self, request: HttpRequest, public_id: str) -> Response:
        """Approve or reject the revision you read, named by its number and digest."""
        found = queries.named(public_id)
        is_well_put = DecideRequestSerializer(data=request.data).is_valid()
        if self.caller.scopes is not None or found.risk == Risk.HIGH or not is_well_put:
            self.found(public_id)  # who may not see it hears nothing of why it is refused
        authorize_person(self.caller)
        said = checked(DecideRequestSerializer, request.data)
        if said["verdict"] == Verdict.APPROVE:
            be_sure(request, found)
        verdict = Verdict(said.pop("verdict"))
        made = deciding.decide(request=found, actor=self.caller, verdict=verdict, **said)
        return Response(RequestSerializer(made.request).data)


class DecideSeveral(AskView):
    """The same word on several actions."""

    @extend_schema(
        operation_id="approvals_decide_several",
        request=BulkDecideSerializer,
        responses=OutcomesSerializer,
    )
    def post(self, request: HttpRequest) -> Response:
        """Approve or reject up to 50 actions of one tool, none of high risk; each by itself."""
        authorize_person(self.caller)
        said = checked(BulkDecideSerializer, request.data)
        items = [
            bulk.Item(one["id"].replace("\0", ""), one["revision"], one["digest"])
            for one in said["items"]
        ]
        made = bulk.decide(
            actor=self.caller, items=items, verdict=Verdict(said["verdict"]),
            comment=said.get("comment", ""),
        )  # fmt: skip
        return Response(OutcomesSerializer({"items": made}).data)


class WithdrawWord(AskView):
    """One's own word, taken back."""

    @extend_schema(operation_id="approvals_withdraw", request=None, responses=RequestSerializer)
    def post(self, request: HttpRequest, public_id: str) -> Response:
        """Take your word back: while others are still asked, or within the time to undo."""
        found = self.found(public_id)
        deciding.withdraw(request=found, actor=self.caller)
        return brief(found)


class RevokeApproval(AskView):
    """An approval that has not begun."""

    @extend_schema(
        operation_id="approvals_revoke", request=CommentSerializer, responses=RequestSerializer
    )
    def post(self, request: HttpRequest, public_id: str) -> Response:
        """Take back an approval that has not begun; the agent is told it may not."""
        found = self.found(public_id)
        authorize_person(self.caller)
        said = checked(CommentSerializer, request.data)
        deciding.revoke(request=found, actor=self.caller, **said)
        return brief(found)


class AskBack(AskView):
    """A word between who decides and whom the run is for."""

    @extend_schema(
        operation_id="approvals_ask_back",
        request=TextSerializer,
        responses={201: OpenApiResponse(RecordSerializer, description="It is said.")},
    )
    def post(self, request: HttpRequest, public_id: str) -> Response:
        """Ask whom the run is for, or reply; the other side is told, and nothing is decided."""
        found = self.found(public_id)
        authorize_person(self.caller)
        said = checked(TextSerializer, request.data)
        made = asking_back.say(request=found, actor=self.caller, **said)
        return Response(RecordSerializer(made).data, status=status.HTTP_201_CREATED)


class AnswerQuestion(AskView):
    """An answer."""

    @extend_schema(
        operation_id="approvals_answer", request=AnswerSerializer, responses=WholeRequestSerializer
    )
    def post(self, request: HttpRequest, public_id: str) -> Response:
        """Answer a question of an agent with the fields of its form."""
        found = self.found(public_id)
        said = checked(AnswerSerializer, request.data)
        questions.answer(request=found, actor=self.caller, **said)
        return whole(found, self)


class DeclineQuestion(AskView):
    """No answer."""

    @extend_schema(
        operation_id="approvals_decline",
        request=CommentSerializer,
        responses=WholeRequestSerializer,
    )
    def post(self, request: HttpRequest, public_id: str) -> Response:
        """Tell an agent that nobody will answer its question."""
        found = self.found(public_id)
        said = checked(CommentSerializer, request.data)
        questions.decline(request=found, actor=self.caller, **said)
        return whole(found, self)
