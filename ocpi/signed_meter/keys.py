"""Public keys of meters in the spellings that partners send: DER or a bare point, in Base64 or hexadecimal."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterator

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)

LONGEST = 2000  # characters
CURVES: dict[str, type[ec.EllipticCurve]] = {
    "secp192r1": ec.SECP192R1,
    "secp224r1": ec.SECP224R1,
    "secp256r1": ec.SECP256R1,
    "secp256k1": ec.SECP256K1,
    "secp384r1": ec.SECP384R1,
    "secp521r1": ec.SECP521R1,
    "brainpool256r1": ec.BrainpoolP256R1,
    "brainpool384r1": ec.BrainpoolP384R1,
    "brainpool512r1": ec.BrainpoolP512R1,
}
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+")
_PEM = "-----BEGIN"


class BadKey(ValueError):
    """A text that is no public key we can use; the message says why."""


def load(text: str, curve: str = "") -> ec.EllipticCurvePublicKey:
    """Return the key; a bare point is one of the named curve, or of the curve that its length fits.

    :raises BadKey: if it is none, or of a curve or kind that is not verified here.
    """
    if len(text) > LONGEST:
        raise BadKey("the key is too long")
    if text.lstrip().startswith(_PEM):
        return _elliptic(lambda: load_pem_public_key(text.strip().encode()))
    for raw in _bytes("".join(text.split())):
        key = _read(raw, curve)
        if key is not None:
            return key
    raise BadKey("neither a DER public key nor a point of a known curve, in Base64 or hexadecimal")


def fingerprint(text: str) -> str:
    """Return what a key is recognised by, however it is spelled: SHA-256 of its DER form, hexadecimal.

    :raises BadKey: if it is none.
    """
    der = load(text).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def _bytes(text: str) -> Iterator[bytes]:
    """Yield what the text may stand for; some send the Base64 of the hexadecimal text."""
    if _HEX.fullmatch(text):
        yield bytes.fromhex(text)
    try:
        decoded = base64.b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return
    yield decoded
    try:
        inner = "".join(decoded.decode("ascii").split())
    except UnicodeDecodeError:
        return
    if _HEX.fullmatch(inner):
        yield bytes.fromhex(inner)


def _read(raw: bytes, curve: str) -> ec.EllipticCurvePublicKey | None:
    if raw[:1] == b"\x30":
        try:
            return _elliptic(lambda: load_der_public_key(raw))
        except BadKey as error:
            if "kind" in str(error):
                raise
            return None
    for kind in [CURVES[curve]] if curve in CURVES else CURVES.values():
        size = (kind().key_size + 7) // 8
        if raw[:1] in (b"\x04", b"\x02", b"\x03") or len(raw) == 2 * size:
            try:
                return ec.EllipticCurvePublicKey.from_encoded_point(
                    kind(), b"\x04" + raw if len(raw) == 2 * size else raw
                )
            except (ValueError, UnsupportedAlgorithm):
                continue
    return None


def _elliptic(read: Callable[[], object]) -> ec.EllipticCurvePublicKey:
    try:
        key = read()
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadKey("not a readable public key") from error
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise BadKey("a key of another kind than elliptic curves")
    return key
