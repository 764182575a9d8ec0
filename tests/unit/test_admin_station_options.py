"""The options of a charge point in the admin: changed as by the API, judged by its schema, only what was touched."""

from __future__ import annotations

import html
import json
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db.models import QuerySet
from django.test import Client
from django.urls import reverse

from cpo.admin_station_options import Options
from cpo.api.schemas import SCHEMAS
from cpo.models import ChargePoint
from cpo.modules.charge_points_operations import COLUMNS
from ocpi.models import AuditEntry
from tests.admin_world import operator_fixture as operator_fixture
from tests.admin_world import viewer_fixture as viewer_fixture

pytestmark = [pytest.mark.usefixtures("cpo_side"), pytest.mark.django_db]


@pytest.fixture
def point() -> ChargePoint:
    return ChargePoint.objects.create(
        identity="CP-1", country_code="NL", party_id="TNM", protocols=["ocpp2.0.1", "ocpp1.6"], heartbeat_seconds=60,
        switched_off=["DataTransfer"], password_digest="digest",
    )  # fmt: skip


def url(point: ChargePoint) -> str:
    return reverse("admin:cpo_chargepoint_options", args=[point.pk])


def shown(point: ChargePoint) -> dict[str, Any]:
    """Return what a browser sends of the form as it is shown, nothing touched."""
    sent: dict[str, Any] = {}
    for bound in Options(point):
        value = bound.value()
        for name in (bound.html_name, bound.html_initial_name):
            if isinstance(value, bool) and name == bound.html_name:
                sent |= {name: "on"} if value else {}
            else:
                sent[name] = "" if value is None else value
    return sent


def changes() -> QuerySet[AuditEntry]:
    return AuditEntry.objects.filter(action="charge_point.change")


def send(client: Client, point: ChargePoint, **touched: Any) -> str:
    fields = {name: value for name, value in (shown(point) | touched).items() if value is not None}
    answer = client.post(url(point), fields, follow=True)
    assert answer.status_code == 200
    return html.unescape(answer.content.decode())


@pytest.mark.req("OCPP-04", "OCPP-10", "OCPP-11", "OCPP-16", "OCPP-67", "OCPP-107")
@pytest.mark.parametrize(
    ("column", "given", "kept"),
    [
        ("boot_status", "Pending", "Pending"),
        ("security_profile", "2", 2),
        ("refuses_tls", "on", True),
        ("protocols", ["ocpp2.1"], ["ocpp2.1"]),
        ("no_subprotocol_is_16", "on", True),
        ("strictness", "strict", "strict"),
        ("heartbeat_seconds", "", None),
        ("ping_seconds", "0", 0),
        ("ping_timeout_seconds", "30", 30),
        ("frame_bytes", "65536", 65536),
        ("compression", "on", True),
        ("switched_off", ["DataTransfer", "SecurityEventNotification"], ["DataTransfer", "SecurityEventNotification"]),
        ("switched_off", None, []),
        ("register_direction", "export", "export"),
    ],
)
def test_each_option_is_changed_by_itself_and_written_down(
    operator: Client, point: ChargePoint, column: str, given: Any, kept: Any
) -> None:
    before = ChargePoint.objects.filter(pk=point.pk).values().get()

    text = send(operator, point, **{column: given})

    assert "Changed: " in text
    assert ChargePoint.objects.filter(pk=point.pk).values().get() == {**before, column: kept}
    entry = changes().get()
    assert (entry.actor, entry.about, json.loads(entry.details)) == ("operator", "CP-1", {column: kept})


def test_every_option_of_the_api_is_on_the_form() -> None:
    assert set(Options.base_fields) == set(COLUMNS)
    assert set(COLUMNS) <= set(SCHEMAS["ChangedChargePoint"]["properties"])


@pytest.mark.req("OCPP-10", "OCPP-11", "OCPP-16", "OCPP-123")
@pytest.mark.parametrize(
    ("column", "given", "told"),
    [
        ("frame_bytes", "100", "Ensure this value is greater than or equal to 1024."),
        ("ping_seconds", "86401", "Ensure this value is less than or equal to 86400."),
        ("frame_bytes", "99999999", "Ensure this value is less than or equal to 16777216."),
        ("ping_timeout_seconds", "-1", "Ensure this value is greater than or equal to 0."),
        ("heartbeat_seconds", "0", "Ensure this value is greater than or equal to 1."),
        ("heartbeat_seconds", "often", "Enter a whole number"),
        ("switched_off", ["BootNotification"], "BootNotification is not one of the available choices"),
        ("protocols", None, "This field is required"),
        ("security_profile", "4", "4 is not one of the available choices"),
    ],
)
def test_what_the_api_refuses_is_refused_beside_its_field(
    operator: Client, point: ChargePoint, column: str, given: Any, told: str
) -> None:
    before = ChargePoint.objects.filter(pk=point.pk).values().get()

    text = send(operator, point, **{column: given})

    assert told in text.partition(f'id="id_{column}')[2]
    assert ChargePoint.objects.filter(pk=point.pk).values().get() == before
    assert not changes().exists()


@pytest.mark.req("OCPP-107")
def test_what_changed_since_the_form_was_shown_is_not_taken_back(operator: Client, point: ChargePoint) -> None:
    fields = shown(point)
    ChargePoint.objects.filter(pk=point.pk).update(
        heartbeat_seconds=900, strictness="strict", switched_off=[], compression=True, next_password_digest="next"
    )

    operator.post(url(point), {**fields, "frame_bytes": "2048"})

    point.refresh_from_db()
    assert (point.frame_bytes, point.heartbeat_seconds, point.strictness) == (2048, 900, "strict")
    assert (point.switched_off, point.compression, point.next_password_digest) == ([], True, "next")
    assert (point.password_digest, json.loads(changes().get().details)) == ("digest", {"frame_bytes": 2048})


@pytest.mark.req("OCPP-107")
def test_a_form_sent_as_it_was_shown_changes_nothing(operator: Client, point: ChargePoint) -> None:
    assert "Nothing was changed." in send(operator, point)
    assert not changes().exists()


@pytest.mark.req("SEC-53", "OCPP-107")
def test_only_who_may_change_charge_points_sees_and_sends_the_form(viewer: Client, point: ChargePoint) -> None:
    user, button = User.objects.get(username="viewer"), "Change its options"
    user.user_permissions.add(Permission.objects.get(codename="view_chargepoint"))
    page = reverse("admin:cpo_chargepoint_change", args=[point.pk])
    assert button not in viewer.get(page).content.decode()
    assert viewer.get(url(point)).status_code == 403
    assert viewer.post(url(point), {**shown(point), "frame_bytes": "2048"}).status_code == 403
    point.refresh_from_db()
    assert point.frame_bytes is None

    user.user_permissions.add(Permission.objects.get(codename="change_chargepoint"))
    assert button in viewer.get(page).content.decode()
    assert "Changed: frame bytes." in send(viewer, point, frame_bytes="2048")
