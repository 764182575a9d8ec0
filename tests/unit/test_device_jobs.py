"""Firmware updates, logs and diagnostics: joined to what charge points report; one-time URLs; rollouts."""

from __future__ import annotations

import json
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from pytest_django.fixtures import Settings

from cpo import device_job_states as states
from cpo.models import ChargePoint, DeviceFile, DeviceJob, FileLink, FirmwareImage, Rollout
from cpo.modules import device_files, device_jobs, rollouts
from ocpi.transitions import IllegalTransition
from tests.cpo_support import Point
from tests.devices_support import BOOT_16, BOOT_201, add_device, asked, end, waiting

pytestmark = [pytest.mark.usefixtures("cpo_side"), pytest.mark.django_db]
FIRMWARE = b"firmware" * 1000


@pytest.fixture(autouse=True)
def folder(settings: Settings, tmp_path: Path) -> Path:
    settings.OCPP_FILES_DIR = str(tmp_path / "files")
    settings.OCPP_FILES_URL = "https://cpo.example"
    settings.ROOT_URLCONF = "cpo.device_urls"  # the URLs of a CPO, whatever this process was at first
    return tmp_path / "files"


@pytest.fixture
def image(folder: Path) -> FirmwareImage:
    file = device_files.store([FIRMWARE], name="one.bin", limit=1 << 20)
    return FirmwareImage.objects.create(country_code="NL", party_id="TNM", name="One", version="2.0", file=file)


def says(point: Point, action: str, status: str, **more: Any) -> None:
    point.says(action, {"status": status, **more}, protocol=point.row.protocol, answer="{}")


def state(job: DeviceJob) -> tuple[str, str]:
    job.refresh_from_db()
    return job.state, job.status


# ------------------------------------------------------------ statuses


@pytest.mark.req("OCPP-85")
def test_an_update_of_16_is_joined_as_the_newest_open_one(image: FirmwareImage) -> None:
    point = add_device()
    log = device_jobs.fetch_log(point.row, kind="DIAGNOSTICS", by="tester")
    job = device_jobs.update_firmware(point.row, image, by="tester")

    [payload] = asked("UpdateFirmware")
    assert payload["location"].startswith("https://cpo.example/ocpp/files/")
    end(waiting("UpdateFirmware"), {})
    assert state(job) == ("RUNNING", "")
    for status in ("Downloading", "Downloaded", "Installing"):
        says(point, "FirmwareStatusNotification", status)
        assert state(job) == ("RUNNING", status)
    says(point, "FirmwareStatusNotification", "Idle")
    says(point, "FirmwareStatusNotification", "Installed")

    assert state(job) == ("DONE", "Installed")
    assert list(job.history.values_list("status", flat=True)) == [
        "Downloading", "Downloaded", "Installing", "Installed",
    ]  # fmt: skip
    assert state(log) == ("ASKED", "")


@pytest.mark.req("OCPP-85")
@pytest.mark.parametrize("protocol", ["1.6", "2.0.1"])
def test_a_status_with_a_request_id_is_that_requests(protocol: str, image: FirmwareImage) -> None:
    FirmwareImage.objects.update(signature="c2ln", signing_certificate="PEM")
    image.refresh_from_db()
    point = add_device(protocol=protocol)
    action = "SignedUpdateFirmware" if protocol == "1.6" else "UpdateFirmware"
    told = "SignedFirmwareStatusNotification" if protocol == "1.6" else "FirmwareStatusNotification"
    first = device_jobs.update_firmware(point.row, image, by="tester")
    end(waiting(action), {"status": "Accepted"})
    says(point, told, "InstallVerificationFailed", requestId=first.pk)
    second = device_jobs.update_firmware(point.row, image, by="tester")
    [payload] = asked(action)

    says(point, told, "Downloading", requestId=first.pk)
    says(point, told, "SignatureVerified", requestId=second.pk)
    says(point, told, "Downloading", requestId=2**31 - 1)

    assert (payload["requestId"], payload["firmware"]["signature"]) == (second.pk, "c2ln")
    assert state(first) == ("FAILED", "Downloading")
    assert first.error == "InstallVerificationFailed"
    assert state(second) == ("RUNNING", "SignatureVerified")


@pytest.mark.req("OCPP-85")
@pytest.mark.parametrize(
    ("protocol", "kind", "action", "told", "answer"),
    [
        ("1.6", "DIAGNOSTICS", "GetDiagnostics", "DiagnosticsStatusNotification", {"fileName": "d.zip"}),
        ("1.6", "LOG", "GetLog", "LogStatusNotification", {"status": "Accepted", "filename": "d.zip"}),
        ("1.6", "SECURITY_LOG", "GetLog", "LogStatusNotification", {"status": "Accepted", "filename": "d.zip"}),
        ("2.0.1", "DIAGNOSTICS", "GetLog", "LogStatusNotification", {"status": "Accepted", "filename": "d.zip"}),
        ("2.0.1", "SECURITY_LOG", "GetLog", "LogStatusNotification", {"status": "AcceptedCanceled",
                                                                      "filename": "d.zip"}),
    ],
)  # fmt: skip
def test_a_log_is_asked_for_and_comes(
    protocol: str, kind: str, action: str, told: str, answer: dict[str, str], client: Client
) -> None:
    point = add_device(protocol=protocol)
    job = device_jobs.fetch_log(point.row, kind=kind, by="tester")
    [payload] = asked(action)
    location = payload.get("location") or payload["log"]["remoteLocation"]
    end(waiting(action), answer)
    more = {} if action == "GetDiagnostics" else {"requestId": job.pk}
    says(point, told, "Uploading", **more)

    uploaded = client.put(urlsplit(location).path + "my.log", b"the log", content_type="text/html")
    says(point, told, "Uploaded", **more)

    assert uploaded.status_code == 201
    assert state(job) == ("DONE", "Uploaded")
    assert (job.filename, job.file.name if job.file else "") == ("d.zip", "my.log")


@pytest.mark.req("OCPP-85")
@pytest.mark.parametrize(
    ("ending", "error"),
    [
        ({"answer": {"status": "Rejected"}}, "answered Rejected"),
        ({"state": "CALLERROR", "error": "NotImplemented: no"}, "NotImplemented: no"),
        ({"state": "EXPIRED"}, "EXPIRED"),
    ],
)
def test_a_request_that_is_refused_is_a_failed_job(ending: dict[str, Any], error: str) -> None:
    job = device_jobs.fetch_log(add_device().row, kind="LOG", by="tester")

    end(waiting("GetLog"), **ending)

    assert state(job) == ("FAILED", "")
    assert (job.error, job.ended_at is not None) == (error, True)


@pytest.mark.req("OCPP-85")
@pytest.mark.parametrize(("protocol", "boot"), [("1.6", BOOT_16), ("2.0.1", BOOT_201)])
def test_who_boots_with_the_wanted_version_has_done_it(
    protocol: str, boot: dict[str, Any], image: FirmwareImage
) -> None:
    point = add_device(protocol=protocol)
    job = device_jobs.update_firmware(point.row, image, by="tester")
    end(waiting("UpdateFirmware"), {} if protocol == "1.6" else {"status": "Accepted"})
    says(point, "FirmwareStatusNotification", "Installing")
    boot = {**boot, "firmwareVersion": "2.0"} if protocol == "1.6" else boot

    point.says("BootNotification", boot, protocol=protocol, answer="{}")

    assert state(job)[0] == "DONE"


@pytest.mark.req("OCPP-85")
def test_a_job_of_which_nothing_is_heard_for_a_day_has_failed() -> None:
    job = device_jobs.fetch_log(add_device().row, kind="LOG", by="tester")
    end(waiting("GetLog"), {"status": "Accepted"})
    assert device_jobs.sweep() == 0

    DeviceJob.objects.update(changed_at=datetime.now(UTC) - timedelta(hours=25))

    assert device_jobs.sweep() == 1
    assert state(job)[0] == "FAILED"


# ------------------------------------------------------------ files


def place(job: DeviceJob) -> str:
    """Return the path of the URL that a job's request names."""
    assert job.operation
    found = json.loads(job.operation.payload)
    return str(urlsplit(found.get("location") or found["log"]["remoteLocation"]).path)


@pytest.mark.req("OCPP-85")
@pytest.mark.parametrize("method", ["put", "post"])
def test_an_upload_is_taken_once_and_lies_where_nobody_serves_it(method: str, client: Client, folder: Path) -> None:
    job = device_jobs.fetch_log(add_device().row, kind="LOG", by="tester")
    url = place(job)

    first = getattr(client, method)(url, b"#!/bin/sh\nevil", content_type="application/x-sh")
    second = client.put(url, b"again", content_type="text/plain")

    file = DeviceFile.objects.get()
    path = folder / file.stored_as
    assert (first.status_code, second.status_code) == (201, 404)
    assert path.read_bytes() == b"#!/bin/sh\nevil"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert "." not in file.stored_as
    assert client.get(url).status_code == 404


@pytest.mark.req("OCPP-85")
def test_a_form_is_unwrapped(client: Client) -> None:
    job = device_jobs.fetch_log(add_device().row, kind="LOG", by="tester")

    answer = client.post(place(job), {"x": "y", "file": SimpleUploadedFile("a.log", b"in a form")})

    assert answer.status_code == 201
    assert device_files.path_of(DeviceFile.objects.get()).read_bytes() == b"in a form"


@pytest.mark.req("OCPP-85")
@pytest.mark.parametrize("form", [False, True])
def test_what_is_too_large_leaves_nothing_behind_and_may_be_tried_again(
    form: bool, client: Client, folder: Path, settings: Settings
) -> None:
    settings.OCPP_UPLOAD_BYTES = 10
    job = device_jobs.fetch_log(add_device().row, kind="LOG", by="tester")
    large = b"x" * 11

    if form:
        refused = client.post(place(job), {"file": SimpleUploadedFile("a.log", large)})
    else:
        refused = client.put(place(job), large, content_type="")
    empty = client.put(place(job), b"", content_type="")
    before = (DeviceFile.objects.count(), os.listdir(folder) if folder.exists() else [])
    taken = client.put(place(job), large[:10], content_type="")

    assert (refused.status_code, empty.status_code, taken.status_code) == (413, 400, 201)
    assert before == (0, [])


@pytest.mark.req("OCPP-85")
def test_a_stream_without_a_length_is_cut_at_the_limit(folder: Path) -> None:
    seen = []

    def endless() -> Any:
        while True:
            seen.append(1)
            yield b"x" * 1000

    with pytest.raises(device_files.TooLarge):
        device_files.store(endless(), name="", limit=5000)

    assert (len(seen), os.listdir(folder)) == (6, [])


@pytest.mark.req("OCPP-85")
def test_names_of_senders_never_lead_anywhere(folder: Path) -> None:
    file = device_files.store([b"x"], name="../../etc/cron.d/..\\evil\x00.sh", limit=10)

    assert device_files.path_of(file).parent == folder
    assert file.name == "evil.sh"


@pytest.mark.req("OCPP-85")
def test_a_firmware_is_fetched_whole_or_in_parts_as_an_attachment(client: Client, image: FirmwareImage) -> None:
    job = device_jobs.update_firmware(add_device().row, image, by="tester")
    url = place(job)

    whole = client.get(url)
    part = client.get(url, headers={"Range": "bytes=5-11"})
    rest = client.get(url, headers={"Range": f"bytes={len(FIRMWARE) - 3}-"})
    beyond = client.get(url, headers={"Range": f"bytes={len(FIRMWARE)}-"})
    head = client.head(url)

    assert b"".join(whole) == FIRMWARE
    assert whole.headers["Content-Disposition"].startswith("attachment")
    assert (whole.headers["Content-Type"], whole.headers["X-Content-Type-Options"]) == (
        "application/octet-stream", "nosniff",
    )  # fmt: skip
    assert (part.status_code, b"".join(part)) == (206, FIRMWARE[5:12])
    assert b"".join(rest) == FIRMWARE[-3:]
    assert (beyond.status_code, head.status_code) == (416, 200)
    assert client.put(url, b"x").status_code == 404


@pytest.mark.req("OCPP-85")
@pytest.mark.parametrize("change", [{"uses_left": 0}, {"expires_at": datetime(2020, 1, 1, tzinfo=UTC)}])
def test_a_link_that_is_used_up_or_over_is_as_good_as_none(
    change: dict[str, Any], client: Client, image: FirmwareImage
) -> None:
    url = place(device_jobs.update_firmware(add_device().row, image, by="tester"))
    FileLink.objects.update(**change)

    assert client.get(url).status_code == 404
    assert client.get("/ocpp/files/" + "x" * 43 + "/").status_code == 404
    assert url.split("/")[3] not in FileLink.objects.get().digest


@pytest.mark.req("OCPP-85")
def test_when_a_job_is_over_its_firmware_cannot_be_fetched_any_more(client: Client, image: FirmwareImage) -> None:
    point = add_device()
    job = device_jobs.update_firmware(point.row, image, by="tester")
    url = place(job)
    assert client.get(url).status_code == 200

    says(point, "FirmwareStatusNotification", "Installed")

    assert client.get(url).status_code == 404


def test_old_logs_are_forgotten_and_firmware_is_not(folder: Path, image: FirmwareImage) -> None:
    device_files.store([b"log"], name="", limit=10)
    DeviceFile.objects.update(created_at=datetime.now(UTC) - timedelta(days=91))

    assert device_files.forget_old() == 1
    assert os.listdir(folder) == [image.file.stored_as if image.file else ""]


# ------------------------------------------------------------ rollouts


def fleet(number: int) -> list[Point]:
    return [add_device(f"CP-{each}") for each in range(number)]


def finish(point: Point, status: str) -> None:
    operation = DeviceJob.objects.get(charge_point=point.row, state="ASKED").operation
    assert operation
    end(operation, {})
    says(point, "FirmwareStatusNotification", status)


def under_way() -> set[str]:
    return set(DeviceJob.objects.filter(state__in=states.OPEN).values_list("charge_point__identity", flat=True))


@pytest.mark.req("OCPP-85")
def test_a_rollout_takes_some_at_a_time_until_all_are_done(image: FirmwareImage) -> None:
    points = fleet(4)
    ChargePoint.objects.filter(pk=points[3].row.pk).update(online=False)
    rollout = rollouts.prepare("R", image, [p.row for p in points], at_once=2, stop_after=0, by="tester")
    assert (rollouts.sweep(), under_way()) == (0, set())

    rollouts.move(rollout.pk, "start", by="tester")
    rollouts.sweep()
    assert under_way() == {"CP-0", "CP-1"}
    finish(points[0], "Installed")
    finish(points[1], "InstallationFailed")
    rollouts.sweep()
    rollouts.sweep()
    assert under_way() == {"CP-2"}
    ChargePoint.objects.update(online=True)
    finish(points[2], "Installed")
    rollouts.sweep()
    finish(points[3], "Installed")
    rollouts.sweep()

    rollout.refresh_from_db()
    assert (rollout.state, rollout.ended_at is not None) == ("DONE", True)
    assert rollouts.progress(rollout) == rollouts.Progress(total=4, done=3, failed=1)


@pytest.mark.req("OCPP-85")
def test_a_rollout_stops_after_so_many_failures_and_leaves_the_rest_alone(image: FirmwareImage) -> None:
    points = fleet(5)
    rollout = rollouts.prepare("R", image, [p.row for p in points], at_once=2, stop_after=2, by="tester")
    rollouts.move(rollout.pk, "start", by="tester")
    rollouts.sweep()

    finish(points[0], "DownloadFailed")
    rollouts.sweep()
    finish(points[1], "InstallationFailed")
    rollouts.sweep()

    rollout.refresh_from_db()
    assert (rollout.state, rollout.reason) == ("STOPPED", "2 failures")
    assert under_way() == {"CP-2"}
    assert rollouts.progress(rollout) == rollouts.Progress(total=5, open=1, failed=2, cancelled=2)


@pytest.mark.req("OCPP-85")
def test_a_paused_rollout_begins_nothing_and_goes_on_when_told(image: FirmwareImage) -> None:
    points = fleet(2)
    rollout = rollouts.prepare("R", image, [p.row for p in points], at_once=1, stop_after=1, by="tester")
    rollouts.move(rollout.pk, "start", by="tester")
    rollouts.sweep()
    rollouts.move(rollout.pk, "pause", by="tester")
    finish(points[0], "Installed")
    rollouts.sweep()
    assert under_way() == set()

    rollouts.move(rollout.pk, "start", by="tester")
    rollouts.sweep()

    assert under_way() == {"CP-1"}
    rollouts.move(rollout.pk, "stop", by="tester")
    with pytest.raises(IllegalTransition):
        rollouts.move(rollout.pk, "start", by="tester")


@pytest.mark.req("OCPP-85")
def test_a_firmware_goes_only_to_whom_it_is_for(image: FirmwareImage) -> None:
    FirmwareImage.objects.update(vendor="acme", model="Two")
    image.refresh_from_db()
    point = add_device()
    point.says("BootNotification", BOOT_16, answer="{}")
    foreign = add_device("CP-9", party_id="OTH")
    rollout = rollouts.prepare("R", image, [point.row], at_once=1, stop_after=0, by="tester")
    rollouts.move(rollout.pk, "start", by="tester")

    rollouts.sweep()

    job = DeviceJob.objects.get()
    assert (job.state, job.error) == ("FAILED", "One 2.0 is for the model Two, not One")
    with pytest.raises(device_jobs.NotPossible, match="another party"):
        device_jobs.update_firmware(foreign.row, image, by="tester")
    with pytest.raises(device_jobs.NotPossible, match="another party"):
        rollouts.prepare("R", image, [foreign.row], at_once=1, stop_after=0, by="tester")
    assert Rollout.objects.count() == 1
