"""What is known around a CDR. Whoever asks collects it; what is None is not known and accuses nobody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from ocpi.signed_meter import Report

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Limits:
    """How far figures may be apart before somebody should look."""

    latest_days: int = 90  # between the end of a session and the arrival of its CDR
    overlap_seconds: int = 60
    energy_kwh: Decimal = Decimal("0.01")  # between CDR, Session and signed readings
    power_share: Decimal = Decimal("1.1")  # of the Connector's power
    clock_seconds: int = 300
    signed_seconds: int = 900  # between the times of the CDR and of the signed readings


@dataclass(frozen=True, slots=True)
class Agreement:
    """What two parties have agreed for the time of a session."""

    exists: bool
    currency: str = ""  # "": any


@dataclass(frozen=True, slots=True)
class Authorized:
    """A real-time authorization that was given."""

    token_uid: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another CDR near this one: of the same session, Token or Connector."""

    id: str
    session_id: str
    token_uid: str
    token_type: str
    evse: str  # uid
    location_id: str
    connector_id: str
    start: datetime
    end: datetime
    energy: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known around one CDR."""

    received_at: datetime
    tariffs: Sequence[Document] = ()  # as published
    time_zone: str | None = None
    # None: whoever looks does not keep such objects, and cannot say.
    session: Document | None = None
    sessions_known: bool = False
    token: Document | None = None
    tokens_known: bool = False
    location: Document | None = None
    locations_known: bool = False
    authorization: Authorized | None = None
    authorizations_known: bool = False
    agreement: Agreement | None = None
    neighbours: Sequence[Neighbour] = ()  # not taken back, and no Credit CDRs
    original: Document | None = None  # of a Credit CDR
    credited_before: bool = False
    other_content: bool = False  # a CDR of the same id came with other content
    signed: Report | None = None
    limits: Limits = field(default_factory=Limits)
