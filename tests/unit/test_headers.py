"""X-Request-ID, X-Correlation-ID and the routing headers, read and written."""

from __future__ import annotations

import uuid

import pytest

from ocpi import status
from ocpi.headers import Address, Getter, Ids, Routing, new_id, read_ids, read_routing


def getter(**headers: str) -> Getter:
    return {name.lower().replace("_", "-"): value for name, value in headers.items()}.get


def headers_of(**values: str) -> Getter:
    found = getter(**values)
    return lambda name: found(name.lower())


@pytest.mark.req("TRN-056", "TRN-057", "TRN-060")
@pytest.mark.parametrize(
    "value", ["b8e5a1f0-1c1e-4a53-9d0e-3a1b7d1f0c11", "123", "not a uuid at all", "x" * 255, 'quo"te{}', "#NA"]
)
def test_ids_are_taken_as_they_are(value: str) -> None:
    ids = read_ids(headers_of(X_Request_ID=value, X_Correlation_ID=value))

    assert ids == Ids(value, value)
    assert ids.as_headers() == {"X-Request-ID": value, "X-Correlation-ID": value}


@pytest.mark.req("TRN-060")
@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("a\r\nSet-Cookie: b", "aSet-Cookie: b"),
        ("a\x00b\x7f", "ab"),
        ("\x1b[31mred", "[31mred"),
        ("x" * 300, "x" * 255),
    ],
)
def test_control_characters_and_what_is_too_long_are_cut(value: str, kept: str) -> None:
    assert read_ids(headers_of(X_Request_ID=value, X_Correlation_ID="c")).request_id == kept


@pytest.mark.req("TRN-061")
@pytest.mark.parametrize("value", [None, "", "  ", "\r\n"])
def test_a_missing_id_is_made_up_and_noted(value: str | None) -> None:
    given = {"X_Correlation_ID": "mine"} | ({} if value is None else {"X_Request_ID": value})

    ids = read_ids(headers_of(**given))

    assert uuid.UUID(ids.request_id)
    assert ids.correlation_id == "mine"
    assert ids.missing == ("X-Request-ID",)


@pytest.mark.req("TRN-055", "TRN-059")
def test_new_ids_are_different_uuids() -> None:
    assert uuid.UUID(new_id()) != uuid.UUID(new_id())


@pytest.mark.req("HUB-05")
def test_both_pairs_are_read() -> None:
    routing = read_routing(
        headers_of(
            OCPI_to_country_code="NL", OCPI_to_party_id="TNM", OCPI_from_country_code="DE", OCPI_from_party_id="EMS"
        )
    )

    assert routing == Routing(to=Address("NL", "TNM"), sender=Address("DE", "EMS"))
    assert read_routing(lambda _name: None) == Routing()


@pytest.mark.req("HUB-05", "PIT-89")
@pytest.mark.parametrize(
    ("headers", "named"),
    [
        ({"OCPI_to_country_code": "NL"}, "OCPI-to-party-id"),
        ({"OCPI_to_party_id": "TNM"}, "OCPI-to-country-code"),
        ({"OCPI_from_country_code": "DE", "OCPI_from_party_id": " "}, "OCPI-from-party-id"),
        ({"OCPI_to_country_code": "NLD", "OCPI_to_party_id": "TNM"}, "OCPI-to-country-code"),
        ({"OCPI_to_country_code": "N", "OCPI_to_party_id": "TNM"}, "OCPI-to-country-code"),
        ({"OCPI_to_country_code": "NL", "OCPI_to_party_id": "TNMX"}, "OCPI-to-party-id"),
        ({"OCPI_to_country_code": "NL", "OCPI_to_party_id": "TÑM"}, "OCPI-to-party-id"),
        ({"OCPI_to_country_code": "NL", "OCPI_to_party_id": "T\x00M"}, "OCPI-to-party-id"),
    ],
    ids=str,
)
def test_half_a_pair_and_impossible_ids_are_refused_by_name(headers: dict[str, str], named: str) -> None:
    with pytest.raises(status.InvalidParameters, match=named):
        read_routing(headers_of(**headers))


@pytest.mark.req("HUB-08")
def test_an_answer_swaps_the_pair() -> None:
    asked = Routing(to=Address("NL", "TNM"), sender=Address("DE", "EMS"))

    assert asked.answered_by(None).as_headers() == {
        "OCPI-to-country-code": "DE",
        "OCPI-to-party-id": "EMS",
        "OCPI-from-country-code": "NL",
        "OCPI-from-party-id": "TNM",
    }
    assert asked.answered_by(Address("NL", "OTH")).sender == Address("NL", "OTH")


@pytest.mark.req("HUB-04")
def test_two_spellings_are_one_party() -> None:
    assert Address("nl", "tnm").key == Address("NL", "TNM").key
    assert str(Address("nl", "tnm")) == "nl*tnm"


@pytest.mark.req("HUB-05")
def test_what_is_absent_makes_no_header() -> None:
    assert Routing().as_headers() == {}
    assert Routing(sender=Address("DE", "EMS")).as_headers() == {
        "OCPI-from-country-code": "DE",
        "OCPI-from-party-id": "EMS",
    }
