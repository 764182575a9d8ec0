"""What follows from messages of charge points beside transactions and status: one table from action to handlers.

A handler is called with each message of its action, of any OCPP version, in the transaction that settles the message
(OCPP-99): what it writes is there exactly if the message is done. It gets the payload as it came, in the names of the
protocol (OCPP-19), and reads it forgivingly; an error it raises has the message tried again, and then parked. For an
action that the CPO side decides it may return the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cpo.gateway import frames
from cpo.models import InboxMessage
from cpo.modules import (
    abilities,
    availability,
    boots,
    certificates,
    chargingprofiles_reported,
    connector_history,
    data_transfer,
    device_jobs,
    local_lists,
    provisioning,
    reports,
    reservations_reports,
    security_events,
)

Payload = Mapping[str, Any]
Handler = Callable[[InboxMessage, Payload], dict[str, Any] | None]

HANDLERS: dict[str, tuple[Handler, ...]] = {
    "BootNotification": (boots.note, chargingprofiles_reported.note_boot, local_lists.note_boot),
    "DataTransfer": (data_transfer.note,),
    "DiagnosticsStatusNotification": (device_jobs.note_status,),
    "FirmwareStatusNotification": (device_jobs.note_status,),
    "LogStatusNotification": (device_jobs.note_status,),
    "NotifyCustomerInformation": (reports.take,),
    "NotifyDisplayMessages": (reports.take,),
    "NotifyEvent": (reports.take, connector_history.note),
    "NotifyMonitoringReport": (reports.take,),
    "NotifyReport": (reports.take, provisioning.note_report, abilities.note_report),
    "ReportChargingProfiles": (reports.take, chargingprofiles_reported.note_report),
    "ReservationStatusUpdate": (reservations_reports.note,),
    "SecurityEventNotification": (security_events.note,),
    "SignCertificate": (certificates.note_request,),
    "SignedFirmwareStatusNotification": (device_jobs.note_status,),
    "StartTransaction": (local_lists.note_use,),
    "StatusNotification": (availability.note_status, connector_history.note),
    "TransactionEvent": (local_lists.note_use,),
}


def note(message: InboxMessage) -> dict[str, Any] | None:
    """Call the handlers of a message's action; return the answer that one of them gives, if any."""
    handlers = HANDLERS.get(message.action, ())
    if not handlers:
        return None
    payload = frames.read_payload(message.payload)
    answer = None
    for handler in handlers:
        answer = handler(message, payload) or answer
    return answer
