"""Rollouts: one firmware for many charge points, some at a time, until it is done or too many fail (OCPP-85)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Count, OuterRef, Subquery
from django.db.models.functions import Lower

from cpo import device_job_states as states
from cpo.models import BootRecord, ChargePoint, DeviceJob, FirmwareImage, Rollout
from cpo.modules import device_jobs
from ocpi import audit, clock


@dataclass(frozen=True, slots=True)
class Progress:
    """How many charge points of a rollout are where."""

    total: int = 0
    waiting: int = 0
    open: int = 0
    done: int = 0
    failed: int = 0
    cancelled: int = 0


def candidates(image: FirmwareImage, identities: list[str]) -> list[ChargePoint]:
    """Return the charge points with these identities, or without any all of the party that the firmware is for."""
    points = ChargePoint.objects.filter(country_code__iexact=image.country_code, party_id__iexact=image.party_id)
    if identities:
        wanted = {name.casefold() for name in identities}
        return list(points.annotate(lower=Lower("identity")).filter(lower__in=wanted).order_by("pk"))
    boots = BootRecord.objects.filter(charge_point=OuterRef("pk")).order_by("-last_at", "-id")
    points = points.annotate(vendor=Subquery(boots.values("vendor")[:1]), model=Subquery(boots.values("model")[:1]))
    if image.vendor:
        points = points.filter(vendor__iexact=image.vendor)
    if image.model:
        points = points.filter(model__iexact=image.model)
    return list(points.order_by("pk"))


@transaction.atomic
def prepare(
    name: str, image: FirmwareImage, points: Iterable[ChargePoint], *, at_once: int, stop_after: int, by: str
) -> Rollout:
    """Make a rollout for charge points; it begins when it is started.

    :raises NotPossible: if there are none, or the firmware belongs to another party than one of them.
    """
    chosen = list({point.pk: point for point in points}.values())
    owner = (image.country_code.upper(), image.party_id.upper())
    foreign = [point for point in chosen if (point.country_code.upper(), point.party_id.upper()) != owner]
    if not chosen:
        raise device_jobs.NotPossible("there is no charge point to update")
    if foreign:
        raise device_jobs.NotPossible(f"{foreign[0]} belongs to another party than the firmware")
    if at_once < 1 or stop_after < 0:
        raise device_jobs.NotPossible("at least one charge point at once, and no negative number of failures")
    rollout = Rollout.objects.create(
        name=name[:100], image=image, state=states.READY, at_once=at_once, stop_after=stop_after, created_by=by[:150]
    )
    DeviceJob.objects.bulk_create(
        DeviceJob(
            charge_point=point, kind=DeviceJob.Kind.FIRMWARE, image=image, rollout=rollout, state=states.WAITING,
            asked_by=f"rollout {rollout.pk}",
        )
        for point in chosen
    )  # fmt: skip
    audit.record("rollout.prepare", actor=by, about=name, details={"firmware": str(image), "points": len(chosen)})
    return rollout


@transaction.atomic
def move(rollout_id: int, event: str, *, by: str) -> Rollout:
    """Start, pause or stop a rollout; what is under way at charge points goes on.

    :raises IllegalTransition: if it is not in a state for that.
    """
    rollout = Rollout.objects.select_for_update(of=("self",)).get(pk=rollout_id)
    _move(rollout, event, reason=f"by {by}" if event == "stop" else "")
    audit.record(f"rollout.{event}", actor=by, about=rollout.name)
    return rollout


def _move(rollout: Rollout, event: str, *, reason: str) -> None:
    rollout.state = states.next_rollout(rollout.state, event)
    if rollout.state in (states.STOPPED, states.OVER):
        rollout.ended_at, rollout.reason = clock.now(), reason[:255]
        waiting = rollout.jobs.filter(state=states.WAITING)
        waiting.update(
            state=states.next_state(states.WAITING, "cancel"), ended_at=clock.now(), error="the rollout has ended"
        )
    rollout.save()


def progress(rollout: Rollout) -> Progress:
    """Return how far it is."""
    counts = dict(rollout.jobs.values_list("state").annotate(Count("id")))
    return Progress(
        total=sum(counts.values()),
        waiting=counts.get(states.WAITING, 0),
        open=sum(counts.get(state, 0) for state in states.OPEN),
        done=counts.get(states.DONE, 0),
        failed=counts.get(states.FAILED, 0),
        cancelled=counts.get(states.CANCELLED, 0),
    )


def sweep() -> int:
    """Take each running rollout a step on; return how many updates began."""
    return sum(step(each) for each in Rollout.objects.filter(state=states.ROLLING).values_list("pk", flat=True))


def step(rollout_id: int) -> int:
    """Begin as many updates as may be under way; stop after too many failures, end when none is left."""
    with transaction.atomic():
        rollout = Rollout.objects.select_for_update(of=("self",), skip_locked=True).filter(pk=rollout_id).first()
        if rollout is None or rollout.state != states.ROLLING:
            return 0
        now = progress(rollout)
        if rollout.stop_after and now.failed >= rollout.stop_after:
            _move(rollout, "stop", reason=f"{now.failed} failures")
            return 0
        if not now.waiting and not now.open:
            _move(rollout, "over", reason="")
            return 0
        return _begin(rollout, rollout.at_once - now.open)


def _begin(rollout: Rollout, room: int) -> int:
    begun = 0
    # Who is away keeps waiting: it must not take a place that another could use.
    waiting = rollout.jobs.filter(state=states.WAITING, charge_point__online=True)
    for job in waiting.select_related("charge_point", "image").order_by("pk")[: max(0, room)]:
        reason = device_jobs.misfit(job.charge_point, rollout.image)
        if reason:
            job.state, job.error = states.next_state(job.state, "fail"), reason[:255]
            job.ended_at = job.changed_at = clock.now()
            job.save()
            continue
        device_jobs.begin(job)
        begun += 1
    return begun
