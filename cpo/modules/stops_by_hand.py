"""Stops and messages that wait for an operator: assigned, tried again, or put aside (OCPP-42, OCPP-43, OCPP-44)."""

from __future__ import annotations

from django.db import transaction

from cpo.gateway_models import InboxState
from cpo.models import InboxMessage, Transaction, UnmatchedStop
from cpo.modules import transactions
from cpo.ocpp import v16
from cpo.ocpp.events import TransactionStopped


class NotDone(Exception):
    """It cannot be done; the text says why."""


def assign(stop_id: int, transaction_number: int) -> None:
    """Let a stop end the open transaction that an operator names.

    :raises NotDone: if the transaction is another charge point's or over, or the stop does not fit it.
    """
    with transaction.atomic():
        stop = UnmatchedStop.objects.select_for_update(of=("self",)).select_related("message").get(pk=stop_id)
        row = Transaction.objects.filter(
            charge_point_id=stop.charge_point_id, transaction_id=transaction_number
        ).first()
        if row is None:
            raise NotDone(f"Its charge point has no transaction {transaction_number}")
        if row.stopped_at is not None and not row.synthetic:
            raise NotDone(f"Transaction {transaction_number} has its stop already")
        message = stop.message
        event = v16.read(message.action, message.payload, message.received_at)
        if not isinstance(event, TransactionStopped):
            raise NotDone("The message is no StopTransaction")
        if event.meter_stop_wh < row.meter_start:
            raise NotDone(f"Its meter ({event.meter_stop_wh} Wh) is below that of the start ({row.meter_start} Wh)")
        transactions.stop(message, _of(event, row))
        stop.delete()


def put_aside(stop_id: int) -> None:
    """Decide that a stop means nothing; its message stays in the inbox for as long as others."""
    UnmatchedStop.objects.filter(pk=stop_id).delete()


def try_again(message_ids: list[int]) -> int:
    """Have parked messages applied once more; return how many."""
    rows = InboxMessage.objects.filter(pk__in=message_ids, state=InboxState.FAILED)
    return rows.update(state=InboxState.NEW, attempts=0, error="")


def leave(message_ids: list[int]) -> int:
    """Take parked messages as done although they were not applied; return how many."""
    rows = InboxMessage.objects.filter(pk__in=message_ids, state=InboxState.FAILED)
    return rows.update(state=InboxState.DONE)


def _of(event: TransactionStopped, row: Transaction) -> TransactionStopped:
    return TransactionStopped(
        transaction_id=row.transaction_id, meter_stop_wh=event.meter_stop_wh, moment=event.moment,
        reason=event.reason, id_token=event.id_token, samples=event.samples,
    )  # fmt: skip
