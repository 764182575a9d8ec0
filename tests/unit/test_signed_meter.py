"""Signed meter data: a real charge point's record, every curve in use, and what tampering comes to."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ocpi import signed_meter
from ocpi.signed_meter import KeySource, NotOcmf, Verdict, ocmf, verify
from ocpi.signed_meter.keys import CURVES, BadKey, fingerprint, load

# Written by a KEBA KCP30 in 2019 and published with its key: nobody here has made it.
REAL = (
    'OCMF|{"FV":"1.0","GI":"KEBA_KCP30","GS":"17619300","GV":"2.8.5","PG":"T32","IS":false,"IL":"NONE",'
    '"IF":["RFID_NONE","OCPP_NONE","ISO15118_NONE","PLMN_NONE"],"IT":"NONE","ID":"",'
    '"RD":[{"TM":"2019-08-13T10:03:15,000+0000 I","TX":"B","EF":"","ST":"G","RV":0.2596,"RI":"1-b:1.8.0","RU":"kWh"},'
    '{"TM":"2019-08-13T10:03:36,000+0000 R","TX":"E","EF":"","ST":"G","RV":0.2597,"RI":"1-b:1.8.0","RU":"kWh"}]}|'
    '{"SD":"304502200E2F107C987A300AC1695CA89EA149A8CDFA16188AF0A33EE64B67964AA943F9022100889A72B6D65364BEA8562E7F6A02'
    '53157ACFF84FE4929A93B5964D23C4265699"}'
)
REAL_KEY = (
    "3059301306072A8648CE3D020106082A8648CE3D030107034200043AEEB45C392357820A58FDFB0857BD77ADA31585C61C430531DFA53B44"
    "0AFBFDD95AC887C658EA55260F808F55CA948DF235C2108A0D6DC7D4AB1A5E1A7955BE"
)


def value(record: str, nature: str = "End", plain: str | None = None) -> dict[str, Any]:
    payload = record.split("|")[1] if record.startswith("OCMF|") else record
    return {
        "nature": nature,
        "plain_data": payload if plain is None else plain,
        "signed_data": base64.b64encode(record.encode()).decode(),
    }


def data(*values: dict[str, Any], key: str | None = None, encoding: str = "OCMF") -> dict[str, Any]:
    found: dict[str, Any] = {"encoding_method": encoding, "signed_values": list(values)}
    if key is not None:
        found["public_key"] = base64.b64encode(bytes.fromhex(key)).decode()
    return found


class Meter:
    """A meter that signs."""

    def __init__(self, curve: str = "secp256r1") -> None:
        self.curve = curve
        self.private = ec.generate_private_key(CURVES[curve]())

    @property
    def key(self) -> str:
        public = self.private.public_key()
        return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo).hex()

    def sign(self, payload: dict[str, Any], *, bits: int = 256, bare: bool = False, **more: Any) -> str:
        text = json.dumps(payload)
        hashed = {256: hashes.SHA256(), 384: hashes.SHA384(), 512: hashes.SHA512()}[bits]
        raw = self.private.sign(text.encode(), ec.ECDSA(hashed))
        if bare:
            size = (self.private.curve.key_size + 7) // 8
            raw = b"".join(each.to_bytes(size) for each in decode_dss_signature(raw))
        signature = {"SA": f"ECDSA-{self.curve}-SHA{bits}", "SD": raw.hex(), **more}
        if more.get("SE") == "base64":
            signature["SD"] = base64.b64encode(raw).decode()
        return f"OCMF|{text}|{json.dumps(signature)}"


def payload(page: int = 1, serial: str = "M1", **more: Any) -> dict[str, Any]:
    reading = {
        "TM": "2026-03-01T10:00:00,000+0100 S",
        "TX": "B",
        "RV": 100.5,
        "RI": "1-b:1.8.0",
        "RU": "kWh",
        "ST": "G",
    }
    last = {"TM": "2026-03-01T11:00:00,000+0100 S", "TX": "E", "RV": 120.75}
    return {"FV": "1.0", "PG": f"T{page}", "MS": serial, "IS": True, "ID": "04AB", "RD": [reading, last], **more}


@pytest.mark.req("CDR-51", "CDR-54")
def test_a_real_record_is_verified_with_the_key_that_came_with_it() -> None:
    report = verify(data(value(REAL), key=REAL_KEY), {})

    assert (report.verdict, report.key_source) == (Verdict.VERIFIED, KeySource.CDR)
    assert str(report.kwh) == "0.0001"
    assert report.findings == ()


def test_the_registered_key_is_believed_before_the_one_that_came() -> None:
    other = Meter()

    assert verify(data(value(REAL), key=other.key), {"17619300": REAL_KEY}).verdict == Verdict.VERIFIED
    report = verify(data(value(REAL), key=REAL_KEY), {"17619300": other.key})

    assert (report.verdict, report.key_source) == (Verdict.INVALID, KeySource.REGISTERED)
    assert "key_not_registered" in report.findings


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("0.2597", "0.3597"),
        ("10:03:36", "11:03:36"),
        ('"ID":""', '"ID":"x"'),
        ('"PG":"T32"', '"PG": "T32"'),
        ("AA3E", "AA3F"),
    ],
)
def test_one_changed_character_is_a_wrong_signature(before: str, after: str) -> None:
    changed = REAL.replace(before, after) if before in REAL else REAL.replace("0E2F107C", "0E2F107D")

    assert changed != REAL
    assert verify(data(value(changed), key=REAL_KEY), {}).verdict == Verdict.INVALID


def test_what_people_are_shown_must_be_what_was_signed() -> None:
    shown = REAL.split("|")[1].replace("0.2597", "9.2597")

    report = verify(data(value(REAL, plain=shown), key=REAL_KEY), {})

    assert report.verdict == Verdict.VERIFIED
    assert report.findings == ("plain_data_differs",)


@pytest.mark.parametrize("curve", sorted(CURVES))
@pytest.mark.parametrize("bits", [256, 384, 512])
def test_every_curve_in_use(curve: str, bits: int) -> None:
    meter = Meter(curve)

    assert verify(data(value(meter.sign(payload(), bits=bits)), key=meter.key), {}).verdict == Verdict.VERIFIED
    other = Meter(curve)
    assert verify(data(value(meter.sign(payload(), bits=bits)), key=other.key), {}).verdict == Verdict.INVALID


@pytest.mark.parametrize("more", [{"SE": "base64"}, {"SM": "application/x-der"}, {"bare": True}])
def test_every_spelling_of_a_signature(more: dict[str, Any]) -> None:
    meter = Meter("secp256k1")

    assert verify(data(value(meter.sign(payload(), **more)), key=meter.key), {}).verdict == Verdict.VERIFIED


def test_every_spelling_of_a_key() -> None:
    der = bytes.fromhex(REAL_KEY)
    point = der[-65:]
    pem = load(REAL_KEY).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    spellings = [
        REAL_KEY,
        REAL_KEY.lower(),
        " ".join(REAL_KEY[at : at + 8] for at in range(0, len(REAL_KEY), 8)),
        base64.b64encode(der).decode(),
        base64.urlsafe_b64encode(der).decode().rstrip("="),
        base64.b64encode(REAL_KEY.encode()).decode(),
        point.hex(),
        point[1:].hex(),
        base64.b64encode(point).decode(),
        pem,
    ]

    assert {fingerprint(each) for each in spellings} == {fingerprint(REAL_KEY)}


@pytest.mark.parametrize("text", ["", "zz", "AAAA", "04" * 65, "30" * 20, "x" * 3000])
def test_what_is_no_key(text: str) -> None:
    with pytest.raises(BadKey):
        load(text)


@pytest.mark.parametrize(
    ("signed", "finding"),
    [
        (data(value(REAL)), "no_public_key"),
        (data(value(REAL), key=REAL_KEY, encoding="EDL40 Mennekes"), "unknown_encoding"),
        (data(value("nothing of the kind"), key=REAL_KEY), "unreadable_record"),
        ({**data(value(REAL)), "public_key": "nonsense"}, "bad_public_key"),
        (data(value(REAL.replace('{"SD"', '{"SA":"RSA-SHA256","SD"')), key=REAL_KEY), "unknown_algorithm"),
        (data(value(REAL.replace('{"SD"', '{"SA":"ECDSA-secp192k1-SHA256","SD"')), key=REAL_KEY), "unknown_algorithm"),
    ],
)
def test_what_nobody_can_say_is_unverified_not_wrong(signed: dict[str, Any], finding: str) -> None:
    report = verify(signed, {})

    assert report.verdict == Verdict.UNVERIFIED
    assert finding in report.findings


def test_start_and_end_in_records_of_their_own() -> None:
    meter = Meter()
    whole = payload()
    begin, end = {**whole, "RD": whole["RD"][:1]}, {**whole, "PG": "T2", "RD": [{**whole["RD"][0], **whole["RD"][1]}]}

    report = verify(data(value(meter.sign(begin), "Start"), value(meter.sign(end)), key=meter.key), {})

    assert (report.verdict, str(report.kwh), report.findings) == (Verdict.VERIFIED, "20.25", ())


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        ({"PG": "T9"}, "pages_missing"),
        ({"MS": "M2"}, "several_meters"),
        ({"RD": [{**payload()["RD"][0], "TX": "C"}]}, "no_end"),
        ({"RD": [{**payload()["RD"][0], "TX": "E", "ST": "M"}]}, "meter_fault"),
        ({"RD": [{**payload()["RD"][0], "TX": "E", "EF": "E"}]}, "not_for_billing"),
    ],
)
def test_records_that_do_not_belong_together(change: dict[str, Any], finding: str) -> None:
    meter = Meter()
    begin = {**payload(), "RD": payload()["RD"][:1]}
    end = {**payload(2), "RD": [{**payload()["RD"][0], "TX": "E"}], **change}

    report = verify(data(value(meter.sign(begin), "Start"), value(meter.sign(end)), key=meter.key), {})

    assert finding in report.findings


@pytest.mark.parametrize(
    "text",
    [
        "",
        "OCMF",
        "OCMF|{}|{}",
        'OCMF|{"RD":[]}|{"SD":"00"}',
        'OCMF|{"RD":[1]}|{"SD":"00"}',
        'OCMF|[1]|{"SD":"00"}',
        'OCMF|{"RD":[{}]}|{"SD":""}',
        'OCMF|{"RD":[{}]}|{"SD":"00"}|',
        "OCMF|" + "[" * 20000 + "|{}",
        "4f434d467c7b7d7c7b7d",
        "ff" * 20,
        "OCMF|" + "x" * 200_000,
    ],
)
def test_what_is_no_record(text: str) -> None:
    with pytest.raises(NotOcmf):
        ocmf.parse(text)


def test_a_reading_takes_over_what_it_leaves_out() -> None:
    record = ocmf.parse(Meter().sign(payload()).encode().hex())

    assert [each.unit for each in record.readings] == ["kWh", "kWh"]
    assert [str(each.value) for each in record.readings] == ["100.5", "120.75"]
    assert record.readings[0].at is not None
    assert record.readings[0].at.isoformat() == "2026-03-01T10:00:00+01:00"


def test_what_is_stored_is_plain_json() -> None:
    report = verify(data(value(REAL), key=REAL_KEY), {})

    assert json.loads(json.dumps(report.as_json()))["kwh"] == "0.0001"
    assert signed_meter.parse(REAL).user == ""
