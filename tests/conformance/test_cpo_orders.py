"""In OCPP 1.6 no order, repetition, gap or late replay of a transaction's messages changes its bill (OCPP-127)."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cpo.models import CDR, MeterReading, Transaction, UnmatchedStop
from cpo.modules import transactions
from ocpi import documents
from tests.cpo_support import BASE, Point, stamp
from tests.cpo_support import emsp_fixture as emsp_fixture
from tests.cpo_support import point_fixture as point_fixture
from tests.fixtures import Document
from tests.people import Person

pytestmark = [pytest.mark.usefixtures("cpo_side"), pytest.mark.django_db]
TAG = "04C7A1E2B95D80"
START, STOP = "start", "stop"
# What is said between start and stop: a status, or a register and what flowed since the reading before; by the minute.
BETWEEN = (
    (1, "Charging"),
    (10, (3000, 2000)),
    (20, "SuspendedEV"),
    (20, (5000, 2000)),
    (40, "Charging"),
    (50, (9000, 4000)),
)
EVERY = (START, *range(len(BETWEEN)), STOP)
Said = int | str


@pytest.fixture
def card(emsp: Person, document: Document) -> str:
    emsp.put(f"cpo/2.2.1/tokens/DE/EMS/{TAG}", document("token_rfid", whitelist="ALWAYS"))
    return TAG


class Play:
    """One transaction on a point that has had others: its messages in some order, and what they come to."""

    def __init__(self, point: Point, card: str) -> None:
        self._point, self._card = point, card
        # After everything before, so that no status is about another transaction.
        self._begin = BASE + timedelta(minutes=100 * Transaction.objects.count())
        self._number = 0

    def say(self, what: Said) -> None:
        if what == START:
            known = self._number or None
            said = self._point.start(self._card, at=self._begin, transaction_id=known)
            self._number = self._number or said["transactionId"]
            assert said["transactionId"] == self._number
        elif what == STOP:
            self._point.stop(self._number, 11_000, at=self._at(60))
        else:
            minute, content = BETWEEN[int(what)]
            if isinstance(content, str):
                self._point.status(content, at=self._at(minute))
            else:
                self._meter(minute, *content)

    def _at(self, minute: int) -> Any:
        return self._begin + timedelta(minutes=minute)

    def _meter(self, minute: int, register: int, interval: int) -> None:
        sampled = [
            {"measurand": "Energy.Active.Import.Register", "unit": "Wh", "value": str(register)},
            {"measurand": "Energy.Active.Import.Interval", "unit": "Wh", "value": str(interval)},
        ]
        value = {"timestamp": stamp(self._at(minute)), "sampledValue": sampled}
        said = {"connectorId": 1, "transactionId": self._number, "meterValue": [value]}
        self._point.says("MeterValues", said)

    def comes_to(self) -> dict[str, Any]:
        """Return what is billed, and what an operator sees of it; an end that is missing is made up by us."""
        row = Transaction.objects.get(transaction_id=self._number)
        if row.stopped_at is None:
            transactions.close(row.pk)
            row.refresh_from_db()
            row.cdr_due_at = self._begin  # nobody waits for its real stop any longer
            row.save()
            transactions.settle_due()
            row.refresh_from_db()
        session = row.session
        assert session is not None
        cdr = CDR.objects.filter(session_id=session.object_id, credit=False, replaced_by=None).last()
        billed = json.loads(cdr.document, parse_float=Decimal) if cdr is not None else {}
        starts = [each["start_date_time"] for each in billed.get("charging_periods", ())]
        return {
            "status": session.status,
            "kwh": documents.get(session.document, "kwh"),
            "readings": MeterReading.objects.filter(transaction=row).count(),
            "flags": sorted(row.flags),
            "synthetic": row.synthetic,
            "length": row.stopped_at and row.stopped_at - row.started_at,
            "starts": [each > stamp(self._begin) for each in starts],
            "dimensions": [each["dimensions"] for each in billed.get("charging_periods", ())],
            **{name: billed.get(name) for name in ("total_energy", "total_time", "total_cost")},
            "parking": billed.get("total_parking_time"),
        }


@st.composite
def told(draw: st.DrawFn) -> tuple[list[Said], list[Said]]:
    """Draw what is told at all, in its order, and the same in another order, some of it again and again.

    Nobody can name a transaction before its start was answered; so that comes first, and may come again.
    """
    kept = [each for each in EVERY if each == START or draw(st.integers(0, 5), label=f"{each} is lost if 0")]
    again = draw(st.lists(st.sampled_from(kept), max_size=4), label="told again")
    mixed = draw(st.permutations([*kept[1:], *again]), label="order")
    return list(kept), [START, *mixed]


@pytest.mark.req("OCPP-127", "OCPP-38", "OCPP-42", "OCPP-66")
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=told())
def test_the_same_messages_come_to_the_same_session_and_cdr(
    point: Point, card: str, order: tuple[list[Said], list[Said]]
) -> None:
    found = []
    for sequence in order:
        play = Play(point, card)
        for what in sequence:
            play.say(what)
        found.append(play.comes_to())

    assert found[1] == found[0], order
    if STOP in order[0]:
        assert (found[0]["total_energy"], found[0]["status"], found[0]["synthetic"]) == (10, "COMPLETED", False)
    else:
        assert found[0]["synthetic"], "an end nobody told of is ours, and marked so"
    assert not UnmatchedStop.objects.exists()


@pytest.mark.req("OCPP-127", "OCPP-66")
def test_the_worst_order_with_all_of_it_costs_what_the_best_does(point: Point, card: str) -> None:
    orders: list[list[Said]] = [list(EVERY), [START, STOP, 5, 4, 3, 2, 1, 0, STOP, START, 3]]
    found = []
    for sequence in orders:
        play = Play(point, card)
        for what in sequence:
            play.say(what)
        found.append(play.comes_to())

    assert found[0]["parking"] == Decimal("0.3333")
    assert found[1] == found[0]
    # What came when the CDR was out has corrected it, each time it would have said otherwise.
    assert CDR.objects.filter(credit=True).exists()
