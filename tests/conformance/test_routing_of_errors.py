"""Whatever is refused, the answer goes back to the party that asked (HUB-08, HUB-09, PIT-22)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fixtures import Side
from tests.people import Person

TOKENS = "emsp/2.2.1/tokens"


@pytest.mark.req("HUB-09", "PIT-22")
@pytest.mark.parametrize(
    ("method", "path", "options", "http_status"),
    [
        ("GET", TOKENS, {"headers": {"Authorization": None}}, 401),
        ("GET", TOKENS, {"headers": {"Authorization": "Token bm9ib2R5"}}, 401),
        ("DELETE", TOKENS, {}, 405),
        ("GET", f"{TOKENS}/no/such/path/at/all", {}, 404),
        ("GET", "emsp/2.2.1/locations/FR/CPX/1", {}, 404),
        ("PUT", "emsp/2.2.1/locations/NL/TNM/1", {"body": b"{"}, 400),
        ("GET", TOKENS, {"query": {"limit": 0}}, 200),
        ("GET", TOKENS, {"headers": {"OCPI-to-party-id": None}}, 200),
    ],
)
@pytest.mark.usefixtures("emsp_side")
def test_a_refusal_is_addressed_to_who_asked(
    cpo: Person, method: str, path: str, options: dict[str, Any], http_status: int
) -> None:
    answer = cpo.request(method, path, **options)

    assert answer.http_status == http_status
    assert answer.status_code != 1000
    assert (answer.headers.get("OCPI-to-country-code"), answer.headers.get("OCPI-to-party-id")) == ("NL", "TNM")


@pytest.mark.req("HUB-01", "HUB-09")
def test_configuration_modules_answer_without_addresses_whatever_is_refused(side: Side, cpo: Person) -> None:
    side("emsp", parties=["DE*EMS:EMSP"])
    sent: dict[str, str | None] = {"OCPI-from-country-code": "NL", "OCPI-from-party-id": "TNM"}
    nobody: dict[str, str | None] = {"Authorization": None}

    answers = [
        cpo.request(method, path, headers=sent | more)
        for path in ("versions", "2.2.1", "2.2.1/credentials")
        for method, more in (("PATCH", sent), ("GET", nobody))
    ]

    assert {answer.http_status for answer in answers} == {401, 405}
    for answer in answers:
        assert answer.headers.get("OCPI-to-party-id") is None
        assert answer.headers.get("OCPI-from-party-id") is None
