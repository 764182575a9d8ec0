"""What the fast lane remembers of a caller ends with the token that was shown (SEC-07)."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from asgiref.sync import async_to_sync
from django.utils import timezone

from hub import asgi
from ocpi import snapshot
from ocpi.models import CredentialsToken
from tests import front_doors
from tests.fixtures import Partner
from tests.front_doors import LaneAnswer
from tests.people import Person
from tests.platforms import Listener

pytestmark = pytest.mark.usefixtures("hub_side", "in_lane")
SESSION = "/ocpi/hub/2.2.1/receiver/sessions/NL/TNM/S1"
BODY = b'{"kwh":12.5,"last_updated":"2026-01-01T00:00:00Z"}'


@pytest.mark.req("SEC-07", "CRED-37")
def test_a_token_that_was_replaced_is_refused_once_its_time_is_over(
    cpo: Person, partner: Partner, listener: Listener
) -> None:
    partner("DE*EMS:EMSP", listener=listener)
    application, now = asgi.Application(), timezone.now()
    CredentialsToken.objects.filter(platform_id=cpo.id).update(purpose="OLD", expires_at=now + timedelta(seconds=30))
    snapshot.changed()
    headers = {
        "authorization": cpo.authorization, "content-type": "application/json", "x-request-id": "r",
        "x-correlation-id": "c", "ocpi-to-country-code": "DE", "ocpi-to-party-id": "EMS",
        "ocpi-from-country-code": "NL", "ocpi-from-party-id": "TNM", "content-length": str(len(BODY)),
    }  # fmt: skip
    lines = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def before_and_after() -> list[LaneAnswer]:
        answers = []
        for seconds in (0, 20, 31):
            with time_machine.travel(now + timedelta(seconds=seconds)):
                answers.append(await front_doors.ask("PATCH", SESSION, lines, [BODY], application=application))
        await application.close()
        return answers

    assert [answer.status_code for answer in async_to_sync(before_and_after)()] == [200, 200, 401]
