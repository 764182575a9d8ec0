"""Charge points as the operation API adds, changes, removes and disconnects them (OCPP-123)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models import ProtectedError

from cpo.gateway import passwords
from cpo.models import EVSE, ChargePoint
from cpo.modules import charge_points, locations_operations
from cpo.modules.charge_points import NotAdded
from ocpi import audit
from ocpi.headers import Address

COLUMNS = ("security_profile", "refuses_tls", "protocols", "no_subprotocol_is_16", "strictness", "boot_status",
           "heartbeat_seconds", "ping_seconds", "ping_timeout_seconds", "frame_bytes", "compression", "switched_off",
           "register_direction")  # fmt: skip
_OF_PASSWORD = ("password_digest", "next_password_digest", "password_operation")
_WITH_PASSWORD = (1, 2)  # security profiles
_DISCONNECT = """
    WITH gone AS (UPDATE cpo_chargepoint SET epoch = epoch + 1, online = false
                  WHERE id = %s AND online RETURNING id, epoch)
    SELECT pg_notify('ocpp_connection', format('%%s %%s ', id, epoch)) FROM gone
"""


class InUse(Exception):
    """The charge point cannot be removed: what it metered is kept."""


def add(
    identity: str,
    *,
    owner: Address,
    columns: Mapping[str, Any],
    password: str | None,
    layout: Mapping[str, Any] | None,
    by: str,
) -> tuple[ChargePoint, str | None]:
    """Add a charge point; return it with its password, if one was made for it.

    With a layout it gets EVSEs, at a Location of ours or a made-up one; without one it is a charge point alone.

    :raises NotAdded: if the identity is none or is taken, or the Location is not known.
    """
    with transaction.atomic():
        if layout is None:
            _create(identity, owner)
        else:
            charge_points.add(
                identity,
                owner=owner,
                location_id=layout.get("location_id"),
                evses=layout.get("evses"),
                protocol="2.0.1" if list(columns.get("protocols", ())[:1]) == ["ocpp2.0.1"] else "1.6",
                connectors_per_evse=layout.get("connectors_per_evse", 1),
            )
        row = ChargePoint.objects.get(identity__iexact=identity)
        made = None
        if password is None and columns.get("security_profile", 1) in _WITH_PASSWORD:
            made = passwords.new_password()
            row.password_digest = passwords.digest(made, str(settings.SECRET_KEY))
        else:
            row.password_digest = passwords.digest_typed(password) if password else ""
        _set(row, columns, "password_digest")
        audit.record("charge_point.add", actor=by, about=row.identity, details={"party": str(owner)})
    return row, made


def change(row: ChargePoint, *, columns: Mapping[str, Any], password: str | None, by: str) -> None:
    """Change a charge point; nodes that hold it are told by the database. An empty password removes it.

    :raises NotAdded: if its Location or an EVSE of its layout is not known, or is another charge point's.
    """
    with transaction.atomic():
        if "location_id" in columns or "layout" in columns:
            _place(row, columns)
        if password is not None:
            row.password_digest = passwords.digest_typed(password) if password else ""
            row.next_password_digest, row.password_operation = "", None  # a change under way is not wanted any more
        _set(row, columns, *(_OF_PASSWORD if password is not None else ()))
        told = (*COLUMNS, "location_id", "layout")
        details: dict[str, object] = {name: columns[name] for name in told if name in columns}
        if password is not None:
            details["password"] = "set" if password else "removed"
        audit.record("charge_point.change", actor=by, about=row.identity, details=details)


def remove(row: ChargePoint, *, by: str) -> None:
    """Remove a charge point and close its connection.

    :raises InUse: if it has metered anything.
    """
    try:
        with transaction.atomic():
            row.delete()
            audit.record("charge_point.remove", actor=by, about=row.identity)
    except ProtectedError as error:
        raise InUse(f"{row} has transactions, which are kept") from error


def disconnect(row: ChargePoint) -> bool:
    """Have whichever node holds a charge point close its socket; say whether there was a connection.

    It is done as a newer connection would do it: nothing of the older one is taken in any more (OCPP-09).
    """
    with connection.cursor() as cursor:
        cursor.execute(_DISCONNECT, [row.pk])
        return cursor.fetchone() is not None


def _place(row: ChargePoint, columns: Mapping[str, Any]) -> None:
    """Move it to another Location, and make it the EVSEs it is to be."""
    owner = Address(row.country_code, row.party_id)
    location_id = columns.get("location_id", row.location_id)
    location = locations_operations.find(owner, location_id) if location_id else None
    if location is None:
        raise NotAdded(f"There is no Location {location_id} of {owner}")
    row.location_id = location.object_id
    row.save(update_fields=["location_id"])
    EVSE.objects.filter(charge_point=row).update(charge_point=None, connector_id=None, hardware=None)
    for each in columns.get("layout", ()):
        free = EVSE.objects.filter(location=location, uid=each["evse_uid"], charge_point=None)
        if not free.update(charge_point=row, connector_id=each["connector"], hardware=each.get("hardware")):
            raise NotAdded(f"There is no EVSE {each['evse_uid']} at Location {location_id} that is free")
    locations_operations.refresh(row.pk)


def _set(row: ChargePoint, columns: Mapping[str, Any], *more: str) -> None:
    """Write these columns and what else was set, and no others: somebody may be changing those."""
    named = [name for name in COLUMNS if name in columns]
    for name in named:
        setattr(row, name, columns[name])
    row.save(update_fields=[*named, *more])


def _create(identity: str, owner: Address) -> None:
    if not charge_points.IDENTITY.fullmatch(identity):
        raise NotAdded(f"{identity!r}: an identity has 1 to 48 characters: letters, digits, *-_=:+|@.")
    try:
        with transaction.atomic():
            ChargePoint.objects.create(identity=identity, country_code=owner.country_code, party_id=owner.party_id)
    except IntegrityError as error:
        raise NotAdded(f"There is a charge point {identity} already") from error
