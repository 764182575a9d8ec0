"""What is asked of devices in the words of neither OCPP version. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Message = tuple[str, dict[str, Any]]  # action and payload


@dataclass(frozen=True, slots=True)
class Said:
    """A setting as a charge point reports it; without a value it does not say it."""

    key: str
    value: str | None
    readonly: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Firmware:
    """An update to ask for."""

    request_id: int
    location: str
    at: datetime
    signature: str = ""
    signing_certificate: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogWanted:
    """A log to ask for: DIAGNOSTICS, LOG or SECURITY_LOG."""

    request_id: int
    kind: str
    location: str


@dataclass(frozen=True, slots=True)
class CertificateHash:
    """What OCPP knows a certificate by."""

    hash_algorithm: str
    issuer_name_hash: str
    issuer_key_hash: str
    serial: str

    def as_ocpp(self) -> dict[str, str]:
        return {
            "hashAlgorithm": self.hash_algorithm,
            "issuerNameHash": self.issuer_name_hash,
            "issuerKeyHash": self.issuer_key_hash,
            "serialNumber": self.serial,
        }

    @classmethod
    def read(cls, row: object) -> CertificateHash | None:
        """Return what a row says, or None if it is none."""
        if not isinstance(row, Mapping):
            return None
        values = [row.get(name) for name in ("hashAlgorithm", "issuerNameHash", "issuerKeyHash", "serialNumber")]
        if not all(isinstance(value, str) for value in values):
            return None
        algorithm, name_hash, key_hash, serial = (str(value) for value in values)
        return cls(algorithm[:6], name_hash[:128], key_hash[:128], serial[:40])
