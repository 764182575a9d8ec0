"""What charge points write where signed values belong, and what a CDR can say of it."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from cpo import signed_values
from cpo.signed_values import Signed

RECORD = 'OCMF|{"FV":"1.0"}|{"SD":"30"}'
RECORD_64 = base64.b64encode(RECORD.encode()).decode()


@pytest.mark.req("OCPP-70")
@pytest.mark.parametrize(
    ("members", "found"),
    [
        ({"signedMeterData": RECORD_64, "encodingMethod": "OCMF"}, Signed("OCMF", RECORD_64, RECORD)),
        ({"signedMeterData": RECORD_64}, Signed("OCMF", RECORD_64, RECORD)),
        ({"signedMeterData": RECORD}, Signed("OCMF", RECORD_64, RECORD)),
        ({"signedMeterData": "AQI=", "encodingMethod": "x" * 40}, Signed("x" * 36, "AQI=", "\x01\x02")),
        ({"signedMeterData": "A\r\nQI=\n", "publicKey": "a2\nV5"}, Signed("unknown", "AQI=", "\x01\x02", "a2V5")),
        ({"signedMeterData": "", "encodingMethod": "OCMF"}, None),
        ({"signedMeterData": 5}, None),
        ({}, None),
    ],
)
def test_a_signed_meter_value_is_read_whatever_is_left_out(members: dict[str, Any], found: Signed | None) -> None:
    assert signed_values.of_members(members) == found


@pytest.mark.req("CDR-51", "CDR-52")
def test_a_cdr_has_one_encoding_and_no_value_that_is_too_long_or_no_text() -> None:
    values = [
        ("Transaction.Begin", Signed("unknown", "AAAA", "AAAA")),
        ("Transaction.Begin", Signed("OCMF", "BBBB", "b\x85")),
        ("Sample.Periodic", Signed("OCMF", "C" * 5001, "c")),
        ("Transaction.End", Signed("OCMF", "DDDD", "d", "key")),
        ("Transaction.End", Signed("EDL40 Mennekes", "EEEE", "e", "other")),
    ]

    assert signed_values.for_cdr(values) == {
        "encoding_method": "OCMF",
        "public_key": "key",
        "signed_values": [
            {"nature": "Start", "plain_data": "BBBB", "signed_data": "BBBB"},
            {"nature": "End", "plain_data": "d", "signed_data": "DDDD"},
        ],
    }
    assert signed_values.for_cdr([]) is None
