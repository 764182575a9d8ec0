"""Firmware updates, logs and diagnostics of single charge points (OCPP-85).

A job's row id is the requestId that the charge point gets. What it reports is joined by that, and where a message has
none (UpdateFirmware and GetDiagnostics of OCPP 1.6) to the newest open job of its kind. Files travel through one-time
URLs of ours (`device_files`). A charge point that boots with the version that was wanted has done it, whatever it said.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction

from cpo import device_job_states as states
from cpo.gateway.operation_states import ENDED
from cpo.models import ChargePoint, DeviceJob, DeviceJobStatus, FirmwareImage, InboxMessage
from cpo.modules import device_files
from cpo.ocpp import device_calls
from cpo.ocpp.calls import NotAsked
from cpo.ocpp.device_words import Firmware, LogWanted
from ocpi import audit, clock

log = logging.getLogger(__name__)

PATIENCE = timedelta(hours=24)  # of silence about a job
_LATE = timedelta(hours=1)
_DELIVERED_FOR = timedelta(days=7)
_AT_ONCE = 100
_FIRMWARE = (DeviceJob.Kind.FIRMWARE,)
_LOGS = (DeviceJob.Kind.LOG, DeviceJob.Kind.SECURITY_LOG)
# Which jobs a status notification can be about.
_ABOUT: dict[str, tuple[str, ...]] = {
    "FirmwareStatusNotification": _FIRMWARE,
    "SignedFirmwareStatusNotification": _FIRMWARE,
    "DiagnosticsStatusNotification": (DeviceJob.Kind.DIAGNOSTICS,),
    "LogStatusNotification": (*_LOGS, DeviceJob.Kind.DIAGNOSTICS),
}


class NotPossible(Exception):
    """A job that cannot be, and why."""


@transaction.atomic
def update_firmware(charge_point: ChargePoint, image: FirmwareImage, *, by: str) -> DeviceJob:
    """Have a firmware installed.

    :raises NotPossible: if it is not for this charge point, or one is being installed.
    """
    reason = misfit(charge_point, image)
    if reason:
        raise NotPossible(reason)
    job = DeviceJob.objects.create(
        charge_point=charge_point, kind=DeviceJob.Kind.FIRMWARE, image=image, state=states.WAITING, asked_by=by[:150]
    )
    begin(job)
    audit.record("firmware.update", actor=by, about=charge_point.identity, details={"firmware": str(image)})
    return job


@transaction.atomic
def fetch_log(charge_point: ChargePoint, *, kind: str, by: str) -> DeviceJob:
    """Have diagnostics or a log uploaded to us."""
    job = DeviceJob.objects.create(charge_point=charge_point, kind=kind, state=states.WAITING, asked_by=by[:150])
    begin(job)
    audit.record("log.fetch", actor=by, about=charge_point.identity, details={"kind": kind})
    return job


def misfit(charge_point: ChargePoint, image: FirmwareImage) -> str:
    """Return why a firmware is not for a charge point; nothing if it is."""
    owner = (charge_point.country_code.upper(), charge_point.party_id.upper())
    if owner != (image.country_code.upper(), image.party_id.upper()):
        return f"{image} belongs to another party"
    boot = charge_point.boots.order_by("-last_at", "-id").first()
    for name in ("vendor", "model"):
        wanted, has = getattr(image, name), getattr(boot, name) if boot is not None else ""
        if wanted and wanted.casefold() != has.casefold():
            return f"{image} is for the {name} {wanted}, not {has or 'an unknown one'}"
    if DeviceJob.objects.filter(charge_point=charge_point, kind__in=_FIRMWARE, state__in=states.OPEN).exists():
        return "another update is under way"
    return ""


def begin(job: DeviceJob) -> None:
    """Ask the charge point, in the caller's transaction; a job that cannot even be asked for has failed."""
    point, words = job.charge_point, device_calls.words(job.charge_point.protocol)
    if job.kind == DeviceJob.Kind.FIRMWARE:
        assert job.image is not None  # noqa: S101 - a constraint of the table
        location = job.image.url or device_files.download_url(job)
        message = words.update_firmware(
            Firmware(
                request_id=job.pk, location=location, at=clock.now(), signature=job.image.signature,
                signing_certificate=job.image.signing_certificate,
            )
        )  # fmt: skip
    else:
        message = words.get_log(LogWanted(request_id=job.pk, kind=job.kind, location=device_files.upload_url(job)))
    job.state, job.started_at = states.next_state(job.state, "ask"), clock.now()
    try:
        job.operation = device_calls.ask(
            point, message, asked_by=f"job {job.pk}", key=f"job {job.pk}", until=clock.now() + _DELIVERED_FOR
        )
    except NotAsked as error:
        job.error, job.ended_at = str(error)[:255], clock.now()
        job.state = states.next_state(job.state, "fail")
    job.changed_at = clock.now()
    job.save()


def settle(operation_id: UUID) -> None:
    """Read how a request ended; other operations are not ours."""
    with transaction.atomic():
        rows = DeviceJob.objects.select_for_update(of=("self",)).select_related("operation", "charge_point")
        job = rows.filter(operation_id=operation_id, state=states.ASKED).first()
        if job is None or job.operation is None or job.operation.state not in ENDED:
            return
        answer = device_calls.answer(job.operation)
        status = str(answer.get("status") or "")
        job.filename = device_calls.words(job.charge_point.protocol).filename(answer)
        event = states.event_of_answer(job.operation.state, status)
        why = f"answered {status}" if status else (job.operation.error or job.operation.state)
        _move(job, event, why if event == "fail" else "")


def note_status(message: InboxMessage, payload: Mapping[str, Any]) -> None:
    """Join a status notification to its job, in the transaction that settles the message."""
    status, request_id = str(payload.get("status") or "")[:40], payload.get("requestId")
    rows = DeviceJob.objects.select_for_update(of=("self",)).filter(
        charge_point_id=message.charge_point_id, kind__in=_ABOUT[message.action]
    )
    if isinstance(request_id, int) and not isinstance(request_id, bool) and 0 < request_id < 2**31:
        job = rows.filter(pk=request_id).first()
    else:
        # The file may have come before the last word about it: then the job is over already.
        late = rows.filter(ended_at__gt=clock.now() - _LATE).order_by("-pk")
        job = rows.filter(state__in=states.OPEN).order_by("-pk").first() or late.first()
    if job is None:
        log.info("%s of charge point %s belongs to no job of ours", message.action, message.charge_point_id)
        return
    event = states.event_of(status)
    if event is None:
        return
    DeviceJobStatus.objects.create(job=job, status=status, at=message.received_at)
    job.status = status
    if job.state in states.OPEN:
        _move(job, event, status if event == "fail" else "")
    else:
        job.save(update_fields=["status"])


def note_firmware(charge_point_id: int, version: str, at: datetime) -> None:
    """End the update that brings the version a charge point boots with, in the caller's transaction."""
    if not version:
        return
    rows = DeviceJob.objects.select_for_update(of=("self",)).filter(
        charge_point_id=charge_point_id, kind__in=_FIRMWARE, state__in=states.OPEN, image__version=version
    )
    for job in rows:
        # The request may still be unsent: then it had the version before, and is asked all the same.
        if job.status or job.state == states.RUNNING:
            DeviceJobStatus.objects.create(job=job, status=f"booted with {version}"[:40], at=at)
            _move(job, "done", "")


def note_file(job_id: int, file_id: int) -> None:
    """Note the file that came for a job; with it the job is done, in the caller's transaction."""
    job = DeviceJob.objects.select_for_update(of=("self",)).get(pk=job_id)
    job.file_id = file_id
    if job.state in states.OPEN:
        _move(job, "done", "")
    else:
        job.save(update_fields=["file"])


@transaction.atomic
def cancel(job_id: int, *, by: str) -> bool:
    """Stop waiting for a job; the charge point may go on with it. Return whether it was open."""
    job = DeviceJob.objects.select_for_update(of=("self",)).filter(pk=job_id, ended_at=None).first()
    if job is None:
        return False
    _move(job, "cancel", f"by {by}"[:255])
    audit.record("device_job.cancel", actor=by, about=f"{job.charge_point} {job}")
    return True


def sweep() -> int:
    """See to requests whose end nobody heard of, and give up jobs that are silent for a day; return how many."""
    ended = DeviceJob.objects.filter(state=states.ASKED, operation__state__in=ENDED)
    operations = [each for each in ended.values_list("operation_id", flat=True)[:_AT_ONCE] if each is not None]
    for operation_id in operations:
        settle(operation_id)
    silent = DeviceJob.objects.filter(state=states.RUNNING, changed_at__lt=clock.now() - PATIENCE)
    given_up = 0
    for job_id in silent.values_list("pk", flat=True)[:_AT_ONCE]:
        with transaction.atomic():
            job = DeviceJob.objects.select_for_update(of=("self",)).get(pk=job_id)
            if job.state == states.RUNNING:
                _move(job, "fail", "nothing was heard of it for a day")
                given_up += 1
    return len(operations) + given_up


def _move(job: DeviceJob, event: str, why: str) -> None:
    job.state, job.changed_at = states.next_state(job.state, event), clock.now()
    if job.state in (states.DONE, states.FAILED, states.CANCELLED):
        job.ended_at, job.error = clock.now(), why[:255]
        device_files.close(job)
    job.save()
