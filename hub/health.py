"""What machines ask: is this process alive, can it work, and its numbers. Strangers learn nothing (SEC-57)."""

from __future__ import annotations

import hmac
import ipaddress
import logging
import threading
from functools import lru_cache
from typing import Any

import redis
from django.conf import settings
from django.db import Error, connection
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden, JsonResponse
from django.urls import path
from django.views.decorators.cache import never_cache
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from hub import metrics
from ocpi import alarms

log = logging.getLogger(__name__)

_REDIS_SECONDS = 0.5
# The alarms that say that this instance does not do its work (REL-51); the others leave it ready.
_BACKLOG = {"deliveries_too_many": "too much is pending", "deliveries_too_old": "too old"}


@never_cache
def livez(request: HttpRequest) -> HttpResponse:
    """Say that this process answers; touches nothing else."""
    return JsonResponse({"status": "ok"})


@never_cache
def readyz(request: HttpRequest) -> HttpResponse:
    """Say whether this instance can do its work; 503 says to send its work elsewhere, or an operator to it."""
    checks = {"database": _database(), "redis": _redis()}
    found = _alarms() if checks["database"] == "ok" else None
    checks["backlog"] = (
        "unknown" if found is None else next((_BACKLOG[name] for name in found if name in _BACKLOG), "ok")
    )
    ready = all(check == "ok" for check in checks.values())
    answer: dict[str, Any] = {"status": "ok" if ready else "degraded", "checks": checks}
    if found:  # only their names: anybody may read this
        answer["alarms"] = found
    return JsonResponse(answer, status=200 if ready else 503)


@never_cache
def numbers(request: HttpRequest) -> HttpResponse:
    """Return the metrics in Prometheus' text format, to those who may have them."""
    if not _may_read(request):
        return HttpResponseForbidden("Forbidden", content_type="text/plain")
    registry = CollectorRegistry(auto_describe=False)
    registry.register(metrics.Numbers())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('transaction_read_only')")
            # A standby, or a server that a full disk has closed to changes: no request that brings anything is taken.
            return "ok" if cursor.fetchone() == ("off",) else "read only"
    except Error as error:
        log.warning("not ready, the database is away: %s", error)
        return "away"


def _redis() -> str:
    try:
        with _lock:
            _client(settings.REDIS_URL).ping()
        return "ok"
    except redis.RedisError as error:
        log.warning("not ready, Redis is away: %s", type(error).__name__)
        return "away"


def _alarms() -> list[str] | None:
    try:
        return [alarm.name for alarm in alarms.current()]
    except Error as error:
        log.warning("not ready, the backlog cannot be read: %s", error)
        return None


_lock = threading.Lock()


@lru_cache(maxsize=1)
def _client(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, socket_timeout=_REDIS_SECONDS, socket_connect_timeout=_REDIS_SECONDS)


def _may_read(request: HttpRequest) -> bool:
    if settings.METRICS_TOKEN:
        shown = request.headers.get("Authorization", "")
        return hmac.compare_digest(shown.encode(), f"Bearer {settings.METRICS_TOKEN}".encode())
    # Behind a proxy everybody seems to come from next door.
    if any(name in request.headers for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP")):
        return False
    try:
        address = ipaddress.ip_address(request.META.get("REMOTE_ADDR", ""))
    except ValueError:
        return False
    return address.is_loopback or address.is_private


urlpatterns = [
    path("livez", livez, name="livez"),
    path("readyz", readyz, name="readyz"),
    path("metrics", numbers, name="metrics"),
]
