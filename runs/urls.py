"""Addresses of the pages about runs and agents."""

from __future__ import annotations

from django.urls import path

from runs.views import (
    acting,
    actions,
    agents,
    bulk,
    conversations,
    forking,
    lists,
    memory,
    page,
    pins,
    playground,
    takeover,
)

urlpatterns = [
    path("runs/", lists.runs, name="runs"),
    path("runs/complete/", lists.complete, name="runs-complete"),
    path("runs/act/", acting.act, name="runs-act"),
    path("runs/views/", lists.save_view, name="run-view-save"),
    path("runs/views/<int:number>/remove/", lists.remove_view, name="run-view-remove"),
    path("runs/<str:public_id>/", page.run, name="run"),
    path("runs/<str:public_id>/peek/", lists.peek, name="run-peek"),
    path("runs/<str:public_id>/block/<int:number>/", page.block, name="run-block"),
    path("runs/<str:public_id>/cancel/", actions.cancel, name="run-cancel"),
    path("runs/<str:public_id>/resume/", actions.resume, name="run-resume"),
    path("runs/<str:public_id>/pause/", actions.pause, name="run-pause"),
    path("runs/<str:public_id>/retry/", actions.retry, name="run-retry"),
    path("runs/<str:public_id>/fork/", forking.fork, name="run-fork"),
    path("runs/<str:public_id>/take-over/", takeover.take_over, name="run-take-over"),
    path("runs/<str:public_id>/supply/", takeover.supply, name="run-supply"),
    path("runs/<str:public_id>/hand-back/", takeover.hand_back, name="run-hand-back"),
    path("runs/<str:public_id>/settle/", actions.settle, name="run-settle"),
    path("memory/", memory.memory, name="memory"),
    path("memory/erase/", memory.erase, name="memory-erase"),
    path("memory/<str:public_id>/", memory.entry, name="memory-entry"),
    path("memory/<str:public_id>/delete/", memory.delete, name="memory-delete"),
    path("bulk/", bulk.actions, name="bulks"),
    path("bulk/<str:public_id>/", bulk.action, name="bulk"),
    path("bulk/<str:public_id>/stop/", bulk.stop, name="bulk-stop"),
    path("conversations/", conversations.conversation_list, name="conversations"),
    path("conversations/<str:public_id>/", conversations.conversation, name="conversation"),
    path("conversations/<str:public_id>/say/", conversations.say, name="conversation-say"),
    path("conversations/<str:public_id>/stop/", conversations.stop, name="conversation-stop"),
    path("playground/", playground.playground, name="playground"),
    path("tools/", pins.tools, name="tool-pins"),
    path("tools/decide/", pins.decide, name="tool-pin-decide"),
    path("agents/", agents.agents, name="agents"),
    path("agents/<str:name>/", agents.agent, name="agent"),
    path("agents/<str:name>/start/", agents.start, name="agent-start"),
]
