"""Addresses of the REST API of runs, below ``/api/v1/``."""

from __future__ import annotations

from django.urls import path

from runs.api.bulk import BulkDetail, BulkItems, BulkList, StopBulk
from runs.api.control import (
    CancelRun,
    ForkRun,
    PauseRun,
    ReplayRun,
    ResumeRun,
    RetryRun,
    SignalRun,
)
from runs.api.conversation_stream import ConversationStream
from runs.api.conversations import ConversationDetail, ConversationList, MessageList
from runs.api.events import EventList, EventStream
from runs.api.memories import MemoryDetail, MemoryErase, MemoryList, MemorySearch
from runs.api.pins import DecideTool, ToolList
from runs.api.routes import RouteDetail, RouteList
from runs.api.runs import (
    AgentDetail,
    AgentList,
    RunDetail,
    RunList,
    SearchRuns,
    StartAndWait,
    StartBatch,
)
from runs.api.steps import SettleStep, StepDetail, StepList
from runs.api.stops import LiftStop, StopDetail, StopList
from runs.api.takeovers import HandBackRun, SupplyStep, TakeRun

urlpatterns = [
    path("agents", AgentList.as_view(), name="api-agents"),
    path("agents/<str:name>", AgentDetail.as_view(), name="api-agent"),
    path("conversations", ConversationList.as_view(), name="api-conversations"),
    path("conversations/<str:public_id>", ConversationDetail.as_view(), name="api-conversation"),
    path(
        "conversations/<str:public_id>/messages",
        MessageList.as_view(),
        name="api-conversation-messages",
    ),
    path(
        "conversations/<str:public_id>/stream",
        ConversationStream.as_view(),
        name="api-conversation-stream",
    ),
    path("bulk-actions", BulkList.as_view(), name="api-bulk-actions"),
    path("bulk-actions/<str:public_id>", BulkDetail.as_view(), name="api-bulk-action"),
    path("bulk-actions/<str:public_id>/items", BulkItems.as_view(), name="api-bulk-items"),
    path("bulk-actions/<str:public_id>/stop", StopBulk.as_view(), name="api-bulk-stop"),
    path("memories", MemoryList.as_view(), name="api-memories"),
    path("memories/erase", MemoryErase.as_view(), name="api-memories-erase"),
    path("memories/search", MemorySearch.as_view(), name="api-memories-search"),
    path("memories/<str:public_id>", MemoryDetail.as_view(), name="api-memory"),
    path("routes", RouteList.as_view(), name="api-routes"),
    path("routes/<str:name>", RouteDetail.as_view(), name="api-route"),
    path("runs", RunList.as_view(), name="api-runs"),
    path("runs/batch", StartBatch.as_view(), name="api-runs-batch"),
    path("runs/search", SearchRuns.as_view(), name="api-runs-search"),
    path("runs/wait", StartAndWait.as_view(), name="api-runs-wait"),
    path("runs/<str:public_id>", RunDetail.as_view(), name="api-run"),
    path("runs/<str:public_id>/cancel", CancelRun.as_view(), name="api-run-cancel"),
    path("runs/<str:public_id>/events", EventList.as_view(), name="api-run-events"),
    path("runs/<str:public_id>/fork", ForkRun.as_view(), name="api-run-fork"),
    path("runs/<str:public_id>/pause", PauseRun.as_view(), name="api-run-pause"),
    path("runs/<str:public_id>/replay", ReplayRun.as_view(), name="api-run-replay"),
    path("runs/<str:public_id>/retry", RetryRun.as_view(), name="api-run-retry"),
    path("runs/<str:public_id>/resume", ResumeRun.as_view(), name="api-run-resume"),
    path("runs/<str:public_id>/signal", SignalRun.as_view(), name="api-run-signal"),
    path("runs/<str:public_id>/steps", StepList.as_view(), name="api-run-steps"),
    path("runs/<str:public_id>/hand-back", HandBackRun.as_view(), name="api-run-hand-back"),
    path("runs/<str:public_id>/take-over", TakeRun.as_view(), name="api-run-take-over"),
    path(
        "runs/<str:public_id>/steps/<path:key>/supply", SupplyStep.as_view(), name="api-step-supply"
    ),
    path(
        "runs/<str:public_id>/steps/<path:key>/settle", SettleStep.as_view(), name="api-step-settle"
    ),
    path("runs/<str:public_id>/steps/<path:key>", StepDetail.as_view(), name="api-run-step"),
    path("runs/<str:public_id>/stream", EventStream.as_view(), name="api-run-stream"),
    path("stops", StopList.as_view(), name="api-stops"),
    path("stops/<str:public_id>", StopDetail.as_view(), name="api-stop"),
    path("stops/<str:public_id>/lift", LiftStop.as_view(), name="api-stop-lift"),
    path("tools", ToolList.as_view(), name="api-tools"),
    path("tools/<str:server>/<path:tool>/decide", DecideTool.as_view(), name="api-tool-decide"),
]
