"""Which of our EVSEs a charge point of OCPP 2.0.1 means, and the other way round in `cpo.ocpp.calls`.

There an EVSE is an EVSE: its number is in `EVSE.connector_id`, and its connectors are those of its document. Where
several EVSEs of ours share one hardware EVSE (LOC-67), that one's number is `EVSE.hardware`, and each of ours is a
connector of it, in their order.
"""

from __future__ import annotations

from cpo.models import EVSE

_NOWHERE = 100_000  # an EVSE of the charge point that is none of ours, where its own number is taken


def number_of(charge_point_id: int, evse: int, connector: int | None) -> int:
    """Return by which number we know a connector of a charge point of OCPP 2.0.1; 0 is all of it."""
    if evse == 0:
        return 0
    rows = EVSE.objects.filter(charge_point_id=charge_point_id, connector_id__isnull=False).order_by("connector_id")
    known = [(number or 0, hardware) for number, hardware in rows.values_list("connector_id", "hardware")]
    sharing = [number for number, hardware in known if hardware == evse]
    if sharing:
        return sharing[min(connector or 1, len(sharing)) - 1]
    taken = any(number == evse and hardware is not None for number, hardware in known)
    return _NOWHERE + evse if taken else evse


def numbers_of(charge_point_id: int, evse: int) -> list[int]:
    """Return all numbers by which we know an EVSE of a charge point of OCPP 2.0.1."""
    rows = EVSE.objects.filter(charge_point_id=charge_point_id, hardware=evse, connector_id__isnull=False)
    sharing = list(rows.order_by("connector_id").values_list("connector_id", flat=True))
    return [number for number in sharing if number is not None] or [number_of(charge_point_id, evse, None)]
