"""Ask platforms whether they are there, with GET versions: those that are OFFLINE, silent or failing (REL-38, HUB-84).

One that is OFFLINE is asked whenever its back-off is over: after 10, 20, 40 s … 5 min. One that has been silent for
five minutes is asked, and if it does not answer, again and again until it is OFFLINE: within the sixth minute (REL-39).
So is one whose calls have been failing for a while: where little is sent, the third failure would be long in coming.
"""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace

from django.conf import settings
from django.db import connection

from ocpi import client, exchanges, health, snapshot, token_doubt
from ocpi.models import Platform

_TOGETHER = 16
_SILENT_MINUTES = 5
_FAILING_SECONDS = 5
_CLAIM_SECONDS = 30  # longer than a probe takes: then whoever held it is gone
_LONGEST = 10.0  # seconds of one probe: three that hang must fit into the sixth minute
_RUN_SECONDS = 5.0  # until the next run begins, maybe in another process

_Result = client.Answer | client.ClientError

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
RETURNING id, versions_url, detects_token
"""  # noqa: S608 - constants only


def probe() -> int:
    """Probe every platform whose turn it is, side by side: none waits for another's answer (REL-20).

    Return how many are there.
    """
    until = time.monotonic() + _RUN_SECONDS
    answered = 0
    with ThreadPoolExecutor(_TOGETHER, thread_name_prefix="probe") as pool:
        while claimed := _claim():
            asked = {pool.submit(_probed, each): each for each in claimed}
            for done in as_completed(asked):
                answered += _note(asked[done], done)
            if len(claimed) < _TOGETHER or time.monotonic() > until:
                break
    return answered


@dataclass(frozen=True, slots=True)
class _Claimed:
    """A platform that is to be asked."""

    target: client.Target
    url: str
    other: client.Target | None  # with our token in its other form, raw or Base64, if that may be tried (QRK-01)


def _claim() -> list[_Claimed]:
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM)
        claimed = cursor.fetchall()
    platforms = snapshot.current().platforms
    found = []
    for platform_id, url, detects_token in claimed:
        if platform_id in platforms:
            target = platforms[platform_id].target()
            other = replace(target, base64_token=not target.base64_token) if detects_token else None
            found.append(_Claimed(target, url, other))
    return found


def _probed(claimed: _Claimed) -> tuple[_Result, _Result | None]:
    """Ask a platform, and if it refuses our token once more with the token in its other form: no database here."""
    result = _ask(claimed.target, claimed.url, _LONGEST)
    if claimed.other is None or isinstance(result, client.ClientError) or not _is_refused(result):
        return result, None
    return result, _ask(claimed.other, claimed.url, token_doubt.SECONDS)


def _ask(target: client.Target, url: str, longest: float) -> _Result:
    try:
        return client.send(target, "GET", url, timeout=min(longest, settings.OCPI_REQUEST_TIMEOUT))
    except client.ClientError as error:
        return error


def _note(claimed: _Claimed, done: Future[tuple[_Result, _Result | None]]) -> bool:
    """Write down what a probe says; whatever HTTP answer comes, somebody is there, unless it is 5xx (HUB-85)."""
    platform_id = claimed.target.platform_id
    result, in_other_form = done.result()
    exchanges.record_out(result, platform_id=platform_id, module="versions")
    if in_other_form is not None and token_doubt.judge(platform_id, in_other_form) is False:
        token_doubt.use_form(platform_id, base64_token=not claimed.target.base64_token)
        result = in_other_form
    alive = False
    if isinstance(result, client.ClientError):
        health.failed(platform_id, str(result))
    elif _is_refused(result):
        if not token_doubt.is_settling(platform_id):
            health.pause(platform_id, f"it refuses our token: HTTP {result.http_status}")
    elif result.http_status >= 500:
        health.failed(platform_id, f"HTTP {result.http_status}, status_code {result.status_code}")
    else:
        alive = True
        health.succeeded(platform_id, result.elapsed, was_well=False)
    Platform.objects.filter(pk=platform_id).update(probed_at=None)
    return alive


def _is_refused(answer: client.Answer) -> bool:
    return answer.http_status in token_doubt.REFUSALS
