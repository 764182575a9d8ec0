"""Verify the signed meter data of a CDR with the keys we know of its CPO's meters (CDR-51 … CDR-54)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ocpi import signed_meter
from ocpi.headers import Address
from ocpi.models import MeterKey


def proof(owner: Address, signed_data: Any) -> signed_meter.Report | None:
    """Return what a CDR's signed data proves; None if it has none."""
    if not isinstance(signed_data, Mapping):
        return None
    return signed_meter.verify(signed_data, _Keys(owner))


class _Keys(dict[str, str]):
    """The registered keys of a CPO's meters, looked up by serial number as they are asked for."""

    def __init__(self, owner: Address) -> None:
        super().__init__()
        self._owner = owner

    def get(self, serial: str, default: Any = None) -> Any:
        if serial not in self:
            country_code, party_id = self._owner.key
            row = MeterKey.objects.filter(
                country_code__iexact=country_code, party_id__iexact=party_id, serial=serial
            ).first()
            self[serial] = row.public_key if row is not None else ""
        return self[serial] or default
