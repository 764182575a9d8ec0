"""What an operator has to be told of charge points; `ocpi.alarms` asks each side for its own (OCPP-108)."""

from __future__ import annotations

from django.db import connection

from cpo import device_alarms, station_alarms
from cpo.station_alarms import Kind, Open
from ocpi.alarms import Alarm

NAMES = (*station_alarms.NAMES, *device_alarms.NAMES)
_OPEN = """
SELECT a.kind, count(*), (array_agg(p.identity || CASE WHEN a.subject = '' THEN '' ELSE ' (' || a.subject || ')' END
                                    ORDER BY a.raised_at, a.id))[:20]
FROM cpo_stationalarm a JOIN cpo_chargepoint p ON p.id = a.charge_point_id WHERE a.cleared_at IS NULL GROUP BY a.kind
"""


def current() -> list[Alarm]:
    """Return what has to be told right now; the rows behind it are kept up to date by `cpo.modules.watching`.

    :raises django.db.Error: if the database is away.
    """
    with connection.cursor() as cursor:
        cursor.execute(_OPEN)
        rows = cursor.fetchall()
    found = station_alarms.alarms({Kind(kind): Open(number, named) for kind, number, named in rows})
    return found + device_alarms.current()
