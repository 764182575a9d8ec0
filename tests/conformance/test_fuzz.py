"""Nothing a partner sends makes us fail: a short run of `make fuzz`, inside this process, from fixed seeds."""

from __future__ import annotations

import logging
from itertools import islice

import pytest
from django.test import Client

from ocpi import openapi, ours
from tests.answers import Asked, assert_ocpi_answer
from tests.fixtures import Partner, Side
from tests.fuzz.generator import Actor, Attempt, Generator
from tests.people import Person

REQUESTS = 450
FAILED = (3000, 3001, 3002, 3003)


@pytest.mark.req("SEC-46", "SEC-47", "SEC-48", "TRN-035", "TRN-038", "TRN-009", "TRN-039", "SEC-33")
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(
    ("chosen", "mine", "theirs"),
    [
        ("cpo", "NL*TNM:CPO", ["DE*EMS:EMSP", "BE*HUB:HUB"]),
        ("emsp", "DE*EMS:EMSP", ["NL*TNM:CPO", "BE*HUB:HUB"]),
        ("hub", "NL*HUB:HUB", ["NL*TNM:CPO", "DE*EMS:EMSP"]),
    ],
)
def test_nothing_that_comes_in_breaks_us(
    side: Side,
    partner: Partner,
    caplog: pytest.LogCaptureFixture,
    chosen: str,
    mine: str,
    theirs: list[str],
    seed: int,
) -> None:
    side(chosen, parties=[mine])
    people = {person.token: person for person in (partner(role) for role in theirs)}
    document = openapi.document([chosen], server="/ocpi")
    generator = Generator(document, [actor(person, list(people.values())) for person in people.values()], seed)

    for attempt in islice(generator.attempts(), REQUESTS):
        with caplog.at_level(logging.ERROR):
            codes = sent(attempt, chosen)
        assert codes[0] < 500, f"{attempt}\n{codes}\n{caplog.text[-3000:]}"
        assert codes[1] not in FAILED, f"{attempt}\n{codes}"
        assert not [record for record in caplog.records if record.exc_info], f"{attempt}\n{caplog.text[-3000:]}"


def actor(person: Person, everybody: list[Person]) -> Actor:
    """Return who asks whom: at a hub the other platform, else us."""
    to = ours.addresses()[0]
    if to.party_id == "HUB":
        to = next(other.address for other in everybody if other is not person)
    return Actor(
        person.token,
        (person.address.country_code, person.address.party_id),
        (to.country_code, to.party_id),
        response_url=f"{person.url}/ocpi/results/1",
    )


def sent(attempt: Attempt, side: str) -> tuple[int, int]:
    """Send exactly this; return HTTP status and status_code of the answer, which must be one our document has."""
    headers = dict(attempt.headers)
    response = Client().generic(
        attempt.method,
        attempt.target,
        attempt.body,
        content_type=headers.pop("Content-Type", ""),
        headers=headers,
        RAW_URI=attempt.target,
    )
    assert response.headers["Content-Type"] == "application/json", attempt
    if attempt.method == "HEAD":
        return response.status_code, 0
    answer = assert_ocpi_answer(
        http_status=response.status_code,
        headers=response.headers,
        body=response.content,
        asked=Asked(attempt.method.upper(), attempt.target.partition("?")[0], (side,)),
    )
    return answer.codes
