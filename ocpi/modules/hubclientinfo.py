"""HubClientInfo, Receiver: a hub tells us who is behind it and connected (OCPI 2.2.1, HubClientInfo)."""

from __future__ import annotations

import logging
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpResponse
from rest_framework.request import Request

from ocpi import defects, documents, endpoints, envelope, health, keeping, pull_rows, status, version_numbers
from ocpi.enums import InterfaceRole, ModuleID
from ocpi.headers import Address
from ocpi.models import ConnectionStatus, Party
from ocpi.modules import claims
from ocpi.v2_2_1.types import format_datetime
from ocpi.views import OcpiView

log = logging.getLogger(__name__)


class ClientInfoReceiver(OcpiView):
    module = ModuleID.hubclientinfo
    interface = InterfaceRole.RECEIVER
    functional = False

    def may_own(self, address: Address) -> bool:
        """Only a hub knows others."""
        return self.caller.platform.is_hub

    def get(self, request: Request) -> HttpResponse:
        return envelope.response(find(hub_id=self.caller.platform.id, address=self.owner))

    def put(self, request: Request) -> HttpResponse:
        schema = version_numbers.schema(endpoints.VERSION, ModuleID.hubclientinfo)
        info = schema.check(defects.taken(schema.check_leniently(self.body(), "ClientInfo")), "ClientInfo")
        for field in ("country_code", "party_id"):
            if getattr(info, field).upper() != getattr(self.owner, field).upper():
                raise status.InvalidParameters(field, "must be that of the URL")
        created = store(
            hub_id=self.caller.platform.id,
            address=self.owner,
            role=info.role,
            connection=ConnectionStatus(info.status),
            last_updated=info.last_updated,
        )
        return envelope.response(http_status=201 if created else 200)


@transaction.atomic
def store(*, hub_id: int, address: Address, role: str, connection: ConnectionStatus, last_updated: datetime) -> bool:
    """Keep what a hub says about a party in one role (HCI-09), and do what follows from it; say whether it is new.

    :raises InvalidParameters: if what we have is newer.
    """
    found = _parties(hub_id, address).filter(role=role)
    known = found.first()
    # One statement, so that of two at a time none is lost.
    if found.filter(last_updated__lte=last_updated).update(status=connection, last_updated=last_updated, claimed=True):
        if known is not None and known.status != connection:
            _follow(hub_id, address, connection)
            if connection == ConnectionStatus.CONNECTED:
                pull_rows.recover(hub_id, known.last_updated, party=address)  # it was away (TRN-121)
        claims.announce()
        return False
    known = known or found.first()
    if known is not None:
        raise keeping.older(last_updated, known.last_updated)
    Party.objects.create(
        platform_id=hub_id,
        country_code=address.country_code,
        party_id=address.party_id,
        role=role,
        approved=True,
        claimed=True,
        through_hub=True,
        status=connection,
        last_updated=last_updated,
    )
    _follow(hub_id, address, connection)
    if connection == ConnectionStatus.CONNECTED:
        # What the hub brought of it before it was named was refused (PIT-78).
        pull_rows.recover(hub_id, last_updated)
    claims.announce()
    return True


def _follow(hub_id: int, address: Address, connection: ConnectionStatus) -> None:
    """Do with what waits for a party as its new status says (HCI-16 to HCI-19)."""
    log.info("the hub on platform %s says that %s is %s", hub_id, address, connection)
    if connection == ConnectionStatus.CONNECTED:
        health.give_grace(hub_id, address)
    else:
        health.leave_marks(hub_id, address)


def find(*, hub_id: int, address: Address) -> str:
    """Return the ClientInfo of a party, the one changed last if it has several roles.

    :raises UnknownObject: if the hub never told us of it.
    """
    party = _parties(hub_id, address).order_by("-last_updated", "-id").first()
    if party is None:
        raise status.UnknownObject
    return documents.text(
        {
            "party_id": party.party_id,
            "country_code": party.country_code,
            "role": party.role,
            "status": party.status,
            "last_updated": format_datetime(party.last_updated),
        }
    )


def _parties(hub_id: int, address: Address) -> QuerySet[Party]:
    return Party.objects.filter(
        platform_id=hub_id,
        through_hub=True,
        country_code__iexact=address.country_code,
        party_id__iexact=address.party_id,
    )
