"""The admin's pages of commands and reservations: what an operator sees, and cancelling after a question."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from cpo.models import Command, MissingFeature, Operation, Reservation, Session
from cpo.modules import commands_operations as commands
from tests.admin_world import operator_fixture as operator_fixture
from tests.commands_support import RESERVATION, Commander, reserved_tariff
from tests.cpo_support import EVSE_UID, Point, add_location, add_point, add_tariff, with_tariff
from tests.fixtures import Document, Partner
from tests.platforms import Listener

pytestmark = [pytest.mark.usefixtures("cpo_side"), pytest.mark.django_db]
RESERVATIONS, COMMANDS = "admin:cpo_reservation_changelist", "admin:cpo_command_changelist"


@pytest.fixture
def point(document: Document) -> Point:
    add_tariff(reserved_tariff())
    return add_point(add_location(with_tariff(document("location"))))


@pytest.fixture
def emsp(point: Point, partner: Partner, listener: Listener, document: Document) -> Commander:
    return Commander(partner("DE*EMS:EMSP", listener=listener), listener, document)


def content(client: Client, url: str, **query: str) -> str:
    answer = client.get(url, query)
    assert answer.status_code == 200
    return str(answer.content.decode())


def test_reservations_show_state_evse_emsp_and_expiry(operator: Client, emsp: Commander) -> None:
    emsp.reserved(60)
    row = Reservation.objects.get()

    page = content(operator, reverse(RESERVATIONS), state="ACCEPTED")
    others = content(operator, reverse(RESERVATIONS), state="CANCELLED")
    detail = content(operator, reverse("admin:cpo_reservation_change", args=[row.pk]))

    assert all(text in page for text in (RESERVATION, "ACCEPTED", EVSE_UID, "DE*EMS", "CP-1"))
    assert re.search(r"(59|60) min", page)
    assert RESERVATION not in others
    assert all(text in detail for text in (str(row.number), "RESERVE_NOW", "Cancel"))


@pytest.mark.req("CMD-20", "OCPP-88")
def test_an_operator_cancels_a_reservation_after_a_question(operator: Client, emsp: Commander) -> None:
    emsp.reserved(60)
    row = Reservation.objects.get()
    url = reverse("admin:cpo_reservation_cancel", args=[row.pk])

    asked = operator.post(url)
    still = Reservation.objects.get().state
    done = operator.post(url, {"confirmed": "yes"}, follow=True)
    again = operator.post(url, {"confirmed": "yes"}, follow=True)

    assert "Cancel this reservation?" in asked.content.decode()
    assert (still, Reservation.objects.get().state) == ("ACCEPTED", "CANCELLED")
    assert "the eMSP is told" in done.content.decode()
    assert "nothing is changed" in again.content.decode()
    assert emsp.results() == ["ACCEPTED", "CANCELED_RESERVATION"]
    assert Operation.objects.get(state="QUEUED").action == "CancelReservation"
    assert Session.objects.get().status == "COMPLETED"


@pytest.mark.req("SEC-53")
def test_who_may_only_look_cancels_nothing(emsp: Commander) -> None:
    emsp.reserved(60)
    viewer, user = Client(), User.objects.create_user("viewer", password="a long password of a viewer", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_reservation", content_type__app_label="cpo"))
    viewer.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    row = Reservation.objects.get()
    url = reverse("admin:cpo_reservation_cancel", args=[row.pk])

    page = content(viewer, reverse("admin:cpo_reservation_change", args=[row.pk]))

    assert url not in page
    assert viewer.post(url, {"confirmed": "yes"}).status_code == 403
    assert Reservation.objects.get().state == "ACCEPTED"


def test_a_command_shows_when_it_was_asked_answered_and_ended(operator: Client, emsp: Commander) -> None:
    emsp.send("UNLOCK_CONNECTOR")
    emsp.answer("Unlocked")
    row = Command.objects.get()
    created_at = timezone.now()
    Command.objects.update(
        created_at=created_at,
        result_at=created_at + timedelta(seconds=2.5),
        deadline_at=created_at + timedelta(seconds=60),
    )
    Operation.objects.update(sent_at=created_at + timedelta(seconds=0.3), ended_at=created_at + timedelta(seconds=2.4))

    for page in (
        content(operator, reverse(COMMANDS), command="UNLOCK_CONNECTOR", result="ACCEPTED"),
        content(operator, reverse("admin:cpo_command_change", args=[row.pk])),
    ):
        assert "asked +0.3 s, answered +2.4 s, result +2.5 s, due +60 s" in page
    assert "asked +0.3 s" not in content(operator, reverse(COMMANDS), result="FAILED")
    assert "asked +0.3 s" not in content(operator, reverse(COMMANDS), command="START_SESSION")


def test_a_charge_point_shows_what_it_does_not_know(operator: Client, emsp: Commander, point: Point) -> None:
    emsp.send("UNLOCK_CONNECTOR")
    operation = emsp.answer("NotSupported")
    commands.settle(operation.pk)

    page = content(operator, reverse("admin:cpo_chargepoint_change", args=[point.row.pk]))

    assert MissingFeature.objects.get().action == "UnlockConnector"
    assert "UnlockConnector" in page


def test_more_reservations_cost_no_more_queries(operator: Client, emsp: Commander) -> None:
    emsp.reserved(60)
    row = Reservation.objects.get()
    operator.get(reverse(RESERVATIONS))
    with CaptureQueriesContext(connection) as few:
        operator.get(reverse(RESERVATIONS))
    for number in range(1, 6):
        row.pk, row.number, row.reservation_id, row.session = None, number, f"R{number}", None
        row.save(force_insert=True)

    with CaptureQueriesContext(connection) as many:
        operator.get(reverse(RESERVATIONS))

    assert len(few) == len(many)
