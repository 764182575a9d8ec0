"""Charging profiles of partners: answered at once, carried out at the charge point, ended with one result (OCPP-92).

`accept` answers and queues the operation in one transaction, `settle` reads how the operation ended and has the result
sent, `sweep` finds what nobody was woken for and gives up in time (CHP-20).
"""

from __future__ import annotations

import hashlib
import uuid
import zlib
from datetime import timedelta
from uuid import UUID

import msgspec
from django.db import connection, transaction

from cpo import active_profiles, charging_schedules, policy
from cpo import chargingprofile_states as states
from cpo.active_profiles import TX
from cpo.charging_schedules import NotPossible
from cpo.gateway import operations as gateway
from cpo.gateway.operation_states import ENDED
from cpo.models import ChargePointProfile, ChargingProfileRequest, Operation, Session, SmartCharging, Transaction
from cpo.modules import chargingprofiles_active as active
from cpo.modules import chargingprofiles_installed as installed
from cpo.modules import chargingprofiles_plans as plans
from cpo.modules import features, pausing, smart_charging
from cpo.modules.chargingprofiles_active import MODULE
from cpo.modules.chargingprofiles_installed import Origin, Wanted
from cpo.modules.chargingprofiles_plans import Asked, Method, Plan
from cpo.ocpp import calls
from ocpi import clock, documents, keeping, outbox, response_urls
from ocpi.headers import Address
from ocpi.v2_2_1.chargingprofiles import ChargingProfileResponseType as Response
from ocpi.v2_2_1.chargingprofiles import ChargingProfileResultType as Result

_LOCK_KEYS = 0x4F50 << 40
_MARGIN = 0.75  # of the announced timeout: by then the result is on its way


def accept(asked: Asked) -> str:
    """Keep a request and return the text of its ChargingProfileResponse, without waiting for the charge point.

    :raises InvalidParameters: if the `response_url` cannot be used.
    """
    response_urls.check(asked.response_url, asked.platform)
    digest = hashlib.sha256(b"%d " % asked.duration + asked.body).hexdigest()
    with transaction.atomic():
        _one_at_a_time(asked.session_id)
        session = keeping.find(Session, owner=asked.receiver, object_id=asked.session_id)
        earlier = _earlier(asked, digest)
        if earlier is not None:
            return earlier
        plan = plans.decide(asked, session)
        row = _row(asked, digest, session)
        if plan.response is Response.ACCEPTED:
            plan = _begin(asked, row, plan)
        return _keep(row, plan)


def settle(operation_id: UUID) -> None:
    """Send the result of the request whose operation has ended, and note what is installed now."""
    with transaction.atomic():
        smart_charging.settle(operation_id)
        profile = installed.settle(operation_id)
        if profile is not None:
            pausing.give_back(profile)
            features.note_ending(Operation.objects.select_related("charge_point").get(pk=operation_id))
        row = _open(operation_id=operation_id)
        if row is not None and row.operation is not None and row.operation.state in ENDED:
            _end(row)


def sweep() -> int:
    """Settle what has ended without a note, and give up what takes too long; return how many."""
    ended = sorted(ENDED)
    profiles = ChargePointProfile.objects.filter(state__in=states.UNDER_WAY, operation__state__in=ended)
    requests = ChargingProfileRequest.objects.filter(state=states.IN_PROGRESS)
    abilities = SmartCharging.objects.filter(operation__state__in=ended)
    ids = set(profiles.values_list("operation_id", flat=True)[:200])
    ids |= set(abilities.values_list("operation_id", flat=True)[:200])
    ids |= set(requests.filter(operation__state__in=ended).values_list("operation_id", flat=True)[:200])
    for operation_id in ids - {None}:
        settle(operation_id)
    late = list(requests.filter(give_up_at__lte=clock.now()).values_list("pk", flat=True)[:200])
    for pk in late:
        _give_up(pk)
    return len(ids) + len(late)


# ---------------------------------------------------------------- the steps


def _one_at_a_time(session_id: str) -> None:
    """Have requests for one session wait for each other: nothing is sent twice, nothing too often."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK_KEYS + zlib.crc32(session_id.upper().encode())])


def _earlier(asked: Asked, digest: str) -> str | None:
    """Return the answer to the same request, if it is still under way: it is not carried out twice (REL-47)."""
    return (
        ChargingProfileRequest.objects.filter(
            platform_id=asked.platform.id,
            method=asked.method,
            asked_session=asked.session_id,
            response_url=asked.response_url,
            digest=digest,
            state=states.IN_PROGRESS,
        )
        .values_list("response", flat=True)
        .first()
    )


def _row(asked: Asked, digest: str, session: Session | None) -> ChargingProfileRequest:
    now = clock.now()
    timeout = policy.command_seconds()
    return ChargingProfileRequest(
        platform_id=asked.platform.id,
        method=asked.method,
        response_url=asked.response_url,
        digest=digest,
        state=states.REFUSED,
        country_code=asked.sender.country_code,
        party_id=asked.sender.party_id,
        cpo_country_code=asked.receiver.country_code,
        cpo_party_id=asked.receiver.party_id,
        asked_session=asked.session_id[:255],
        session=session,
        request=asked.body.decode() or (f'{{"duration":{asked.duration}}}' if asked.duration else ""),
        correlation_id=asked.correlation_id,
        created_at=now,
        deadline_at=now + timedelta(seconds=timeout),
        give_up_at=now + timedelta(seconds=timeout * _MARGIN),
    )


def _keep(row: ChargingProfileRequest, plan: Plan) -> str:
    accepted = plan.response is Response.ACCEPTED
    row.state = states.IN_PROGRESS if accepted else states.REFUSED
    row.response = plans.response_text(plan.response, int(policy.command_seconds()) if accepted else 0)
    row.save(force_insert=True)
    if accepted and row.operation is None:
        _send(row, Result.UNKNOWN)  # there is nothing that the charge point could remove
    return row.response


def _begin(asked: Asked, row: ChargingProfileRequest, plan: Plan) -> Plan:
    """Have the charge point asked; what cannot be asked of it is REJECTED at once."""
    if plan.transaction is None:
        raise ValueError(f"{plan.response} without a transaction")
    try:
        _ask(asked, row, plan.transaction)
    except (NotPossible, calls.NotAsked):
        return Plan(Response.REJECTED)
    return plan


def _ask(asked: Asked, row: ChargingProfileRequest, on: Transaction) -> None:
    timeout = min(installed.OPERATION_SECONDS, policy.command_seconds() * _MARGIN)
    by = f"{asked.sender} {asked.correlation_id}"[:128]
    match asked.method:
        case Method.PUT if asked.profile is not None:
            wanted = Wanted(
                charge_point=on.charge_point,
                connector=on.connector_id,
                purpose=TX,
                origin=Origin.PARTNER,
                level=policy.profile_stack_level(),
                schedule=charging_schedules.read(asked.profile),
                asked_by=by,
                transaction=on,
            )
            row.profile = installed.put(wanted, timeout=timeout)
            row.operation = row.profile.operation
        case Method.DELETE:
            row.profile = installed.of_partner(on)
            if row.profile is not None:
                row.operation = installed.clear(row.profile, asked_by=by, timeout=timeout).operation
        case _:
            row.operation = calls.composite_schedule(
                on.charge_point,
                connector=on.connector_id,
                seconds=asked.duration,
                asked_by=by,
                key=f"profile request {uuid.uuid4()}",
                timeout=timeout,
            )


def _open(**named: object) -> ChargingProfileRequest | None:
    rows = ChargingProfileRequest.objects.select_for_update(of=("self",)).select_related("operation", "session")
    return rows.filter(state=states.IN_PROGRESS, **named).first()


def _give_up(pk: int) -> None:
    """End a request whose charge point has not answered in time: REJECTED, there is no TIMEOUT (CHP-20)."""
    with transaction.atomic():
        # The profile first, as `settle` locks them.
        named = ChargingProfileRequest.objects.filter(pk=pk).values("profile_id")
        profile = ChargePointProfile.objects.select_for_update(of=("self",)).filter(pk__in=named).first()
        row = _open(pk=pk)
        if row is None:
            return
        if row.operation is not None and not gateway.cancel(row.operation.pk):
            row.operation.refresh_from_db()
        if row.operation is not None and row.operation.state in ENDED:
            installed.settle(row.operation.pk)
        elif profile is not None and row.method == Method.PUT:
            installed.give_up(profile)
        _end(row)


def _end(row: ChargingProfileRequest) -> None:
    """End a request by how its operation ended."""
    operation = row.operation
    if operation is None:
        _send(row, Result.REJECTED)
        return
    ending = calls.ending(operation)
    profile = _active(row) if row.method == Method.GET and ending.status == "Accepted" else None
    result = states.result_of(row.method, ending.state, ending.status, profile=profile is not None)
    _send(row, result, profile)
    if row.method == Method.PUT and result is Result.ACCEPTED and row.profile_id is not None:
        active.succeeded(row, installed.with_transaction(row.profile_id))


def _active(row: ChargingProfileRequest) -> str | None:
    """Return the ActiveChargingProfile that the charge point calculated."""
    on = Transaction.objects.select_related("charge_point").filter(session=row.session).first()
    if on is None or row.operation is None:
        return None
    electrics = active.electrics_at(on.charge_point, on.connector_id, on)
    at = row.operation.ended_at or clock.now()
    return active_profiles.from_composite(calls.answer(row.operation), electrics, at)


def _send(row: ChargingProfileRequest, result: Result, profile: str | None = None) -> None:
    """Have the one result sent to the request's own URL, in the caller's transaction (CHP-04, CHP-16, CHP-19)."""
    row.state, row.result, row.result_at = states.DONE, result.value, clock.now()
    row.save(update_fields=["state", "result", "result_at"])
    members: dict[str, object] = {"result": result.value}
    if result is Result.ACCEPTED and profile is not None:
        members["profile"] = msgspec.Raw(profile.encode())
    outbox.send_result(
        outbox.Recipient(
            row.platform_id,
            to=Address(row.country_code, row.party_id),
            sender=Address(row.cpo_country_code, row.cpo_party_id),
        ),
        url=row.response_url,
        body=documents.encode(members),
        module=MODULE,
        deadline_at=row.deadline_at,
        correlation_id=row.correlation_id,
    )
