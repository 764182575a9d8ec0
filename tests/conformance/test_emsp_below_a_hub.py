"""What an eMSP answers to pushes that a hub passes on to all (OCPI 2.2.1, Broadcast Push)."""

from __future__ import annotations

import pytest

from emsp.models import Location
from tests.fixtures import Document, add_party
from tests.people import Person

pytestmark = pytest.mark.usefixtures("emsp_side")


@pytest.mark.req("HUB-46", "HUB-47")
def test_a_broadcast_is_answered_to_the_hub_and_owned_by_whom_its_url_names(hub: Person, document: Document) -> None:
    add_party(hub.platform, "NL*TNM:CPO", through_hub=True)

    answer = hub.put("emsp/2.2.1/locations/NL/TNM/LOC1", document("location", id="LOC1"), to="DE*EMS", sender="BE*HUB")

    assert answer.codes in ((200, 1000), (201, 1000))
    assert (answer.headers["OCPI-to-party-id"], answer.headers["OCPI-to-country-code"]) == ("HUB", "BE")
    assert (answer.headers["OCPI-from-party-id"], answer.headers["OCPI-from-country-code"]) == ("EMS", "DE")
    kept = Location.objects.get()
    assert (kept.country_code, kept.party_id) == ("NL", "TNM")
