"""Tokens: made, recognised, sealed, masked."""

import base64
import hashlib
import hmac
import random

import pytest
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from ocpi import secrets

KEY = base64.urlsafe_b64encode(bytes(range(32))).decode()
NEW_KEY = base64.urlsafe_b64encode(bytes(range(1, 33))).decode()


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.req("SEC-01")
def test_a_token_is_43_url_safe_characters_and_never_the_same() -> None:
    tokens = set()
    for _ in range(100):
        random.seed(7)  # whoever knows the state of this generator knows nothing of a token
        tokens.add(secrets.new_token())

    assert len(tokens) == 100
    assert {len(token) for token in tokens} == {43}
    assert all(len(base64.urlsafe_b64decode(token + "=")) == 32 for token in tokens)


@pytest.mark.req("SEC-01")
def test_a_token_never_looks_like_an_option_of_the_command_it_is_given_to(monkeypatch: pytest.MonkeyPatch) -> None:
    made = iter(["-option", "--another", "token"])
    monkeypatch.setattr("secrets.token_urlsafe", lambda _: next(made))

    assert secrets.new_token() == "token"


@pytest.mark.req("SEC-02")
def test_the_digest_of_a_token_depends_on_the_secret_key(settings: Settings) -> None:
    settings.SECRET_KEY = "one"
    first = secrets.digest("example-token")
    settings.SECRET_KEY = "two"
    second = secrets.digest("example-token")

    assert first != second
    assert len(first) == len(second) == 64
    assert hashlib.sha256(b"example-token").hexdigest() not in (first, second)
    assert secrets.digest("example-token") == second
    assert secrets.digest("Example-token") != second


@pytest.mark.req("SEC-02")
def test_the_digest_of_a_token_is_an_hmac_with_sha_256_and_stays_the_same_in_every_release(settings: Settings) -> None:
    settings.SECRET_KEY = "one"
    pepper = hmac.digest(b"one", b"ocpi.secrets: digest of credentials tokens", "sha256")

    assert secrets.digest("example-token") == hmac.new(pepper, b"example-token", hashlib.sha256).hexdigest()


@pytest.mark.req("SEC-03", "TRN-005", "TRN-009", "TRN-011", "PIT-01", "QRK-02")
@pytest.mark.parametrize(
    ("header", "raw_allowed", "expected"),
    [
        ("Token ZXhhbXBsZS10b2tlbg==", False, ["example-token"]),
        ("Token ZXhhbXBsZS10b2tlbgo=", False, ["example-token\n", "example-token"]),
        (f"Token {b64('x' + chr(10) * 2)}", False, ["x\n\n", "x\n"]),
        ("token ZXhhbXBsZS10b2tlbg==", False, ["example-token"]),
        ("TOKEN   ZXhhbXBsZS10b2tlbg== ", False, ["example-token"]),
        ("ZXhhbXBsZS10b2tlbg==", False, ["example-token"]),
        ("Token ZXhhbXBsZS10b2tlbg==", True, ["example-token", "ZXhhbXBsZS10b2tlbg=="]),
        ("Token example-token", True, ["example-token"]),
        ("Token example-token", False, []),
        ("Token ZXhhbXBsZS10b2tlbgo=", True, ["example-token\n", "example-token", "ZXhhbXBsZS10b2tlbgo="]),
        (None, True, []),
        ("", True, []),
        ("   ", True, []),
        ("Token", True, []),
        ("Token ", True, []),
        ("Bearer ZXhhbXBsZS10b2tlbg==", True, []),
        ("Basic ZXhhbXBsZS10b2tlbg==", True, []),
        ("Token ZXhhbXBsZS10b2tlbg== more", True, []),
        ("Token Cg==", False, ["\n"]),
        ("Token ZXhhbXBsZS10b2tlbg", False, []),
        ("Token ____", False, []),
        ("Token ZXhhbXBs!ZS10b2tlbg==", False, []),
        ("Token ZXhhbXBsZS10b2tlbg==AAAA", False, []),
        ("Token //79", False, []),
        ("Token \xe9\xe9\xe9\xe9", False, []),
        ("Token \u4e00", False, []),
        ("Token " + "QUFB" * 1000, True, []),
    ],
)
def test_a_header_is_read_in_up_to_three_ways(header: str | None, raw_allowed: bool, expected: list[str]) -> None:
    assert secrets.readings(header, raw_allowed=raw_allowed) == expected


@pytest.mark.req("TRN-003", "TRN-004", "TRN-006", "PIT-01")
def test_the_header_we_send_is_base64_or_raw_as_the_platform_wants() -> None:
    assert secrets.authorization("example-token", base64_token=True) == "Token ZXhhbXBsZS10b2tlbg=="
    assert secrets.authorization("example-token", base64_token=False) == "Token example-token"
    assert secrets.readings(secrets.authorization("zażółć", base64_token=True), raw_allowed=False) == ["zażółć"]


@pytest.mark.req("SEC-04")
def test_a_sealed_token_opens_only_where_it_belongs(settings: Settings) -> None:
    settings.FIELD_KEYS = [KEY]
    sealed = secrets.encrypt("example-token", context="platform 1 token_out")

    assert "example-token" not in sealed
    assert secrets.encrypt("example-token", context="platform 1 token_out") != sealed
    assert secrets.decrypt(sealed, context="platform 1 token_out") == "example-token"
    with pytest.raises(secrets.Unsealable):
        secrets.decrypt(sealed, context="platform 2 token_out")


@pytest.mark.req("SEC-04")
@pytest.mark.parametrize("damage", [lambda s: s[:-8] + "AAAAAAA=", lambda s: s[:12], lambda s: "", lambda s: s + "*"])
def test_a_damaged_sealed_token_does_not_open(settings: Settings, damage: object) -> None:
    settings.FIELD_KEYS = [KEY]
    assert callable(damage)
    damaged = damage(secrets.encrypt("example-token", context="here"))

    with pytest.raises(secrets.Unsealable):
        secrets.decrypt(damaged, context="here")


@pytest.mark.req("SEC-04")
def test_the_newest_key_seals_and_older_ones_still_open(settings: Settings) -> None:
    settings.FIELD_KEYS = [KEY]
    old = secrets.encrypt("example-token", context="here")
    settings.FIELD_KEYS = [NEW_KEY, KEY]
    new = secrets.encrypt("example-token", context="here")

    assert secrets.decrypt(old, context="here") == "example-token"
    assert new.startswith(hashlib.sha256(bytes(range(1, 33))).hexdigest()[:8] + ".")
    assert secrets.sealed_with_newest(new)
    assert not secrets.sealed_with_newest(old)
    settings.FIELD_KEYS = [NEW_KEY]
    with pytest.raises(secrets.Unsealable):
        secrets.decrypt(old, context="here")


@pytest.mark.req("SEC-52")
@pytest.mark.parametrize("keys", [[], ["short"], [KEY, ""], [KEY + "AAAA"]])
def test_unusable_keys_are_reported_without_printing_them(settings: Settings, keys: list[str]) -> None:
    settings.FIELD_KEYS = keys

    with pytest.raises(ImproperlyConfigured) as caught:
        secrets.encrypt("example-token", context="here")

    assert KEY not in str(caught.value)


@pytest.mark.req("TRN-014", "SEC-50")
def test_a_masked_token_shows_four_characters_and_a_short_one_none() -> None:
    assert secrets.mask("abcdefghijklmnopqrstuvwxyz") == "…wxyz"
    assert secrets.mask("hunter2") == "…"
    assert secrets.mask("") == "…"
