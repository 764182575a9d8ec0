"""Verify the signed values of a CDR and say what they prove (CDR-51 … CDR-54)."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from ocpi.signed_meter import keys, ocmf
from ocpi.signed_meter.keys import BadKey
from ocpi.signed_meter.ocmf import NotOcmf, Reading, Record

MOST_VALUES = 200  # signed values of one CDR that are looked at
_ALGORITHM = re.compile(r"ECDSA-(?P<curve>\w+)-SHA(?P<bits>256|384|512)", re.IGNORECASE)
_HASHES: dict[str, type[hashes.HashAlgorithm]] = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}
_DEFAULT_CURVE = "secp256r1"


class Verdict(StrEnum):
    VERIFIED = "verified"  # every signature fits its text and the key
    INVALID = "invalid"  # one does not
    UNVERIFIED = "unverified"  # nobody can say: no key, or an encoding that is not read here


class SignatureVerdict(StrEnum):
    VALID = "valid"
    WRONG = "wrong"
    UNKNOWN = "unknown"


class KeySource(StrEnum):
    """Whose word the key is."""

    REGISTERED = "registered"  # the meter's, as an operator has entered it
    CDR = "cdr"  # came with the data that it proves
    NONE = ""


@dataclass(frozen=True, slots=True)
class Signature:
    """One signed value: what it says of itself, and whether its signature is right."""

    nature: str
    verdict: SignatureVerdict
    reason: str  # why it is unknown or wrong
    record: Record | None


@dataclass(frozen=True, slots=True)
class Report:
    """What the signed data of one CDR comes to."""

    verdict: Verdict
    encoding: str
    key_source: KeySource
    signatures: tuple[Signature, ...]
    findings: tuple[str, ...]  # codes, each once
    begin: Reading | None
    end: Reading | None

    @property
    def kwh(self) -> Decimal | None:
        """The energy between the first and the last reading of the transaction, in kWh."""
        if self.begin is None or self.end is None or self.begin.kwh is None or self.end.kwh is None:
            return None
        return self.end.kwh - self.begin.kwh

    def as_json(self) -> dict[str, Any]:
        """Return it in JSON's kinds, as it is stored with the CDR."""
        return {
            "verdict": self.verdict.value,
            "encoding": self.encoding,
            "key": self.key_source.value,
            "findings": list(self.findings),
            "kwh": None if self.kwh is None else str(self.kwh),
            "begin": _shown(self.begin),
            "end": _shown(self.end),
            "values": [
                {"nature": each.nature, "signature": each.verdict.value, "reason": each.reason}
                for each in self.signatures
            ],
        }


def verify(signed_data: Mapping[str, Any], registered: Mapping[str, str]) -> Report:
    """Verify a SignedData object.

    :param registered: public keys by the serial number of the meter or of the gateway that signs. A registered key
        is believed before the one that came with the data.
    """
    encoding = str(signed_data.get("encoding_method") or "")
    values = [each for each in signed_data.get("signed_values") or () if isinstance(each, dict)][:MOST_VALUES]
    if encoding.strip().upper() != "OCMF":
        unread = tuple(_unknown(each, "this encoding is not verified here") for each in values)
        return Report(Verdict.UNVERIFIED, encoding, KeySource.NONE, unread, ("unknown_encoding",), None, None)
    own, findings = str(signed_data.get("public_key") or ""), list[str]()
    source, signatures = KeySource.NONE, list[Signature]()
    for each in values:
        found = _records(each, findings)
        if not found:
            signatures.append(_unknown(each, "no OCMF record in it"))
            findings.append("unreadable_record")
        for record in found:
            text, source = _key_of(record, own, registered, findings)
            verdict, reason = _signature(record, text, findings)
            signatures.append(Signature(str(each.get("nature") or ""), verdict, reason, record))
    records = [each.record for each in signatures if each.record is not None]
    begin, end = _ends([reading for record in records for reading in record.readings])
    findings += _odd(records, begin, end)
    return Report(_verdict(signatures), encoding, source, tuple(signatures), tuple(dict.fromkeys(findings)), begin, end)


def _verdict(signatures: Sequence[Signature]) -> Verdict:
    verdicts = {each.verdict for each in signatures}
    if SignatureVerdict.WRONG in verdicts:
        return Verdict.INVALID
    return Verdict.VERIFIED if verdicts == {SignatureVerdict.VALID} else Verdict.UNVERIFIED


def _unknown(value: Mapping[str, Any], reason: str) -> Signature:
    return Signature(str(value.get("nature") or ""), SignatureVerdict.UNKNOWN, reason, None)


# ------------------------------------------------------------ records


def _records(value: Mapping[str, Any], findings: list[str]) -> list[Record]:
    """Return the record of a signed value, wherever the partner has put it."""
    signed, plain = str(value.get("signed_data") or ""), str(value.get("plain_data") or "")
    for text in (_decoded(signed), signed, plain):
        try:
            record = ocmf.parse(text)
        except NotOcmf:
            continue
        if not _says_the_same(record, plain):
            findings.append("plain_data_differs")
        return [record]
    return []


def _decoded(text: str) -> str:
    try:
        return base64.b64decode("".join(text.split()), validate=True).decode()
    except (binascii.Error, ValueError):
        return ""


def _says_the_same(record: Record, plain: str) -> bool:
    """Whether what people are shown is what was signed; nothing shown, or a text of another kind, says nothing."""
    if plain.startswith("OCMF|"):
        plain = plain.split("|")[1]
    try:
        shown = json.loads(plain, parse_float=Decimal, parse_int=Decimal)
    except (ValueError, RecursionError):
        return True
    return not isinstance(shown, dict) or shown == record.payload


# ------------------------------------------------------------ keys and signatures


def _key_of(record: Record, own: str, registered: Mapping[str, str], findings: list[str]) -> tuple[str, KeySource]:
    for serial in (record.meter_serial, record.gateway_serial):
        text = registered.get(serial, "") if serial else ""
        if text:
            if own and not _same(own, text):
                findings.append("key_not_registered")
            return text, KeySource.REGISTERED
    return own, KeySource.CDR if own else KeySource.NONE


def _same(one: str, other: str) -> bool:
    try:
        return keys.fingerprint(one) == keys.fingerprint(other)
    except BadKey:
        return False


def _signature(record: Record, key_text: str, findings: list[str]) -> tuple[SignatureVerdict, str]:
    if not key_text:
        findings.append("no_public_key")
        return SignatureVerdict.UNKNOWN, "no public key"
    stated = _ALGORITHM.fullmatch(record.algorithm) if record.algorithm else None
    if record.algorithm and stated is None:
        findings.append("unknown_algorithm")
        return SignatureVerdict.UNKNOWN, f"signature algorithm {record.algorithm[:40]}"
    curve = stated["curve"].lower().replace("brainpoolp", "brainpool") if stated else _DEFAULT_CURVE
    if stated and curve not in keys.CURVES:
        findings.append("unknown_algorithm")
        return SignatureVerdict.UNKNOWN, f"curve {stated['curve'][:40]}"
    try:
        key = keys.load(key_text, curve if stated else "")
    except BadKey as error:
        findings.append("bad_public_key")
        return SignatureVerdict.UNKNOWN, str(error)
    if stated and not isinstance(key.curve, keys.CURVES[curve]):
        findings.append("curve_differs")  # the key decides: the signature is right for it, or for nothing
    signature = _bytes(record, key)
    if signature is None:
        return SignatureVerdict.WRONG, "the signature cannot be read"
    hashed = _HASHES[stated["bits"] if stated else "256"]()
    try:
        key.verify(signature, record.signed_text.encode(), ec.ECDSA(hashed))
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        return SignatureVerdict.WRONG, "the signature does not fit the text and the key"
    return SignatureVerdict.VALID, ""


def _bytes(record: Record, key: ec.EllipticCurvePublicKey) -> bytes | None:
    """Return the signature as DER; some meters write the bare numbers r and s one behind the other."""
    text = "".join(record.signature.split())
    try:
        raw = base64.b64decode(text, validate=True) if record.encoding == "base64" else bytes.fromhex(text)
    except (binascii.Error, ValueError):
        return None
    size = (key.curve.key_size + 7) // 8
    if len(raw) == 2 * size and not _is_der(raw):
        return encode_dss_signature(int.from_bytes(raw[:size]), int.from_bytes(raw[size:]))
    return raw


def _is_der(raw: bytes) -> bool:
    return raw[:1] == b"\x30" and raw[1] == len(raw) - 2


# ------------------------------------------------------------ what the records say together


def _ends(readings: Sequence[Reading]) -> tuple[Reading | None, Reading | None]:
    """Return the first begin and the last end of the transaction, of one register."""
    begins = [each for each in readings if each.begins and each.value is not None]
    if not begins:
        return None, None
    begin = min(begins, key=_time)
    ends = [each for each in readings if each.ends and each.identification == begin.identification]
    return begin, max(ends, key=_time) if ends else None


def _time(reading: Reading) -> float:
    return reading.at.timestamp() if isinstance(reading.at, datetime) else 0.0


def _odd(records: Sequence[Record], begin: Reading | None, end: Reading | None) -> list[str]:
    """Return what is wrong with a set of records though each may be signed."""
    if not records:
        return []
    odd = []
    if begin is None:
        odd.append("no_begin")
    elif end is None:
        odd.append("no_end")
    elif begin.kwh is None or end.kwh is None:
        odd.append("not_for_billing")
    if len({(each.meter_serial, each.gateway_serial) for each in records}) > 1:
        odd.append("several_meters")
    pages = sorted({each.page for each in records if each.page is not None})
    if len({context for context, _ in pages}) == 1 and pages[-1][1] - pages[0][1] != len(pages) - 1:
        odd.append("pages_missing")
    if any(reading.status not in ("", "G") for record in records for reading in record.readings):
        odd.append("meter_fault")
    return odd


def _shown(reading: Reading | None) -> dict[str, Any] | None:
    if reading is None:
        return None
    at = reading.at.isoformat() if reading.at is not None else None
    return {"at": at, "clock": reading.clock, "value": str(reading.value), "unit": reading.unit}
