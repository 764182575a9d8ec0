"""What an operator is told of devices, and when it is over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cpo import alarms, device_alarms
from cpo.gateway import masking
from cpo.models import CertificateAuthority, DeviceFile, FirmwareImage, Rollout, StationCertificate, StationEvent
from cpo.modules import station_log
from ocpi import secrets
from tests.devices_support import add_device

pytestmark = [pytest.mark.usefixtures("cpo_side"), pytest.mark.django_db]
OPERATIONS = Path(__file__).parents[2] / "docs" / "OPERATIONS.md"
NOW = datetime.now(UTC)


def told() -> dict[str, str]:
    return {alarm.name: alarm.text for alarm in alarms.current()}


@pytest.mark.req("OCPP-90")
def test_a_critical_event_is_told_until_somebody_has_seen_it() -> None:
    point = add_device()
    row = station_log.note(point.row.pk, "TamperDetectionActivated", at=NOW, critical=True)
    station_log.note(point.row.pk, "ResetOrReboot", at=NOW)
    StationEvent.objects.create(source="GATEWAY", kind="RepeatedAuthenticationFailures", identity="X", critical=True,
                                at=NOW)  # fmt: skip

    both = told()["security_event"]
    ended = station_log.see([row.pk], by="tester")

    assert both == (
        "2 critical events of charge points were not seen by anybody: RepeatedAuthenticationFailures of X, "
        "TamperDetectionActivated of CP-1."
    )
    assert (ended, told()["security_event"]) == (
        1, "A critical event of a charge point was not seen by anybody: RepeatedAuthenticationFailures of X.",
    )  # fmt: skip


@pytest.mark.req("OCPP-90")
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"days": 29}, True),
        ({"days": -1}, True),
        ({"days": 31}, False),
        ({"days": 1, "state": "REPLACED"}, False),
        ({"days": 1, "revoked_at": NOW}, False),
    ],
)
def test_a_certificate_in_use_that_ends_is_told(changes: dict[str, object], expected: bool) -> None:
    changes = dict(changes)
    authority = CertificateAuthority.objects.create(country_code="NL", party_id="TNM", organisation="TNM")
    until = NOW + timedelta(days=int(str(changes.pop("days"))))
    StationCertificate.objects.create(
        charge_point=add_device().row, authority=authority, csr="", **{"state": "INSTALLED", **changes},
        valid_until=until,
    )  # fmt: skip

    assert ("certificate_ending" in told()) is expected


@pytest.mark.req("OCPP-85")
@pytest.mark.parametrize(("reason", "expected"), [("3 failures", True), ("by somebody", False)])
def test_a_rollout_that_stopped_by_itself_is_told(reason: str, expected: bool) -> None:
    file = DeviceFile.objects.create(stored_as="a", size=1, sha256="")
    image = FirmwareImage.objects.create(country_code="NL", party_id="TNM", name="One", version="2", file=file)
    Rollout.objects.create(
        name="R", image=image, state="STOPPED", at_once=1, stop_after=3, created_by="x", reason=reason, ended_at=NOW
    )

    assert ("rollout_stopped" in told()) is expected


def test_each_alarm_says_what_to_do_and_has_its_place_in_the_documents() -> None:
    for name in device_alarms.NAMES:
        assert len(device_alarms.alarm(name, 7, ["a", "b"]).advice) > 30
        assert device_alarms.alarm(name, 7, ["a", "b"]).text.endswith("a, b and 5 more.")
        assert f"`{name}`" in OPERATIONS.read_text()
    assert set(device_alarms.NAMES) <= set(alarms.NAMES)


def test_events_are_forgotten_after_two_years_and_strangers_beyond_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    point = add_device()
    station_log.note(point.row.pk, "Old", at=NOW)
    StationEvent.objects.update(received_at=NOW - timedelta(days=731))
    station_log.note(point.row.pk, "New", at=NOW)
    for number in range(4):
        StationEvent.objects.create(source="GATEWAY", kind=f"K{number}", identity="X", at=NOW)
    monkeypatch.setattr(station_log, "STRANGERS", 2)

    assert station_log.forget_old() == 3
    assert set(StationEvent.objects.values_list("kind", flat=True)) == {"New", "K2", "K3"}


@pytest.mark.req("OCPP-29")
@pytest.mark.parametrize("slash", ["/", "\\/"])
def test_the_frame_log_has_no_url_that_lets_anybody_fetch_or_leave_a_file(slash: str) -> None:
    text = (
        f'[2,"1","GetDiagnostics",{{"location":"https:{slash}{slash}h{slash}ocpp{slash}files{slash}s3cr-et_X{slash}"}}]'
    )

    key = "k" * 43
    assert "s3cr" not in masking.mask(text)
    assert key not in secrets.without_keys(text.replace("s3cr-et_X", key))
    assert masking.mask(text).endswith(f'***{slash}"}}]')
