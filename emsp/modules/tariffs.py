"""Tariffs, Receiver interface: what CPOs charge (OCPI 2.2.1, Tariffs)."""

from __future__ import annotations

from django.http import HttpResponse
from django.utils import timezone
from rest_framework.request import Request

from emsp.models import Tariff
from ocpi import defects, documents, envelope, keeping, status
from ocpi.enums import InterfaceRole, ModuleID, Role
from ocpi.headers import Address
from ocpi.v2_2_1 import tariffs as schema
from ocpi.views import OcpiView


def keep(owner: Address, tariff_id: str, body: bytes) -> bool:
    """Create or replace a Tariff; say whether it is new. A deleted one comes back to life.

    :raises InvalidParameters: if the body breaks its table, names another id or is older than what is stored.
    """
    kept = defects.taken(schema.check_leniently(body, "Tariff"))
    members = documents.members(kept)
    keeping.check_identity(members, {"id": tariff_id, "country_code": owner.country_code, "party_id": owner.party_id})
    return keeping.put(
        Tariff,
        owner=owner,
        object_id=tariff_id,
        document=kept.decode(),
        updated=keeping.last_updated(members),
        columns={"deleted_at": None},
    ).created


def read(owner: Address, tariff_id: str) -> str:
    """Return a Tariff as it is stored.

    :raises UnknownObject: if it is not there, or deleted.
    """
    return _find(owner, tariff_id).document


def delete(owner: Address, tariff_id: str) -> None:
    """Hide a Tariff; Sessions and CDRs that were priced with it keep it (TAR-08).

    :raises UnknownObject: if it is not there.
    """
    Tariff.objects.filter(pk=_find(owner, tariff_id).pk).update(deleted_at=timezone.now())


def _find(owner: Address, tariff_id: str) -> Tariff:
    tariff = keeping.find(Tariff, owner=owner, object_id=tariff_id, deleted_at=None)
    if tariff is None:
        raise status.UnknownObject
    return tariff


class TariffsReceiver(OcpiView):
    """`{country_code}/{party_id}/{tariff_id}`. There is no PATCH (TAR-05)."""

    module = ModuleID.tariffs
    interface = InterfaceRole.RECEIVER
    owners = (Role.CPO, Role.NAP, Role.OTHER)

    def get(self, request: Request, tariff_id: str) -> HttpResponse:
        return envelope.response(read(self.owner, tariff_id))

    def put(self, request: Request, tariff_id: str) -> HttpResponse:
        created = keep(self.owner, tariff_id, self.body())
        return envelope.response(http_status=201 if created else 200)

    def delete(self, request: Request, tariff_id: str) -> HttpResponse:
        delete(self.owner, tariff_id)
        return envelope.response()
