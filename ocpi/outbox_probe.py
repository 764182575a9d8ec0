"""Ask platforms whether they are there, with GET versions: those that are OFFLINE, silent or failing (REL-38, HUB-84).

One that is OFFLINE is asked whenever its back-off is over: after 10, 20, 40 s … 5 min. One that has been silent for
five minutes is asked, and if it does not answer, again and again until it is OFFLINE: within the sixth minute (REL-39).
So is one whose calls have been failing for a while: where little is sent, the third failure would be long in coming.
"""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor, as_completed

from django.conf import settings
from django.db import connection

from ocpi import client, exchanges, health, snapshot
from ocpi.models import Platform

_TOGETHER = 16
_SILENT_MINUTES = 5
_FAILING_SECONDS = 5
_CLAIM_SECONDS = 30  # longer than a probe takes: then whoever held it is gone
_LONGEST = 10.0  # seconds of one probe: three that hang must fit into the sixth minute
_RUN_SECONDS = 5.0  # until the next run begins, maybe in another process

# The claim is in the row: nobody else finds it due while this probe is under way.
_CLAIM = f"""
UPDATE ocpi_platform SET probed_at = statement_timestamp() WHERE id IN (
    SELECT id FROM ocpi_platform
    WHERE state = 'REGISTERED' AND paused_reason = '' AND versions_url <> ''
      AND (backoff_until IS NULL OR backoff_until <= statement_timestamp())
      AND (probed_at IS NULL OR probed_at < statement_timestamp() - interval '{_CLAIM_SECONDS} s')
      AND (connection = 'OFFLINE' OR (connection = 'CONNECTED' AND (
           coalesce(last_heard_at, created_at) < statement_timestamp() - interval '{_SILENT_MINUTES} min'
           OR failing_since < statement_timestamp() - interval '{_FAILING_SECONDS} s')))
    ORDER BY probed_at NULLS FIRST, id LIMIT {_TOGETHER} FOR UPDATE SKIP LOCKED)
RETURNING id, versions_url
"""  # noqa: S608 - constants only


def probe() -> int:
    """Probe every platform whose turn it is, side by side: none waits for another's answer (REL-20).

    Return how many are there.
    """
    until = time.monotonic() + _RUN_SECONDS
    answered = 0
    with ThreadPoolExecutor(_TOGETHER, thread_name_prefix="probe") as pool:
        while claimed := _claim():
            asked = {pool.submit(_ask, target, url): platform_id for platform_id, target, url in claimed}
            for done in as_completed(asked):
                answered += _note(asked[done], done)
            if len(claimed) < _TOGETHER or time.monotonic() > until:
                break
    return answered


def _claim() -> list[tuple[int, client.Target, str]]:
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM)
        claimed = cursor.fetchall()
    platforms = snapshot.current().platforms
    return [(pk, platforms[pk].target(), url) for pk, url in claimed if pk in platforms]


def _ask(target: client.Target, url: str) -> client.Answer | client.ClientError:
    try:
        return client.send(target, "GET", url, timeout=min(_LONGEST, settings.OCPI_REQUEST_TIMEOUT))
    except client.ClientError as error:
        return error


def _note(platform_id: int, done: Future[client.Answer | client.ClientError]) -> bool:
    """Write down what a probe says; whatever HTTP answer comes, somebody is there, unless it is 5xx (HUB-85)."""
    result = done.result()
    exchanges.record_out(result, platform_id=platform_id, module="versions")
    alive = False
    if isinstance(result, client.ClientError):
        health.failed(platform_id, str(result))
    elif result.http_status in (401, 403):
        health.pause(platform_id, f"it refuses our token: HTTP {result.http_status}")
    elif result.http_status >= 500:
        health.failed(platform_id, f"HTTP {result.http_status}, status_code {result.status_code}")
    else:
        alive = True
        health.succeeded(platform_id, result.elapsed, was_well=False)
    Platform.objects.filter(pk=platform_id).update(probed_at=None)
    return alive
