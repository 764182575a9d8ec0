"""Who has to know that an operation at a charge point has ended: asked of the database once, not by each of them.

Thousands of operations end together when all charge points boot, or stay silent, at the same time. Most of those who
settle operations keep a row that names the one they wait for; one statement finds whose rows those are. The others go
by the action that was asked. Each still looks for itself, under its own locks, whether there is something to do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from uuid import UUID

from django.db import connection
from django.db.models import Model

from cpo.models import (
    ChargePointProfile,
    ChargingProfileRequest,
    Command,
    DeviceJob,
    LocalList,
    ProvisioningRun,
    SmartCharging,
    StationCertificate,
)
from cpo.modules import (
    abilities,
    availability,
    certificates,
    certificates_installed,
    chargingprofiles_reported,
    device_jobs,
    local_lists_sending,
    passwords_rolling,
    provisioning,
    reports,
    reservations_local,
)
from cpo.modules import chargingprofiles_operations as chargingprofiles
from cpo.modules import commands_operations as commands

Settle = Callable[[UUID], None]

# In whose rows an operation is named, and who settles them then.
BY_ROW: tuple[tuple[type[Model], Settle], ...] = (
    (Command, commands.settle),
    (ChargingProfileRequest, chargingprofiles.settle),
    (ChargePointProfile, chargingprofiles.settle),
    (SmartCharging, chargingprofiles.settle),
    (LocalList, local_lists_sending.settle),
    (ProvisioningRun, provisioning.settle),
    (StationCertificate, certificates.settle),
    (DeviceJob, device_jobs.settle),
)
# Who reads the answers to which actions, whoever has asked.
BY_ACTION: tuple[tuple[frozenset[str], Settle], ...] = (
    (frozenset(abilities.TELLING), abilities.settle),
    (frozenset(availability.TELLING), availability.settle),
    (frozenset(certificates_installed.TELLING), certificates_installed.settle),
    (frozenset(chargingprofiles_reported.TELLING), chargingprofiles_reported.settle),
    (frozenset(reports.ASKED), reports.settle),
    (frozenset(reservations_local.TELLING), reservations_local.settle),
)
# Who goes by the name under which it asks.
BY_ASKER: tuple[tuple[str, Settle], ...] = ((passwords_rolling.ASKED_BY, passwords_rolling.settle),)


def concerned(operation_id: UUID) -> list[Settle]:
    """Return who has to look at an operation that has ended, each once; nobody if there is no such operation."""
    with connection.cursor() as cursor:
        cursor.execute(_NAMED, {"id": operation_id})
        row = cursor.fetchone()
    if row is None:
        return []
    action, asked_by, *named = row
    found: list[Settle] = [settle for (_, settle), is_named in zip(BY_ROW, named, strict=True) if is_named]
    found += _meant(action, BY_ACTION) + [settle for name, settle in BY_ASKER if name == asked_by]
    return list(dict.fromkeys(found))


def _meant(action: str, table: Iterable[tuple[frozenset[str], Settle]]) -> list[Settle]:
    return [settle for actions, settle in table if action in actions]


_IS_NAMED = ", ".join(
    f"EXISTS (SELECT FROM {model._meta.db_table} r WHERE r.operation_id = o.id)" for model, _ in BY_ROW
)
_NAMED = f"SELECT o.action, o.asked_by, {_IS_NAMED} FROM cpo_operation o WHERE o.id = %(id)s"  # noqa: S608 - as above
