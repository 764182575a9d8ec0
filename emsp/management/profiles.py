"""What the commands about charging profiles have in common."""

from __future__ import annotations

import json
from typing import Any

from emsp.models import ChargingProfileRequest
from emsp.modules import chargingprofiles_sending as sending


def carried_out(request: ChargingProfileRequest) -> tuple[dict[str, Any], str]:
    """Wait for the result of a request; return what is printed, and why it was not carried out."""
    row = sending.wait(request)
    found: dict[str, Any] = {
        "request": row.kind,
        "response": row.response or None,
        "result": row.result or ("TIMEOUT" if row.state == "EXPIRED" else None),
        "session": row.session.object_id,
    }
    if row.result == "ACCEPTED":
        return found, ""
    return found, f"{row.kind} was not carried out: {row.message or found['result'] or row.response}"


def profile_of(request: ChargingProfileRequest) -> Any:
    """Return the ActiveChargingProfile of a result, if it has one."""
    request.refresh_from_db()
    return json.loads(request.result_body).get("profile") if request.result_body else None
