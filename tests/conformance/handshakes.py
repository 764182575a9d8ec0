"""What the tests of the credentials handshake share."""

from __future__ import annotations

from typing import Any

from ocpi import snapshot
from ocpi.models import CredentialsToken, Endpoint, Party, Platform
from tests.people import Person, at
from tests.platforms import Listener

LOCATIONS = "hub/2.2.1/sender/locations"
CREDENTIALS = "2.2.1/credentials"


def registered(invited: Person, listener: Listener, **changes: Any) -> Person:
    """Register somebody who was invited, and return them with token C."""
    answer = invited.post(CREDENTIALS, {**listener.credentials(), **changes})
    assert answer.codes == (200, 1000), answer.message
    return Person(token=answer.data["token"], parties=(at("DE*EMS"),), platform=invited.platform)


def state_of(person: Person) -> tuple[Any, ...]:
    """Return all that a handshake may change, for comparison."""
    platform = dict(Platform.objects.values().get(pk=person.id))
    del platform["last_heard_at"]  # any request changes it
    return (
        platform,
        list(CredentialsToken.objects.filter(platform=person.platform).values().order_by("id")),
        list(Party.objects.filter(platform=person.platform).values().order_by("id")),
        list(Endpoint.objects.filter(platform=person.platform).values().order_by("id")),
    )


def used_token(person: Person) -> str:
    """Return the token we use towards a platform."""
    return snapshot.current().platforms[person.id].target().token
