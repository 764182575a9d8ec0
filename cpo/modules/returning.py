"""Ask a charge point that comes back after a while, without a boot, for the states of its connectors (OCPP-60).

Until it has told, the last known states hold; some charge points keep what happened meanwhile to themselves. Each is
asked once per connection, a few seconds after it has come, and only if it has said nothing about them by itself.
"""

from __future__ import annotations

import logging

from django.db import connection

from cpo import evse_states
from cpo.models import ChargePoint
from cpo.modules import station_actions
from cpo.ocpp.calls import NotAsked

log = logging.getLogger(__name__)

ASKED_BY = "after its return"
PATIENCE_SECONDS, FORGOTTEN_SECONDS = 10, 300


def ask_states() -> int:
    """Ask those that have come back; return how many."""
    grace = evse_states.DEFAULT.offline_grace.total_seconds()
    with connection.cursor() as cursor:
        cursor.execute(_BACK, {"grace": grace, "patience": PATIENCE_SECONDS, "forgotten": FORGOTTEN_SECONDS})
        ids = [pk for (pk,) in cursor.fetchall()]
    asked = 0
    for row in ChargePoint.objects.filter(pk__in=ids):
        try:
            station_actions.trigger_status(row, by=ASKED_BY)
            asked += 1
        except NotAsked as error:
            log.info("%s could not be asked for its states: %s", row, error)
    return asked


_BACK = """
SELECT p.id FROM cpo_chargepoint p
WHERE p.online AND p.boot_status = 'Accepted'
  AND p.connected_at > now() - make_interval(secs => %(forgotten)s)
  AND p.connected_at < now() - make_interval(secs => %(patience)s)
  AND (p.booted_at IS NULL OR p.booted_at < p.connected_at)
  AND EXISTS (SELECT FROM cpo_chargepointconnection b WHERE b.charge_point_id = p.id AND b.epoch < p.epoch)
  AND NOT EXISTS (SELECT FROM cpo_chargepointconnection b WHERE b.charge_point_id = p.id AND b.epoch < p.epoch
                  AND coalesce(b.until, b.since) > p.connected_at - make_interval(secs => %(grace)s))
  AND NOT EXISTS (SELECT FROM cpo_connectorhistory h WHERE h.charge_point_id = p.id AND h.at >= p.connected_at)
  AND NOT EXISTS (SELECT FROM cpo_operation o WHERE o.charge_point_id = p.id AND o.action = 'TriggerMessage'
                  AND o.created_at >= p.connected_at)
  AND NOT EXISTS (SELECT FROM cpo_operation o WHERE o.charge_point_id = p.id AND o.action = 'TriggerMessage'
                  AND o.state = 'CALLERROR' AND o.error LIKE 'Not%%' AND o.created_at > now() - interval '30 days')
LIMIT 200
"""
