"""What a program may want to know of this installation before it begins."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from runs import bulk, waiting
from runs.labels import MOST_LABELS
from runs.release import build
from runs.services import MOST_IN_A_BATCH


class LimitsSerializer(serializers.Serializer[Any]):
    """How much is too much here."""

    payload_bytes = serializers.IntegerField(help_text="Largest input, result or event.")
    batch_runs = serializers.IntegerField()
    bulk_runs = serializers.IntegerField()
    wait_seconds = serializers.FloatField()
    labels = serializers.IntegerField(help_text="Tags, and pairs of metadata, of a run.")
    requests_per_second = serializers.FloatField(help_text="0: no limit.")
    requests_at_once = serializers.IntegerField()


class InfoSerializer(serializers.Serializer[Any]):
    """This installation."""

    instance = serializers.CharField()
    api = serializers.CharField(help_text="Version of the API.")
    build = serializers.CharField(help_text="Changes with every release of the program.")
    time = serializers.DateTimeField(help_text="The time here.")
    retention_days = serializers.IntegerField(help_text="How long finished runs are kept.")
    limits = LimitsSerializer()


class Info(APIView):
    """This installation, the same for everybody who signed in."""

    @extend_schema(operation_id="info", responses=InfoSerializer)
    def get(self, request: Request) -> Response:
        """Read what this installation is and what it allows."""
        limits = {
            "payload_bytes": settings.AGENTOPS_MAX_PAYLOAD_BYTES,
            "batch_runs": MOST_IN_A_BATCH,
            "bulk_runs": bulk.MOST_RUNS,
            "wait_seconds": waiting.LONGEST_SECONDS,
            "labels": MOST_LABELS,
            "requests_per_second": settings.AGENTOPS_RATE_LIMIT,
            "requests_at_once": settings.AGENTOPS_RATE_BURST,
        }
        told = {
            "instance": settings.AGENTOPS_INSTANCE,
            "api": "1",
            "build": build(),
            "time": timezone.now(),
            "retention_days": settings.AGENTOPS_RETENTION_DAYS,
            "limits": limits,
        }
        return Response(InfoSerializer(told).data)
