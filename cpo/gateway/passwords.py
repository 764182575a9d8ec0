"""Passwords of charge points: made, digested, compared (OCPP-05). Pure.

A generated one is as random as a key, so a keyed fast hash keeps it; one typed by a person gets a slow salted hash.
"""

import hashlib
import hmac
import re
import secrets

_HEX = re.compile(rb"(?:[0-9a-fA-F]{2}){16,20}")
_SCRYPT = {"n": 1 << 14, "r": 8, "p": 1}


def new_password() -> str:
    """Return a random password of 160 bits: 40 hexadecimal digits, usable as 1.6 AuthorizationKey."""
    return secrets.token_hex(20)


def _key(secret_key: str) -> bytes:
    return hmac.digest(secret_key.encode(), b"cpo.gateway.passwords", "sha256")


def _canonical(password: bytes) -> bytes:
    # A 1.6 AuthorizationKey is set as hexadecimal text; charge points show that text, in either case, or its bytes.
    return bytes.fromhex(password.decode("ascii")) if _HEX.fullmatch(password) else password


def digest(password: str, secret_key: str) -> str:
    """Return what is stored of a generated password."""
    return "hmac$" + hmac.digest(_key(secret_key), _canonical(password.encode()), "sha256").hex()


def digest_typed(password: str) -> str:
    """Return what is stored of a password a person thought of."""
    salt = secrets.token_bytes(16)
    return f"scrypt${salt.hex()}${hashlib.scrypt(_canonical(password.encode()), salt=salt, **_SCRYPT).hex()}"


def is_slow(stored: str) -> bool:
    """Say whether comparing takes long enough to belong off the event loop."""
    return stored.startswith("scrypt$")


def matches(stored: str, shown: bytes, secret_key: str) -> bool:
    """Compare in constant time; an empty `stored` costs the same and never matches."""
    if is_slow(stored):
        _, salt, wanted = stored.split("$")
        found = hashlib.scrypt(_canonical(shown), salt=bytes.fromhex(salt), **_SCRYPT).hex()
        return hmac.compare_digest(found, wanted)
    found = "hmac$" + hmac.digest(_key(secret_key), _canonical(shown), "sha256").hex()
    return hmac.compare_digest(found, stored or "hmac$" + "0" * 64)
