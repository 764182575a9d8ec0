"""A platform answers 401 or 403: is it our token that it refuses, or what somebody else sent through us?

Whoever can make a receiver answer 403 to one odd object could have the whole platform paused, for everybody. So before
that, a request of our own with nobody's content in it is made: GET versions. What it said is remembered for a while, so
that a flood of refused objects is not a flood of questions (REL-25).

And who has just exchanged credentials with us may still be storing our token: for some seconds a refusal is no verdict.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from datetime import timedelta

from django.db.models.functions import Now

from ocpi import client, exchanges, snapshot
from ocpi.headers import CORRELATION_ID, REQUEST_ID, new_id
from ocpi.models import CredentialsToken, Platform

log = logging.getLogger(__name__)

SECONDS = 5.0  # for the answer: somebody may be waiting for it
REFUSALS = frozenset((401, 403))
_REMEMBERED_SECONDS = 10.0
_SETTLING = timedelta(seconds=5)

# When this process last saw that a platform takes our token (monotonic).
_accepted: dict[int, float] = {}


def is_settling(platform_id: int) -> bool:
    """Say whether credentials were exchanged with a platform a moment ago, so that it may not know our token yet."""
    return CredentialsToken.objects.filter(
        platform_id=platform_id, purpose="CURRENT", created_at__gt=Now() - _SETTLING
    ).exists()


def is_accepted(platform_id: int) -> bool:
    """Say whether a platform has taken our token a moment ago."""
    return time.monotonic() - _accepted.get(platform_id, -_REMEMBERED_SECONDS) < _REMEMBERED_SECONDS


def versions_url(platform_id: int) -> str:
    """Return where a platform can be asked, or nothing."""
    return Platform.objects.filter(pk=platform_id).values_list("versions_url", flat=True).first() or ""


def new_headers() -> dict[str, str]:
    """Return the headers of the question."""
    return {REQUEST_ID: new_id(), CORRELATION_ID: new_id()}


def judge(platform_id: int, result: client.Answer | client.ClientError) -> bool | None:
    """Say whether our token is refused; None if that cannot be told now. The question goes into the exchanges."""
    exchanges.record_out(result, platform_id=platform_id, module="versions")
    if isinstance(result, client.ClientError) or result.http_status >= 500:
        return None
    if result.http_status in REFUSALS:
        _accepted.pop(platform_id, None)
        return True
    _accepted[platform_id] = time.monotonic()
    return False


def is_refused(target: client.Target) -> bool | None:
    """Ask a platform whether it refuses our token, and wait for the answer; None if that cannot be told now."""
    platform_id = target.platform_id
    if is_accepted(platform_id):
        return False
    url = versions_url(platform_id)
    if not url:
        return True
    refuses = _ask(target, url)
    return None if refuses and takes_other_form(target) else refuses


def pauses(target: client.Target) -> bool:
    """Say whether a refusal of a request of our own, with nobody else's content, pauses its platform (REL-25).

    Not if it is only the form of our token that is refused, nor just after credentials were exchanged. Who takes the
    token as it is refuses something else: the other form is not tried then, or each refusal would turn the form over.
    """
    platform_id = target.platform_id
    may_be_the_form = not is_accepted(platform_id) and detects_form(platform_id)
    if may_be_the_form and _ask(target, versions_url(platform_id)) and takes_other_form(target):
        return False
    return not is_settling(platform_id)


def _ask(target: client.Target, url: str) -> bool | None:
    result: client.Answer | client.ClientError
    try:
        result = client.send(target, "GET", url, headers=new_headers(), timeout=SECONDS)
    except client.ClientError as error:
        result = error
    return judge(target.platform_id, result)


def takes_other_form(target: client.Target) -> bool:
    """Say whether a platform that refuses our token takes it in the other form, raw or Base64; it is used from then on.

    The form it uses towards us is the one we use (QRK-01). One request of a second system of it, or of somebody who
    tries with curl, must not end in a pause that only an operator ends.
    """
    platform_id = target.platform_id
    if not detects_form(platform_id):
        return False
    other = replace(target, base64_token=not target.base64_token)
    accepted = _ask(other, versions_url(platform_id)) is False
    return accepted and use_form(platform_id, base64_token=other.base64_token)


def detects_form(platform_id: int) -> bool:
    """Say whether the form of token of a platform is found by trying, and not an operator's word."""
    return Platform.objects.filter(pk=platform_id, detects_token=True).exclude(versions_url="").exists()


def use_form(platform_id: int, *, base64_token: bool) -> bool:
    """Use this form of token towards a platform from now on."""
    Platform.objects.filter(pk=platform_id, detects_token=True).update(base64_token=base64_token)
    log.warning("platform %s expects %s tokens", platform_id, "Base64" if base64_token else "raw")
    snapshot.changed()
    return True


def forget() -> None:
    """Forget what was seen: of another test."""
    _accepted.clear()
