"""Transactions and reservations of charge points (OCPP-118 … OCPP-120)."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse
from rest_framework.request import Request

from cpo.api import base, lists, principals, records, refs
from cpo.api.errors import NotFound
from cpo.models import Reservation, Transaction
from cpo.modules import transactions
from cpo.reservation_states import STATES

_ORDERS = ("-started_at", "stopped_at")
_RESERVATION_ORDERS = ("-created_at", "expires_at")
_OPEN, _CLOSED, _ALL = "open", "closed", "all"


class Transactions(base.View):
    """`/charge-points/{cp}/transactions`; `wait_for=open&timeout=` waits until one is open."""

    def get(self, request: Request, cp: str) -> HttpResponse:
        point = self.charge_point(cp)
        asked = self.query("state", "id_tag", "connector", "wait_for", "timeout", *lists.PAGE)
        rows = Transaction.objects.filter(charge_point=point).select_related("charge_point")
        if "id_tag" in asked:
            rows = rows.extra(where=["UPPER(id_tag) = UPPER(%s)"], params=[asked["id_tag"]])
        if "connector" in asked:
            rows = rows.filter(connector_id=base.whole(asked["connector"], "connector", most=2**31 - 1))
        if "wait_for" in asked:
            base.chosen(asked["wait_for"], "wait_for", (_OPEN, _CLOSED))
            timeout = lists.seconds(asked.get("timeout", "30"))
            with lists.place():
                lists.appear(_of_state(rows, asked["wait_for"]), timeout)
        state = base.chosen(asked.get("state", asked.get("wait_for", _ALL)), "state", (_OPEN, _CLOSED, _ALL))
        return lists.page(_of_state(rows, state), asked, orders=_ORDERS, record=records.transaction)


def _of_state(rows: QuerySet[Any], state: str) -> QuerySet[Any]:
    return rows if state == _ALL else rows.filter(stopped_at__isnull=state == _OPEN)


class OneTransaction(base.View):
    """`/transactions/{ref}`"""

    def get(self, request: Request, ref: str) -> HttpResponse:
        self.query()
        rows = self.caller.own(Transaction.objects.select_related("charge_point"), "charge_point__")
        row = rows.filter(pk=refs.read(refs.TRANSACTION, ref)).first()
        if row is None:
            raise NotFound(f"there is no transaction {ref}")
        return base.answer(records.transaction(row))


class CloseOpen(base.View):
    """`/charge-points/{cp}/transactions/close-open`: for tests and repair."""

    scopes = {"post": principals.OPERATE}

    def post(self, request: Request, cp: str) -> HttpResponse:
        point = self.charge_point(cp)
        self.query()
        rows = Transaction.objects.filter(charge_point=point)
        closed = [pk for pk in rows.filter(stopped_at=None).values_list("pk", flat=True) if transactions.close(pk)]
        found = rows.filter(pk__in=closed).select_related("charge_point").order_by("started_at", "pk")
        return base.answer({"closed": [records.transaction(row) for row in found]})


class Reservations(base.View):
    """`/charge-points/{cp}/reservations`"""

    def get(self, request: Request, cp: str) -> HttpResponse:
        point = self.charge_point(cp)
        asked = self.query("state", "id_tag", *lists.PAGE)
        rows = Reservation.objects.filter(charge_point=point).select_related("charge_point")
        if "state" in asked:
            rows = rows.filter(state=base.chosen(asked["state"], "state", STATES))
        if "id_tag" in asked:
            rows = rows.extra(where=["UPPER(id_tag) = UPPER(%s)"], params=[asked["id_tag"]])
        return lists.page(rows, asked, orders=_RESERVATION_ORDERS, record=records.reservation)


class OneReservation(base.View):
    """`/reservations/{ref}`"""

    def get(self, request: Request, ref: str) -> HttpResponse:
        self.query()
        rows = self.caller.own(Reservation.objects.select_related("charge_point"), "charge_point__")
        row = rows.filter(pk=refs.read(refs.RESERVATION, ref)).first()
        if row is None:
            raise NotFound(f"there is no reservation {ref}")
        return base.answer(records.reservation(row))
