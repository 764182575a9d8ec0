"""Tokens: made here, recognised by keyed digest, kept sealed, shown masked.

Tokens that others show us are never stored, only their digest; tokens that we show others are sealed with AES-256-GCM.
"""

import base64
import binascii
import hashlib
import hmac
import os
import re
import secrets
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

_NONCE_BYTES = 12
_KEY_BYTES = 32
_MASK_FROM = 16  # of a shorter secret even four characters are too much
# 64 characters of four octets each, in Base64, with room to spare: what is longer is no credentials token.
_LONGEST_READING = 512
# The scheme may be missing or in any case, spaces may be doubled: partners do that.
_AUTHORIZATION = re.compile(r"[ \t]*(?:(?P<scheme>[!-~]+)[ \t]+)?(?P<word>[^ \t]+)[ \t]*")
# Whoever knows the end of such a URL may answer for somebody else: a response_url, a CDR's own URL, a file (SEC-41).
_URL_KEY = re.compile(
    r"((?:callbacks?|commands\\?/[A-Z_]+|results\\?/[A-Za-z]+|cdrs|ocpp\\?/files)\\?/)[A-Za-z0-9_-]{16,39}([A-Za-z0-9_-]{4})(?![A-Za-z0-9_-])"
)


class Unsealable(Exception):
    """The sealed text was changed, belongs elsewhere, or its key is no longer known."""


def new_token() -> str:
    """Return a fresh credentials token of 32 random bytes; it never looks like an option of a command."""
    while (token := secrets.token_urlsafe(32)).startswith("-"):
        pass
    return token


def digest(token: str) -> str:
    """Return the text by which a token is found in the database."""
    return hmac.digest(_pepper(settings.SECRET_KEY), token.encode("utf-8", "surrogatepass"), "sha256").hex()


@lru_cache(maxsize=4)
def _pepper(secret_key: str) -> bytes:
    # Derived, so that the pepper is neither in the database nor usable where Django uses SECRET_KEY itself.
    return hmac.digest(secret_key.encode(), b"ocpi.secrets: digest of credentials tokens", "sha256")


def readings(header_value: str | None, *, raw_allowed: bool) -> list[str]:
    """Return the tokens an Authorization header may stand for, the most exact reading first.

    An empty list means that the header is missing or malformed.
    """
    if header_value is None or (match := _AUTHORIZATION.fullmatch(header_value)) is None:
        return []
    scheme, word = match["scheme"], match["word"]
    if (scheme or "token").lower() != "token" or len(word) > _LONGEST_READING:
        return []
    if scheme is None and word.lower() == "token":  # a scheme, and no token behind it
        return []
    found: list[str] = []
    decoded = _decoded(word)
    if decoded:
        found.append(decoded)
        # The samples in OCPI 2.2.1 encode the token with a line feed behind it.
        if len(decoded) > 1 and decoded.endswith("\n"):
            found.append(decoded[:-1])
    if raw_allowed and word not in found:
        found.append(word)
    return found


def _decoded(word: str) -> str:
    try:
        return base64.b64decode(word, validate=True).decode()
    except (ValueError, binascii.Error):  # not ASCII, not Base64, not UTF-8
        return ""


def authorization(token: str, *, base64_token: bool) -> str:
    """Return the value of the Authorization header that shows this token."""
    return "Token " + (base64.b64encode(token.encode()).decode("ascii") if base64_token else token)


def encrypt(plain: str, *, context: str) -> str:
    """Seal a text for one place, named by `context` (platform and column)."""
    key_id, key = next(iter(_keys(tuple(settings.FIELD_KEYS)).items()))
    nonce = os.urandom(_NONCE_BYTES)
    sealed = nonce + AESGCM(key).encrypt(nonce, plain.encode(), context.encode())
    return f"{key_id}.{base64.urlsafe_b64encode(sealed).decode('ascii')}"


def decrypt(sealed: str, *, context: str) -> str:
    """Open what `encrypt` sealed for the same place.

    :raises Unsealable: if it was changed, moved, or its key is gone.
    """
    key_id, _, text = sealed.partition(".")
    key = _keys(tuple(settings.FIELD_KEYS)).get(key_id)
    if key is None:
        raise Unsealable(f"no key {key_id[:8]!r} in FIELD_KEYS")
    try:
        octets = base64.b64decode(text, altchars=b"-_", validate=True)
        return AESGCM(key).decrypt(octets[:_NONCE_BYTES], octets[_NONCE_BYTES:], context.encode()).decode()
    except (InvalidTag, ValueError) as error:  # ValueError: not Base64, or too short for a nonce
        raise Unsealable("the sealed text does not belong here or was changed") from error


def sealed_with_newest(sealed: str) -> bool:
    """Tell whether rotating the keys may leave this text as it is."""
    return sealed.partition(".")[0] == next(iter(_keys(tuple(settings.FIELD_KEYS))))


@lru_cache(maxsize=4)
def _keys(texts: tuple[str, ...]) -> dict[str, bytes]:
    """Return key by key id, the newest first."""
    keys: dict[str, bytes] = {}
    for number, text in enumerate(texts):
        try:
            key = base64.b64decode(text, altchars=b"-_", validate=True)
        except ValueError:
            key = b""
        if len(key) != _KEY_BYTES:
            raise ImproperlyConfigured(f"FIELD_KEYS[{number}]: must be the URL-safe Base64 of {_KEY_BYTES} bytes")
        keys[hashlib.sha256(key).hexdigest()[:8]] = key
    if not keys:
        raise ImproperlyConfigured("FIELD_KEYS: needs at least one key")
    return keys


def mask(text: str) -> str:
    """Return what people may see of a secret: its last four characters."""
    return "…" + text[-4:] if len(text) >= _MASK_FROM else "…"


def without_keys(text: str) -> str:
    """Return a text with the keys of URLs in it cut down to their last four characters."""
    return _URL_KEY.sub(r"\1…\2", text)
