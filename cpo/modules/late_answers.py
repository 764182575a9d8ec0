"""An eMSP that has not answered in time is asked once more, with patience: its answer counts from then on (OCPP-73).

The driver does not wait for it: the whitelist has decided meanwhile. A late yes spares the next attempt the question; a
late no ends what runs by the whitelist's word alone, if the operator wishes so.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from django.db import transaction

from cpo import policy
from cpo.gateway import frames
from cpo.gateway_models import InboxState
from cpo.models import InboxMessage, Transaction
from cpo.modules import authorization, snapshots, unauthorised
from cpo.modules.authorization import Question, Verdict

log = logging.getLogger(__name__)

PATIENCE = 20.0  # seconds
_APPLIED_WITHIN = 10.0
_BY_LIST = "WHITELIST"


def is_due(question: Question, verdict: Verdict) -> bool:
    """Say whether an eMSP was to be asked and nobody has answered."""
    return bool(question.candidates) and not verdict.asked


def follow_up(message_id: int, question: Question) -> bool:
    """Ask once more and use what comes; say whether there was an answer. Not in a transaction."""
    verdict = authorization.ask(question, seconds=PATIENCE)
    message = InboxMessage.objects.select_related("charge_point").filter(pk=message_id).first()
    tag = "" if message is None else _tag(frames.read_payload(message.payload))
    if message is None or not verdict.asked or not tag:
        return False
    with transaction.atomic():
        authorization.remember(message.charge_point, tag, verdict)
    if verdict.accepted or not policy.stops_refused():
        return True
    _wait_until_applied(message_id)
    for row in _running(message.charge_point_id, tag):
        unauthorised.deauthorise(row.pk, why="refused by its eMSP, late")
    return True


def _tag(payload: Any) -> str:
    if not isinstance(payload, dict):
        return ""
    token = payload.get("idToken")
    return str(token.get("idToken") or "") if isinstance(token, dict) else str(payload.get("idTag") or "")


def _wait_until_applied(message_id: int) -> None:
    limit = time.monotonic() + _APPLIED_WITHIN
    waiting = InboxMessage.objects.filter(pk=message_id, state=InboxState.NEW)
    while time.monotonic() < limit and waiting.exists():
        time.sleep(0.2)


def _running(charge_point_id: int, tag: str) -> list[Transaction]:
    """Return what runs with a tag by the word of the whitelist alone."""
    rows = Transaction.objects.extra(where=["UPPER(id_tag) = UPPER(%s)"], params=[tag])
    found = rows.filter(charge_point_id=charge_point_id, stopped_at=None, authorised=True)
    return [row for row in found if row.snapshot and snapshots.read(row.snapshot).auth_method == _BY_LIST]
