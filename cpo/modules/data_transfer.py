"""DataTransfer from charge points: a registry of what we understand, everything kept either way (OCPP-86).

A handler for a vendor's message is put into `HANDLERS`; it is called in the transaction that settles the message and
returns the answer: its status, and data if there are any. Nothing is registered by default: no vendor's messages are
part of OCPP.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from cpo.models import DataTransfer, InboxMessage
from ocpi import clock

KEPT = timedelta(days=90)
_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class Answer:
    """What a charge point is told."""

    status: str  # Accepted, Rejected, UnknownMessageId, UnknownVendorId
    data: Any = None  # in 1.6 a text

    def payload(self) -> dict[str, Any]:
        return {"status": self.status} if self.data is None else {"status": self.status, "data": self.data}


Handler = Callable[[InboxMessage, Any], Answer]
# (vendorId, messageId) → who understands it; the messageId is "" where a message has none. Names are compared exactly.
HANDLERS: dict[tuple[str, str], Handler] = {}


def decide(message: InboxMessage, vendor_id: str, message_id: str, data: Any) -> Answer:
    """Return the answer to a message (1.6 chapter 4.3, 2.0.1 P02)."""
    handler = HANDLERS.get((vendor_id, message_id))
    if handler is not None:
        return handler(message, data)
    known = any(vendor == vendor_id for vendor, _ in HANDLERS)
    return Answer("UnknownMessageId" if known else "UnknownVendorId")


def note(message: InboxMessage, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Keep a DataTransfer, and answer it."""
    vendor_id, message_id = str(payload.get("vendorId") or ""), str(payload.get("messageId") or "")
    data = payload.get("data")
    # If the gateway had to answer in our stead it has said Rejected: then nothing is done (`gave_up`).
    found = Answer("Rejected") if message.gave_up else decide(message, vendor_id, message_id, data)
    answer = found.payload()
    DataTransfer.objects.create(
        charge_point_id=message.charge_point_id,
        received_at=message.received_at,
        vendor_id=_clean(vendor_id)[:255],
        message_id=_clean(message_id)[:50],
        data=_storable(data),
        status=found.status,
        answer=_storable(answer),
    )
    return answer


def forget_old() -> int:
    """Remove what is older than 90 days, a batch at a time; return how many."""
    old = DataTransfer.objects.filter(received_at__lt=clock.now() - KEPT).order_by("pk").values("pk")[:_AT_ONCE]
    removed, _ = DataTransfer.objects.filter(pk__in=old).delete()
    return removed


def _clean(text: str) -> str:
    return text.replace("\x00", "")


def _storable(value: Any) -> Any:
    """Return JSON that PostgreSQL takes: without NUL, which it has no place for."""
    if isinstance(value, str):
        return _clean(value)
    if isinstance(value, Mapping):
        return {_clean(str(name)): _storable(each) for name, each in value.items()}
    return [_storable(each) for each in value] if isinstance(value, list) else value
