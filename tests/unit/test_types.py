"""The base types of OCPI 2.2.1: what is read, what is refused, and how we write it."""

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from ocpi import documents, status
from ocpi.v2_2_1 import (
    cdrs,
    checking,
    commands,
    hubclientinfo,
    locations,
    types,
)


def with_moment(text: str) -> bytes:
    return json.dumps({"party_id": "TNM", "country_code": "NL", "role": "CPO", "status": "PLANNED",
                       "last_updated": text}).encode()  # fmt: skip


@pytest.mark.req("TYP-01", "PIT-36")
@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2025-06-01T10:00:00Z", datetime(2025, 6, 1, 10, tzinfo=UTC)),
        ("2025-06-01T10:00:00", datetime(2025, 6, 1, 10, tzinfo=UTC)),
        ("2025-06-01T10:00:00.5Z", datetime(2025, 6, 1, 10, 0, 0, 500_000, tzinfo=UTC)),
        ("2025-06-01T10:00:00.123", datetime(2025, 6, 1, 10, 0, 0, 123_000, tzinfo=UTC)),
    ],
)
def test_the_four_legal_patterns_are_utc(text: str, moment: datetime) -> None:
    read = hubclientinfo.check(with_moment(text), "ClientInfo", strict=True).last_updated

    assert read == moment
    assert read.utcoffset() == timedelta(0)
    assert types.parse_datetime(text) == moment


@pytest.mark.req("TYP-02", "TYP-04")
@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("2025-06-01T12:00:00+02:00", "2025-06-01T10:00:00Z"),
        ("2025-06-01T10:00:00+00:00", "2025-06-01T10:00:00Z"),
        ("2025-06-01T05:30:00.250-04:30", "2025-06-01T10:00:00.250Z"),
        ("2025-06-01t10:00:00z", "2025-06-01T10:00:00Z"),
        ("2025-06-01T10:00:00.123456789Z", "2025-06-01T10:00:00.123Z"),
    ],
)
def test_offsets_lower_case_and_nine_decimals_are_accepted_and_counted(text: str, stored: str) -> None:
    with pytest.raises(status.InvalidParameters):
        hubclientinfo.check(with_moment(text), "ClientInfo", strict=True)
    body, kinds = hubclientinfo.check_leniently(with_moment(text), "ClientInfo")

    assert documents.get(body, "last_updated") == stored
    assert kinds == ["TYP-04 DateTime"]


@pytest.mark.req("TYP-04")
@pytest.mark.parametrize(
    "text",
    [
        "2025-06-01 10:00:00Z", "2025-06-01", "10:00:00Z", "2025-06-01T10:00Z", "2025-02-30T10:00:00Z", "#NA", "",
        "2025-13-01T10:00:00Z", "2025-06-01T25:00:00Z", "2025-06-01T10:00:00.1234567890Z", "2025-6-1T10:00:00Z",
        "2025-06-01T10:00:00Z\n", "2025-06-01T10:00:00+99:00", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+10:00",
        "２025-06-01T10:00:00Z", "20250601T100000Z", "2025-06-01T10:00:00.Z",
    ],
)  # fmt: skip
def test_what_is_no_datetime_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="DateTime"):
        types.parse_datetime(text)
    with pytest.raises(status.InvalidParameters) as refused:
        hubclientinfo.check_leniently(with_moment(text), "ClientInfo")

    assert refused.value.field == "last_updated"
    assert refused.value.rule == "must be a DateTime in UTC like 2026-01-31T08:00:00Z"


@pytest.mark.req("PIT-48", "CDR-50")
def test_the_epoch_of_the_cdr_note_is_accepted() -> None:
    body, kinds = hubclientinfo.check_leniently(with_moment("1970-1-1T00:00:00Z"), "ClientInfo")

    assert documents.get(body, "last_updated") == "1970-01-01T00:00:00Z"
    assert kinds == ["PIT-48 epoch"]


@pytest.mark.req("TYP-03", "PIT-35")
@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2025, 6, 1, 10, tzinfo=UTC), "2025-06-01T10:00:00Z"),
        (datetime(2025, 6, 1, 10, 0, 0, 123_456, tzinfo=UTC), "2025-06-01T10:00:00.123Z"),
        (datetime(2025, 6, 1, 10, 0, 0, 7, tzinfo=UTC), "2025-06-01T10:00:00Z"),
        (datetime(2025, 6, 1, 12, tzinfo=timezone(timedelta(hours=2))), "2025-06-01T10:00:00Z"),
    ],
)
def test_datetimes_are_written_in_seconds_or_milliseconds_with_z(moment: datetime, text: str) -> None:
    assert types.format_datetime(moment) == text
    assert len(text) <= 25


def test_a_moment_without_a_zone_is_not_written() -> None:
    with pytest.raises(ValueError, match="time zone"):
        types.format_datetime(datetime(2025, 6, 1, 10))  # noqa: DTZ001 - what must be refused


@pytest.mark.req("TYP-05")
def test_milliseconds_are_compared() -> None:
    assert types.parse_datetime("2025-06-01T10:00:00.001Z") > types.parse_datetime("2025-06-01T10:00:00.000Z")


@pytest.mark.req("TYP-06")
@pytest.mark.parametrize(
    ("number", "rule"),
    [
        ('"1.5"', "must be a number, not a string"),
        ("true", "must be a number"),
        ("[1]", "must be a number"),
        ("null", "is required"),
    ],
)
def test_a_number_is_a_json_number(number: str, rule: str) -> None:
    with pytest.raises(status.InvalidParameters) as refused:
        checking.load(types.Price, f'{{"excl_vat":{number}}}')

    assert (refused.value.field, refused.value.rule) == ("excl_vat", rule)


@pytest.mark.req("TYP-07", "PIT-43")
@pytest.mark.parametrize("number", ["4.00", "0.1", "1E2", "12345678901234.123456", "-0.0001", "7"])
def test_numbers_are_read_exactly(number: str) -> None:
    price = checking.load(types.Price, f'{{"excl_vat":{number}}}')

    assert str(price.excl_vat) == str(Decimal(number))


@pytest.mark.req("TYP-07")
@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("1E+2", "100"), ("1E-5", "0.0000"), ("0.00005", "0.0001"), ("1.23455", "1.2346"), ("-1.23455", "-1.2346"),
        ("4.00", "4.00"), ("-0.00001", "0.0000"), ("16", "16"),
    ],
)  # fmt: skip
def test_numbers_are_written_without_an_exponent_and_rounded_half_up(number: str, text: str) -> None:
    assert types.format_number(Decimal(number)) == text


@pytest.mark.req("TYP-08")
def test_a_whole_fraction_is_an_integer_and_a_string_is_none() -> None:
    connector = documents.text({**CONNECTOR, "max_voltage": documents.raw("16.0")}).encode()
    as_string = documents.text({**CONNECTOR, "max_voltage": "16"}).encode()

    assert locations.check(connector, "Connector").max_voltage == 16
    body, kinds = locations.check_leniently(connector, "Connector")
    assert (documents.members(body)["max_voltage"], kinds) == (documents.raw("16"), ["TYP-08 fraction for an integer"])
    with pytest.raises(status.InvalidParameters, match="max_voltage: must be an integer, not a string"):
        locations.check(as_string, "Connector")


CONNECTOR: dict[str, Any] = {
    "id": "1", "standard": "IEC_62196_T2", "format": "CABLE", "power_type": "DC", "max_voltage": 400,
    "max_amperage": 32, "last_updated": "2025-06-01T10:00:00Z",
}  # fmt: skip


@pytest.mark.req("TYP-09")
def test_markup_in_a_text_is_taken_out() -> None:
    text = json.dumps({"result": "ACCEPTED", "message": [{"language": "en", "text": "a <b>bold</b> 3 < 4"}]}).encode()

    with pytest.raises(status.InvalidParameters, match=r"message\[0\].text: must not contain markup"):
        commands.check(text, "CommandResult", strict=True)
    body, kinds = commands.check_leniently(text, "CommandResult")
    assert commands.check(body, "CommandResult", strict=True).message[0].text == "a bold 3 < 4"
    assert kinds == ["TYP-09 markup"]


@pytest.mark.req("TYP-10")
@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("id", "x" * 37, "must be a string of at most 36 characters"),
        ("id", "ö", "must contain printable ASCII characters only"),
        ("id", "a\nb", "must contain printable ASCII characters only"),
        ("id", "a\n", "must contain printable ASCII characters only"),
        ("id", "", "must not be empty"),
        ("id", 4, "must be a string, not a number"),
        ("terms_and_conditions", "x" * 256, "must be a string of at most 255 characters"),
        ("terms_and_conditions", "http://x/\ty", "must not contain control characters"),
        ("standard", None, "is required"),
        ("format", "cable", "must be one of SOCKET, CABLE"),
        ("format", 3, "must be a string, not a number"),
        ("tariff_ids", "T1", "must be a list, not a string"),
        ("max_voltage", 1.5, "must be an integer, not a fraction"),
        ("max_voltage", 2**31, "must be an integer of at most 2147483647"),
    ],
)
def test_a_wrong_value_is_refused_with_its_field_and_rule(field: str, value: Any, rule: str) -> None:
    body = json.dumps({**CONNECTOR, field: value}).encode()

    locations.check(json.dumps(CONNECTOR).encode(), "Connector", strict=True)
    with pytest.raises(status.InvalidParameters) as refused:
        locations.check(body, "Connector")
    assert (refused.value.field, refused.value.rule) == (field, rule)
    assert refused.value.message == f"{field}: {rule}"
    assert (refused.value.http_status, refused.value.status_code) == (200, 2001)


@pytest.mark.req("TYP-13")
def test_currency_and_country_are_accepted_in_any_case_and_kept_in_upper_case() -> None:
    location = {"id": "L", "name": "n", "address": "a", "city": "c", "country": "nld", "evse_uid": "E",
                "coordinates": {"latitude": "52.00000", "longitude": "4.00000"}, "evse_id": "E", "connector_id": "1",
                "connector_standard": "GBT_AC", "connector_format": "CABLE", "connector_power_type": "DC"}  # fmt: skip
    patch = json.dumps({"currency": "eur", "cdr_location": location}).encode()

    body, kinds = cdrs.check_leniently(patch, "CDR", partial=True)

    assert (documents.get(body, "currency"), documents.get(body, "cdr_location")["country"]) == ("EUR", "NLD")
    assert sorted(kinds) == ["TYP-13 country in lower case", "TYP-13 currency in lower case"]


@pytest.mark.req("TYP-14")
def test_a_price_needs_its_amount_without_vat() -> None:
    assert checking.load(types.Price, b'{"excl_vat":1,"incl_vat":null}').incl_vat is None
    with pytest.raises(status.InvalidParameters, match="excl_vat: is required"):
        checking.load(types.Price, b'{"incl_vat":1.21}')


@pytest.mark.req("TRN-110", "TYP-03", "TYP-07")
def test_our_own_values_are_written_as_ocpi_wants_them() -> None:
    ours = {
        "start": datetime(2025, 6, 1, 10, tzinfo=UTC), "kwh": Decimal("1.23456"), "list": [], "nothing": None,
        "price": {"excl_vat": Decimal("1E+1"), "incl_vat": None}, "flag": False, "zero": 0,
        "text": types.DisplayText(language="en", text="x"),
    }  # fmt: skip

    assert documents.text(types.plain(ours)) == (
        '{"start":"2025-06-01T10:00:00Z","kwh":1.2346,"price":{"excl_vat":10},"flag":false,"zero":0,'
        '"text":{"language":"en","text":"x"}}'
    )
