"""Ask platforms that are OFFLINE, or have been silent for minutes, whether they are there: GET versions (REL-38)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from django.conf import settings
from django.db import connection

from ocpi import client, exchanges, health, snapshot

_TOGETHER = 8
_SILENT_MINUTES = 5
_CLAIM_SECONDS = 30

# The claim is the row itself: nobody else finds it due while this probe is under way.
_CLAIM = f"""
UPDATE ocpi_platform SET
    backoff_until = CASE WHEN connection = 'OFFLINE'
                         THEN statement_timestamp() + interval '{_CLAIM_SECONDS} s' ELSE backoff_until END,
    last_heard_at = CASE WHEN connection = 'CONNECTED' THEN statement_timestamp() ELSE last_heard_at END
WHERE id IN (
    SELECT id FROM ocpi_platform
    WHERE state = 'REGISTERED' AND paused_reason = '' AND versions_url <> ''
      AND (backoff_until IS NULL OR backoff_until <= statement_timestamp())
      AND (connection = 'OFFLINE' OR (connection = 'CONNECTED'
           AND coalesce(last_heard_at, created_at) < statement_timestamp() - interval '{_SILENT_MINUTES} min'))
    ORDER BY id LIMIT 200 FOR UPDATE SKIP LOCKED)
RETURNING id, versions_url
"""  # noqa: S608 - constants only


def probe() -> int:
    """Probe every platform whose turn it is, side by side (REL-20); return how many answered."""
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM)
        claimed = cursor.fetchall()
    platforms = snapshot.current().platforms
    targets = [
        (platform_id, platforms[platform_id].target(), url) for platform_id, url in claimed if platform_id in platforms
    ]
    if not targets:
        return 0
    with ThreadPoolExecutor(_TOGETHER, thread_name_prefix="probe") as pool:
        results = list(pool.map(lambda claim: (claim[0], _ask(claim[1], claim[2])), targets))
    answered = 0
    for platform_id, result in results:
        exchanges.record_out(result, platform_id=platform_id, module="versions")
        answered += _note(platform_id, result)
    return answered


def _ask(target: client.Target, url: str) -> client.Answer | client.ClientError:
    try:
        return client.send(target, "GET", url, timeout=settings.OCPI_REQUEST_TIMEOUT)
    except client.ClientError as error:
        return error


def _note(platform_id: int, result: client.Answer | client.ClientError) -> bool:
    health.forget_written([platform_id])
    health.end_pause_of_probe(platform_id)
    if isinstance(result, client.ClientError):
        health.failed(platform_id, str(result))
    elif result.ok:
        health.succeeded(platform_id, result.elapsed)
        return True
    elif result.http_status in (401, 403):
        health.pause(platform_id, f"it refuses our token: HTTP {result.http_status}")
    else:
        health.failed(platform_id, f"HTTP {result.http_status}, status_code {result.status_code}")
    return False
