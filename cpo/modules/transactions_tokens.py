"""Whose a transaction of OCPP 2.0.1 is: its tokens, the remote start it names, and what events are answered with."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Q

from cpo.gateway.moments import Moment
from cpo.models import Command, CommandedToken, InboxMessage, Operation, Transaction, TransactionEvent
from cpo.modules import authorization, connectors, snapshots
from cpo.modules import sessions_operations as sessions
from cpo.modules.authorization import Question, Verdict
from cpo.ocpp.events import AuthorizeAsked
from cpo.ocpp.events import TransactionEvent as Event
from cpo.transaction_events import ENDED, Course
from cpo.whitelist_states import ACCEPTED
from ocpi import documents
from ocpi.headers import Address

NO_AUTHORIZATION = "NoAuthorization"
_LONGEST = 36
_STARTS = "RequestStartTransaction"


def prepare(message: InboxMessage, row: Transaction | None, event: Event) -> Verdict | Question | None:
    """Return the decision about an event's token, or what has to be asked first; nothing if it has none.

    What was decided for this transaction before holds for its whole length.
    """
    remote = _of_remote_start(message.charge_point_id, event)
    if remote is not None:
        return remote
    if not event.id_token:
        return None
    decided = _decided(row, event) if row is not None else None
    if decided is not None:
        return decided
    number = row.connector_id if row is not None else 0
    if event.evse:
        number = connectors.number_of(message.charge_point_id, event.evse, event.connector)
    return authorization.prepare(
        message.charge_point, event.id_token, connector=number or None, token_type=event.token_type
    )


def facts(row: Transaction, event: Event, verdict: Verdict | None) -> dict[str, Any]:
    """Return what an event keeps of the decision about its token."""
    if verdict is None:
        return {}
    accepted, flag = verdict.accepted, ""
    connected_at = row.charge_point.connected_at
    before = event.offline or (connected_at is not None and event.moment.at < connected_at)
    if not accepted and verdict.token and before and event.kind != ENDED:
        # It let the driver in while nobody could be asked: the energy has flowed, it is billed (OCPP-40, OCPP-56).
        accepted, flag = True, "offline_authorised"
    named = event.id_token or str((documents.get(verdict.token, "uid") if verdict.token else "") or "")
    return {
        "id_token": named,  # that of the START_SESSION, where the event only names this
        "status": ACCEPTED if accepted else verdict.status,
        "told": verdict.told("2.0.1"),
        "flag": flag,
        "document": verdict.token,
        "auth_method": verdict.auth_method,
        "reference": verdict.authorization_reference,
        "commanded": verdict.commanded_id,
    }


def verdict_of(kept: list[TransactionEvent], course: Course) -> Verdict:
    """Return the decision that a transaction's Session goes by."""
    found = _chosen(kept, course)
    return Verdict(
        ACCEPTED,
        found["document"],
        found["auth_method"],
        found["reference"],
        commanded_id=found["commanded"],
    )


def flags_of(kept: list[TransactionEvent], course: Course) -> list[str]:
    """Return what is odd about the decision."""
    return [flag for flag in (_chosen(kept, course).get("flag"),) if flag]


def moment(at: datetime) -> Moment:
    return Moment(at, at.isoformat())


def answer(row: Transaction, event: Event, verdict: Verdict | None) -> dict[str, Any]:
    """Return the answer to an event: a word about its token, the price of the end for our own drivers (OCPP-55)."""
    found: dict[str, Any] = {}
    if event.token_type == NO_AUTHORIZATION:
        found["idTokenInfo"] = {"status": ACCEPTED}
    elif event.id_token and verdict is not None:
        found["idTokenInfo"] = id_token_info(verdict, event.token_type)
    cost = _total_cost(row) if event.kind == ENDED else None
    if cost is not None:
        found["totalCost"] = cost
    return found


def authorize_answer(event: AuthorizeAsked, verdict: Verdict) -> dict[str, Any]:
    """Return the answer to an Authorize of OCPP 2.0.1.

    Whether a contract certificate is revoked we cannot know: it is neither called good nor is its driver refused for
    it; the eMSP has decided about its contract.
    """
    found: dict[str, Any] = {"idTokenInfo": id_token_info(verdict, event.token_type)}
    if event.certificate:
        found["certificateStatus"] = "NoCertificateAvailable" if verdict.accepted else "ContractCancelled"
    return found


def id_token_info(verdict: Verdict, token_type: str) -> dict[str, Any]:
    """Return what a charge point of OCPP 2.0.1 is told about a token (M-7, M-8)."""
    info: dict[str, Any] = {"status": verdict.told("2.0.1")}
    group = documents.get(verdict.token, "group_id") if verdict.token else verdict.parent
    if isinstance(group, str) and 0 < len(group) <= _LONGEST:
        info["groupIdToken"] = {"idToken": group, "type": token_type or "ISO14443"}
    return info


def _chosen(kept: list[TransactionEvent], course: Course) -> dict[str, Any]:
    token = course.token
    if token is None:
        raise ValueError("the transaction has no token")
    for each in kept:
        same = (each.seq_no, each.kind, each.at) == (token.seq_no, token.kind, token.at)
        if same and each.facts.get("status") == token.status:
            found: dict[str, Any] = each.facts
            return found
    raise ValueError("the event of the token is gone")


def _decided(row: Transaction, event: Event) -> Verdict | None:
    """Return what was decided about the same token in this transaction, if it was accepted."""
    for each in row.events.order_by("id"):
        told = each.facts
        if told.get("told") == ACCEPTED and told["id_token"].upper() == event.id_token.upper():
            return Verdict(ACCEPTED, told["document"], told["auth_method"], told["reference"],
                           commanded_id=told["commanded"])  # fmt: skip
    return None


def _of_remote_start(charge_point_id: int, event: Event) -> Verdict | None:
    """Return the decision behind the remote start that an event names (OCPP-54): that of its START_SESSION."""
    operation = None if event.remote_start_id is None else operation_of(charge_point_id, event.remote_start_id)
    command = None if operation is None else Command.objects.filter(operation=operation).order_by("-id").first()
    token = None if command is None else CommandedToken.objects.filter(command=command).first()
    if token is None or (event.id_token and event.id_token.upper() != token.id_tag.upper()):
        return None
    return Verdict(ACCEPTED, token.document, "COMMAND", token.authorization_reference, commanded_id=token.pk)


def operation_of(charge_point_id: int, remote_start_id: int) -> Operation | None:
    """Return the newest remote start with this number."""
    rows = Operation.objects.filter(charge_point_id=charge_point_id, action=_STARTS).order_by("-created_at")
    # With what may stand behind it: else twenty later numbers that begin with the same digits would hide it.
    named = [Q(payload__contains=f'"remoteStartId":{remote_start_id}{end}') for end in (",", "}")]
    for operation in rows.filter(named[0] | named[1])[:20]:
        if documents.get(operation.payload, "remoteStartId") == remote_start_id:
            return operation
    return None


def _total_cost(row: Transaction) -> Decimal | None:
    """Return what an ended transaction costs a driver of the charge point's own operator, with VAT."""
    if row.session is None or not row.snapshot:
        return None
    seen = snapshots.read(row.snapshot)
    own = Address(row.charge_point.country_code, row.charge_point.party_id)
    if seen.emsp.key != own.key:
        return None
    priced = sessions.meter(row, seen).priced
    if priced is None:
        return None
    return priced.total_cost.incl_vat if priced.total_cost.incl_vat is not None else priced.total_cost.excl_vat


def note_remote_start(row: Transaction, event: Event) -> UUID | None:
    """Return which operation started a transaction, if the event names it."""
    if row.started_by is not None or event.remote_start_id is None:
        return row.started_by
    found = operation_of(row.charge_point_id, event.remote_start_id)
    return None if found is None else found.pk
