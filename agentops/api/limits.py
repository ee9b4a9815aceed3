"""How often somebody may ask: a bucket per token, or per person in the console.

Counted in Redis, so that all web processes share it; while Redis is away each process counts for
itself. A limit is not worth an outage.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import redis
import structlog
from django.conf import settings
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from agentops.accounts.actors import actor_of

if TYPE_CHECKING:
    from rest_framework.views import APIView

log = structlog.get_logger(__name__)

_PATIENCE_SECONDS = 0.2
_REDIS_AGAIN_SECONDS = 5.0
_MOST_KNOWN = 10_000

# The generic cell rate algorithm: a key holds when its bucket will be full again.
_TAKE = """
local t = redis.call('TIME')
local now = t[1] + t[2] / 1000000
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local full = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now) + interval
local wait = full - burst * interval - now
if wait > 0 then return string.format('%.6f', wait) end
redis.call('SET', KEYS[1], string.format('%.6f', full), 'PX', math.ceil((full - now) * 1000) + 1)
return '0'
"""


class Buckets:
    """Counts in this process; ``take`` answers how many seconds to wait, 0 for none."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._full_at: dict[str, float] = {}
        self._lock = threading.Lock()

    def take(self, key: str, rate: float, burst: int) -> float:
        now, interval = self._clock(), 1 / rate
        with self._lock:
            if len(self._full_at) > _MOST_KNOWN:
                self._full_at = {k: at for k, at in self._full_at.items() if at > now}
            full = max(self._full_at.get(key, 0.0), now) + interval
            wait = full - burst * interval - now
            if wait <= 0:
                self._full_at[key] = full
            return max(0.0, wait)


class SharedBuckets:
    """The same in Redis; falls back to this process for a while when Redis does not answer."""

    def __init__(self) -> None:
        self._own = Buckets()
        self._again_at = 0.0

    def take(self, key: str, rate: float, burst: int) -> float:
        if time.monotonic() < self._again_at:
            return self._own.take(key, rate, burst)
        try:
            found = _redis().eval(_TAKE, 1, f"agentops:rate:{key}", str(1 / rate), str(burst))
            return float(found)
        except (redis.RedisError, OSError) as error:
            log.warning("api.limit_not_shared", error=str(error))
            self._again_at = time.monotonic() + _REDIS_AGAIN_SECONDS
            return self._own.take(key, rate, burst)


@functools.cache
def _redis() -> redis.Redis:
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_connect_timeout=_PATIENCE_SECONDS,
        socket_timeout=_PATIENCE_SECONDS,
        retry=None,
    )


buckets = SharedBuckets()


class RateLimit(BaseThrottle):
    """Refuses with 429 and ``Retry-After`` whoever asks more than is fair."""

    _wait = 0.0

    def allow_request(self, request: Request, view: APIView) -> bool:
        rate, burst = settings.AGENTOPS_RATE_LIMIT, settings.AGENTOPS_RATE_BURST
        if rate <= 0:
            return True
        self._wait = buckets.take(self._who(request), rate, burst)
        return self._wait <= 0

    def wait(self) -> float:
        return self._wait

    def _who(self, request: Request) -> str:
        if not request.user.is_authenticated:
            return f"address:{self.get_ident(request)}"
        token = actor_of(request).token
        return f"token:{token.pk}" if token is not None else f"person:{request.user.pk}"
