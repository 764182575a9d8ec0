"""The way of a CommandResult to its eMSP: the response_url of the command and nowhere else (CMD-04)."""

from __future__ import annotations

from datetime import datetime

from cpo.models import Command
from ocpi import documents, outbox
from ocpi.headers import Address
from ocpi.v2_2_1.commands import CommandResultType as Result

_MODULE = "commands"


def send(row: Command, result: Result, *, deadline_at: datetime) -> None:
    """Have a CommandResult posted (CMD-18), in the caller's transaction; after `deadline_at` nobody waits for it."""
    outbox.send_result(
        outbox.Recipient(
            row.platform_id,
            to=Address(row.country_code, row.party_id),
            sender=Address(row.cpo_country_code, row.cpo_party_id),
        ),
        url=row.response_url,
        body=documents.encode({"result": result.value}),
        module=_MODULE,
        deadline_at=deadline_at,
        correlation_id=row.correlation_id,
    )
