"""The pace of a provider: a run that has to wait for its turn holds no worker meanwhile."""

from __future__ import annotations

from django.utils import timezone

from runs import reading, telling
from runs.engine.host import Host
from runs.models import Journal, LimitBucket, ModelEndpoint, Phase, RouteVersion
from tests.runs.engine.conftest import ended, eventually, kinds, stands_at, start


def test_a_long_wait_for_a_turn_holds_no_worker_and_ends_by_itself(host: Host) -> None:
    ModelEndpoint.objects.create(name="slow", protocol="scripted", requests_per_minute=20)
    RouteVersion.objects.create(
        route="paced", number=1, candidates=[{"endpoint": "slow", "model": "m"}]
    )
    eventually(lambda: "paced" in host.models._routes)
    # A turn comes every three seconds; this one is taken, so the next comes in more than two.
    LimitBucket.objects.create(key="slow/r", level=0, changed_at=timezone.now())
    run = stands_at(start("shopkeeper", route="paced"), "waiting", "retry")
    assert run.waiting_detail == "the pace of slow"
    assert run.worker_id is None
    assert run.ready_at is not None
    assert 0 < (run.ready_at - timezone.now()).total_seconds() <= 3
    said = telling.why(run, reading.timeline(run), timezone.now()).sentence
    assert said.startswith("It keeps to the limits of endpoint “slow” and asks again at")
    over = ended(run)
    assert (over.status, over.retries) == ("succeeded", 0)
    # The wait was no attempt: each of the two requests is answered at its first.
    asked = Journal.objects.filter(run=run, phase=Phase.OUTCOME, name="paced")
    assert [row.meta["attempt"] for row in asked if row.meta] == [1, 1]
    assert "step.retrying" not in kinds(run)
