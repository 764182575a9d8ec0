"""Charge points as an operator adds them: identity, password, and the EVSEs they are to the world."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import transaction

from cpo.gateway import passwords
from cpo.models import EVSE, ChargePoint, Tariff
from cpo.modules import locations_loading, locations_operations
from cpo.modules.locations_loading import Loaded, LoadedEVSE
from ocpi import documents, sample_data
from ocpi.headers import Address
from ocpi.v2_2_1.types import format_datetime

PROTOCOLS = {"1.6": ["ocpp1.6"], "2.0.1": ["ocpp2.0.1", "ocpp2.1"]}
IDENTITY = re.compile(r"[A-Za-z0-9*\-_=:+|@.]{1,48}")
_CAPABILITIES = ["REMOTE_START_STOP_CAPABLE", "RFID_READER"]
_UNKNOWN = "UNKNOWN"  # until the charge point says something (M-3)


class NotAdded(Exception):
    """The charge point cannot be added as asked."""


@dataclass(frozen=True, slots=True)
class Added:
    """A charge point that was added; the password is shown this once."""

    identity: str
    url: str
    password: str
    location: str
    evses: list[str]


def add(
    identity: str,
    *,
    owner: Address,
    location_id: str | None = None,
    evses: int | None = None,
    protocol: str = "1.6",
    password: str | None = None,
    profile: int = 1,
    connectors_per_evse: int = 1,
) -> Added:
    """Add a charge point, in a Location that exists or in a made-up one.

    Without a number of EVSEs it gets those of the Location that no charge point has yet, one per connector; if there
    are none, or with a number, EVSEs of its own are added. Where several connectors share one hardware EVSE, each is
    an EVSE to the world, and only one of them charges at a time (LOC-67).

    :raises NotAdded: if the identity is none or is taken, or the Location is not known.
    """
    if not IDENTITY.fullmatch(identity):
        raise NotAdded(f"{identity!r}: an identity has 1 to 48 characters: letters, digits, *-_=:+|@.")
    if ChargePoint.objects.filter(identity__iexact=identity).exists():
        raise NotAdded(f"There is a charge point {identity} already")
    shown = password or passwords.new_password()
    digest = passwords.digest_typed(password) if password else passwords.digest(shown, str(settings.SECRET_KEY))
    with transaction.atomic():
        loaded = _existing(owner, location_id) if location_id else _made_up(owner)
        uids = _free(owner, location_id) if location_id and evses is None else []
        if not uids:
            added = [_evse(owner, number) for number in range(1, (evses or 1) + 1)]
            uids = [evse.uid for evse in added]
            loaded.evses += added
            locations_loading.keep([loaded])
        row = ChargePoint.objects.create(
            identity=identity,
            country_code=owner.country_code,
            party_id=owner.party_id,
            location_id=loaded.object_id,
            password_digest=digest,
            security_profile=profile,
            protocols=PROTOCOLS[protocol],
        )
        location = locations_operations.find(owner, loaded.object_id)
        for number, uid in enumerate(uids, start=1):
            shared = (number - 1) // connectors_per_evse + 1 if connectors_per_evse > 1 else None
            EVSE.objects.filter(location=location, uid=uid).update(
                charge_point=row, connector_id=number, hardware=shared
            )
        if protocol == "1.6":
            _have_connectors_named(row)
    url = f"{settings.OCPP_GATEWAY_URL}/ocpp/{identity}"
    return Added(identity, url, shown, loaded.object_id, uids)


def _have_connectors_named(row: ChargePoint) -> None:
    """Ask for the Connector in a START_SESSION where an EVSE has several behind one connector of OCPP 1.6 (LOC-68)."""
    for evse in EVSE.objects.filter(charge_point=row):
        if len(locations_operations.connector_ids(evse.document)) > 1:
            locations_operations.set_capability(evse.pk, "START_SESSION_CONNECTOR_REQUIRED", present=True)


def _free(owner: Address, location_id: str) -> list[str]:
    """Return the EVSEs of a Location that belong to no charge point yet."""
    location = locations_operations.find(owner, location_id)
    if location is None:
        return []
    free = location.evses.filter(charge_point=None).exclude(status="REMOVED").order_by("id")
    return list(free.values_list("uid", flat=True))


def _existing(owner: Address, location_id: str) -> Loaded:
    location = locations_operations.find(owner, location_id)
    if location is None:
        raise NotAdded(f"There is no Location {location_id} of {owner}")
    known = location.evses.order_by("id").values_list("uid", "status", "last_updated", "document")
    return Loaded(
        owner=owner,
        object_id=location.object_id,
        time_zone=location.time_zone,
        last_updated=location.last_updated,
        document=location.document,
        evses=[LoadedEVSE(*values) for values in known],
    )


def _made_up(owner: Address) -> Loaded:
    """Return a Location with a believable address, for a charge point that is to stand somewhere."""
    number = ChargePoint.objects.count()
    sample = next(
        iter(
            sample_data.locations(
                1, country_code=owner.country_code, party_id=owner.party_id, evses=0, start=number, seed=7
            )
        )
    )
    sample["id"] = f"CP-{secrets.token_hex(5).upper()}"
    sample["publish"] = True
    sample.pop("publish_allowed_to", None)
    sample["last_updated"] = format_datetime(locations_operations.moment_now())
    return locations_loading.check(sample_data.dumps(sample).encode(), owners=[owner])


def _evse(owner: Address, number: int) -> LoadedEVSE:
    now = locations_operations.moment_now()
    text = format_datetime(now)
    # Nothing of the identity: what is published must not tell how to connect as this charge point (SEC-62).
    name = secrets.token_hex(5).upper()
    uid = f"{name}-{number}"
    connector: dict[str, Any] = {
        "id": "1",
        "standard": "IEC_62196_T2",
        "format": "CABLE",
        "power_type": "AC_3_PHASE",
        "max_voltage": 230,
        "max_amperage": 32,
        "max_electric_power": 22_080,
    }
    tariff_ids = _tariff_ids(owner)
    if tariff_ids:
        connector["tariff_ids"] = [tariff_ids[(ChargePoint.objects.count() + number - 1) % len(tariff_ids)]]
    document = {
        "uid": uid,
        "evse_id": f"{owner.country_code}*{owner.party_id}*E{name}*{number}".upper(),
        "status": _UNKNOWN,
        "capabilities": _CAPABILITIES,
        "connectors": [{**connector, "last_updated": text}],
        "last_updated": text,
    }
    return LoadedEVSE(uid, _UNKNOWN, now, documents.text(document))


def _tariff_ids(owner: Address) -> Sequence[str]:
    """Return our tariffs for alternating current; the others belong to fast chargers."""
    rows = Tariff.objects.extra(
        where=["UPPER(country_code) = %s", "UPPER(party_id) = %s"], params=list(owner.key)
    ).filter(deleted_at=None)
    ids = sorted(rows.values_list("object_id", flat=True))
    return [each for each in ids if not each.upper().startswith("DC")] or ids
