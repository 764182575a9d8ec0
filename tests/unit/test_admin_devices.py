"""The admin's pages of devices: plans are written there, alarms seen, firmware rolled out, files given back."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from cpo.models import (
    CertificateAuthority,
    ChargePoint,
    DeviceFile,
    DeviceJob,
    FirmwareImage,
    InstalledCertificate,
    Operation,
    ProvisioningPlan,
    ProvisioningRun,
    Rollout,
    StationCertificate,
    StationEvent,
)
from cpo.modules import device_files
from ocpi.models import AuditEntry
from tests.admin_world import operator_fixture as operator_fixture
from tests.admin_world import viewer_fixture as viewer_fixture
from tests.admin_world import world_fixture as world_fixture
from tests.certificates import ORGANISATION, Root

PLAN = {"name": "new", "country_code": "NL", "party_id": "TNM", "protocol": "1.6", "active": "on"}


@pytest.fixture
def point(world: dict[str, Any], settings: Settings, tmp_path: Path) -> ChargePoint:
    settings.OCPP_FILES_DIR = str(tmp_path / "files")
    settings.OCPI_PARTIES = ["NL*TNM:CPO"]
    DeviceJob.objects.all().delete()
    ChargePoint.objects.update(online=True, next_password_digest="")
    return ChargePoint.objects.get()


def url(name: str, *arguments: Any) -> str:
    return reverse(f"admin:cpo_{name}", args=arguments)


def page(client: Client, name: str, *arguments: Any) -> str:
    answer = client.get(url(name, *arguments))
    assert answer.status_code == 200
    return html.unescape(answer.content.decode())


def press(client: Client, name: str, *arguments: Any, **form: Any) -> Any:
    """Press a button and say yes."""
    return client.post(url(name, *arguments), {"confirmed": "yes", **form})


def audited() -> list[str]:
    return list(AuditEntry.objects.order_by("id").values_list("action", flat=True))


@pytest.mark.req("OCPP-34")
def test_a_plan_is_written_as_lines_and_a_broken_one_is_named(operator: Client, point: ChargePoint) -> None:
    broken = operator.post(url("provisioningplan_add"), {**PLAN, "lines": "AuthorizationKey = 1"})
    kept = operator.post(url("provisioningplan_add"), {**PLAN, "lines": "A = 1\r\n# why\r\nB = x = y"})
    plan = ProvisioningPlan.objects.get(name="new")
    shown = page(operator, "provisioningplan_change", plan.pk)
    operator.post(url("provisioningplan_change", plan.pk), {**PLAN, "lines": "C = 3"})

    assert "a password is not set by a plan" in html.unescape(broken.content.decode())
    assert kept.status_code == 302
    assert "A = 1\nB = x = y" in shown
    assert dict(plan.settings.values_list("key", "value")) == {"C": "3"}
    assert audited().count("provisioning_plan.keep") == 2


@pytest.mark.req("OCPP-34")
def test_wanted_and_actual_are_shown_where_they_differ(operator: Client, point: ChargePoint) -> None:
    listed = operator.get(url("provisioningresult_changelist") + "?differs=yes").content.decode()
    shown = page(operator, "chargepoint_change", point.pk)

    for text in ("HeartbeatInterval", "300", "Rejected"):
        assert text in listed
        assert text in shown


@pytest.mark.req("OCPP-34")
def test_a_charge_point_is_set_as_planned_when_asked_to(operator: Client, point: ChargePoint) -> None:
    ProvisioningPlan.objects.update(model="")

    press(operator, "chargepoint_provision", point.pk)

    assert ProvisioningRun.objects.get().state == "READING"
    assert Operation.objects.filter(action="GetConfiguration", state="QUEUED").count() == 1


@pytest.mark.req("OCPP-90")
def test_an_alarm_ends_when_somebody_has_seen_it(operator: Client, point: ChargePoint) -> None:
    row = StationEvent.objects.get(critical=True)
    before = page(operator, "stationevent_changelist")

    press(operator, "stationevent_seen_one", row.pk)

    row.refresh_from_db()
    assert "not yet" in before
    assert (row.seen_by, row.seen_at is not None) == ("operator", True)
    assert "stationevent.seen" in audited()


@pytest.mark.req("OCPP-85")
def test_a_firmware_is_added_rolled_out_and_its_progress_shown(operator: Client, point: ChargePoint) -> None:
    form = {"party": "NL*TNM", "name": "Nine", "version": "9.1"}
    neither = operator.post(url("firmwareimage_add_firmware"), form)
    operator.post(url("firmwareimage_add_firmware"), {**form, "file": SimpleUploadedFile("../nine.bin", b"image")})
    image = FirmwareImage.objects.get(name="Nine")
    assert image.file
    unknown = operator.post(
        url("firmwareimage_roll_out", image.pk),
        {"name": "R", "identities": "NOBODY", "at_once": "1", "stop_after": "1"},
    )
    operator.post(
        url("firmwareimage_roll_out", image.pk), {"name": "R", "identities": "", "at_once": "1", "stop_after": "1"}
    )
    rollout = Rollout.objects.get(name="R")
    press(operator, "rollout_start", rollout.pk)

    assert "Either a file or a URL" in html.unescape(neither.content.decode())
    assert "There is no charge point nobody" in html.unescape(unknown.content.decode())
    assert device_files.path_of(image.file).read_bytes() == b"image"
    rollout.refresh_from_db()
    assert (rollout.state, rollout.jobs.count()) == ("RUNNING", 1)
    shown = page(operator, "rollout_change", rollout.pk)
    assert "0 of 1 done, 1 waiting" in shown
    assert "o-progress" in page(operator, "rollout_changelist")
    press(operator, "rollout_stop", rollout.pk)
    assert "1 left out" in page(operator, "rollout_change", rollout.pk)


@pytest.mark.req("OCPP-85")
def test_a_log_is_fetched_and_a_firmware_installed_from_the_charge_points_page(
    operator: Client, point: ChargePoint
) -> None:
    image = FirmwareImage.objects.get()

    operator.post(url("chargepoint_fetch_log", point.pk), {"kind": "DIAGNOSTICS"})
    operator.post(url("chargepoint_update_firmware", point.pk), {"image": image.pk})
    again = operator.post(url("chargepoint_update_firmware", point.pk), {"image": image.pk})

    assert sorted(Operation.objects.filter(state="QUEUED").values_list("action", flat=True)) == [
        "ChangeConfiguration", "GetDiagnostics", "UpdateFirmware",
    ]  # fmt: skip
    assert "another update is under way" in html.unescape(again.content.decode())
    operation = Operation.objects.get(action="GetDiagnostics")
    secret = operation.payload.split("/ocpp/files/")[1][:43]
    assert secret not in page(operator, "operation_change", operation.pk)


@pytest.mark.req("OCPP-85")
def test_a_file_is_given_back_as_an_attachment_to_operators_only(
    operator: Client, viewer: Client, point: ChargePoint
) -> None:
    file = device_files.store([b"<script>"], name="evil.html", limit=100)

    refused = viewer.get(url("devicefile_download", file.pk))
    given = operator.get(url("devicefile_download", file.pk))

    assert refused.status_code == 403
    assert b"".join(given) == b"<script>"
    assert given.headers["Content-Disposition"] == f'attachment; filename="{file.pk}-evil.html"'
    assert given.headers["Content-Type"] == "application/octet-stream"
    assert "device_file.download" in audited()
    assert operator.get(url("devicefile_download", DeviceFile.objects.get(size=7).pk)).status_code == 404


@pytest.mark.req("OCPP-90")
def test_an_authority_is_made_and_its_key_is_not_shown(operator: Client, point: ChargePoint) -> None:
    StationCertificate.objects.all().delete()
    CertificateAuthority.objects.all().delete()
    form = {"party": "NL*TNM", "organisation": ORGANISATION, "days": "90"}
    other = Root()

    wrong = operator.post(
        url("certificateauthority_make"), {**form, "certificates": Root().certificate, "key": other.key}
    )
    operator.post(url("certificateauthority_make"), form)
    row = CertificateAuthority.objects.get()
    again = operator.post(url("certificateauthority_make"), form)

    assert "not the key of the first certificate" in html.unescape(wrong.content.decode())
    assert "BEGIN CERTIFICATE" in row.certificates
    assert "has an authority already" in html.unescape(again.content.decode())
    assert row.key not in page(operator, "certificateauthority_change", row.pk)


@pytest.mark.req("OCPP-06", "OCPP-90")
def test_an_authority_is_replaced_only_by_what_fits(operator: Client, viewer: Client, point: ChargePoint) -> None:
    StationCertificate.objects.all().delete()
    CertificateAuthority.objects.all().delete()
    root, other = Root(), Root()
    form = {"party": "NL*TNM", "organisation": ORGANISATION, "days": "90", "certificates": root.certificate}
    operator.post(url("certificateauthority_make"), {**form, "key": root.key})
    row = CertificateAuthority.objects.get()
    sealed = row.key
    target = url("certificateauthority_replace", row.pk)

    def replace(**sent: str) -> str:
        return html.unescape(operator.post(target, sent).content.decode())

    assert viewer.post(target, {"certificates": other.certificate, "key": other.key}).status_code == 403
    assert "not the key of the first certificate" in replace(certificates=other.certificate)
    assert "not signed by any" in replace(certificates=root.certificate, revocation_list=other.revoking("7f"))
    assert "not a revocation list" in replace(certificates=root.certificate, revocation_list="x")
    row.refresh_from_db()
    assert (row.certificates, row.revocation_list) == (root.certificate.strip(), "")

    listed = root.revoking("7f")
    assert replace(certificates=root.certificate, revocation_list=listed) == ""
    row.refresh_from_db()
    assert (row.revocation_list, row.key) == (listed.strip(), sealed)
    assert replace(certificates=other.certificate + root.certificate, key=other.key) == ""
    row.refresh_from_db()
    assert row.certificates == (other.certificate + root.certificate).strip()
    assert (row.revocation_list, row.key != sealed) == ("", True)
    assert "certificate_authority.replace" in audited()


@pytest.mark.req("OCPP-90", "OCPP-06")
def test_a_certificate_is_revoked_with_a_reason(operator: Client, point: ChargePoint) -> None:
    row = StationCertificate.objects.get()

    without = press(operator, "stationcertificate_revoke", row.pk)
    press(operator, "stationcertificate_revoke", row.pk, reason="stolen")

    row.refresh_from_db()
    assert without.status_code == 200
    assert row.revoked_because == "stolen"
    assert "revoked" in page(operator, "stationcertificate_changelist")


@pytest.mark.req("OCPP-90")
def test_root_certificates_are_read_installed_and_deleted(operator: Client, point: ChargePoint) -> None:
    root = {"kind": "CSMSRootCertificate", "certificate": Root().certificate}

    press(operator, "chargepoint_read_certificates", point.pk)
    bad = operator.post(url("chargepoint_install_root", point.pk), {**root, "certificate": "nonsense"})
    operator.post(url("chargepoint_install_root", point.pk), root)
    press(operator, "installedcertificate_remove", InstalledCertificate.objects.get().pk)

    actions = Operation.objects.filter(asked_by="certificates, operator").values_list("action", flat=True)
    assert sorted(actions) == [
        "DeleteCertificate", "GetInstalledCertificateIds", "GetInstalledCertificateIds", "InstallCertificate",
    ]  # fmt: skip
    assert "not PEM certificates" in html.unescape(bad.content.decode())


@pytest.mark.req("OCPP-05")
def test_a_password_is_rolled_and_never_shown(operator: Client, point: ChargePoint) -> None:
    press(operator, "chargepoint_roll_password", point.pk)

    operation = Operation.objects.get(asked_by="password")
    assert ChargePoint.objects.get().next_password_digest
    password = operation.payload.split('"value":"')[1][:40]
    assert password not in page(operator, "operation_change", operation.pk)
    press(operator, "chargepoint_keep_password", point.pk)
    assert not ChargePoint.objects.get().next_password_digest


@pytest.mark.req("SEC-53")
@pytest.mark.parametrize(
    "name",
    ["provision", "update_firmware", "fetch_log", "roll_password", "keep_password", "read_certificates",
     "install_root"],
)  # fmt: skip
def test_who_may_only_look_has_no_device_do_anything(name: str, viewer: Client, point: ChargePoint) -> None:
    before = Operation.objects.count()

    answer = press(viewer, f"chargepoint_{name}", point.pk)

    assert (answer.status_code, Operation.objects.count()) == (403, before)
