"""Who is calling: every reading of the Authorization header, against a registry in memory."""

from __future__ import annotations

import base64
import time
from typing import Any

import pytest

from ocpi import authentication, secrets, status
from ocpi.headers import Address
from ocpi.snapshot import KnownParty, KnownPlatform, KnownToken, Snapshot

TOKEN = "example-token"
RAW_TOKEN = "cmF3LXRva2Vu"  # is Base64 itself, of "raw-token"


def party(platform_id: int, text: str, *, approved: bool = True, claimed: bool = True) -> KnownParty:
    return KnownParty(Address(text[:2], text[3:]), "CPO", platform_id, approved, claimed, False, "CONNECTED", {})


def platform(number: int, *, base64_token: bool = True, parties: tuple[KnownParty, ...] = ()) -> KnownPlatform:
    return KnownPlatform(
        id=number, name=f"platform {number}", state="REGISTERED", connection="CONNECTED", version="2.2.1",
        base64_token=base64_token, sealed_token="", hosts=frozenset(), paused=False, catch_up="never",
        parties=parties, endpoints={},
    )  # fmt: skip


def registry(**tokens: Any) -> Snapshot:
    """Return a registry of platform 1 (Base64) and platform 2 (raw tokens)."""
    known = {TOKEN: KnownToken(1, "CURRENT", None), RAW_TOKEN: KnownToken(2, "CURRENT", None), **tokens}
    return Snapshot(
        platforms={
            1: platform(1, parties=(party(1, "NL*TNM"), party(1, "NL*PEN", approved=False))),
            2: platform(2, base64_token=False),
        },
        tokens={secrets.digest(token): entry for token, entry in known.items()},
    )


def caller(header: str | None, snapshot: Snapshot | None = None, **options: Any) -> authentication.Caller:
    return authentication.authenticate({"Authorization": header}.get, snapshot or registry(), **options)


def b64(token: str) -> str:
    return base64.b64encode(token.encode()).decode()


@pytest.mark.req("TRN-003", "TRN-004", "TRN-005", "TRN-011", "PIT-01", "SEC-03")
@pytest.mark.parametrize(
    "header",
    [
        "Token ZXhhbXBsZS10b2tlbg==",
        "Token ZXhhbXBsZS10b2tlbgo=",  # with the line feed of the specification's sample
        "token ZXhhbXBsZS10b2tlbg==",
        "TOKEN ZXhhbXBsZS10b2tlbg==",
    ],
)
def test_the_right_token_lets_its_platform_in(header: str) -> None:
    found = caller(header)

    assert (found.platform.id, found.purpose, found.token) == (1, "CURRENT", TOKEN)


@pytest.mark.req("TRN-004", "TRN-005", "TRN-008", "TRN-009", "SEC-03")
@pytest.mark.parametrize(
    "header",
    [
        None, "", " ", "Token", "Token ", f"Bearer {b64(TOKEN)}", f"Basic {b64(TOKEN)}",
        "Token !!!", "Token =", "Token ZXhhbXBsZS10b2tlbg", "Token \xff\xfe", f"Token {b64('')}",
        f"Token {b64('Example-Token')}", f"Token {b64(TOKEN + 'x')}", f"Token {b64(TOKEN[:-1])}",
        f"Token {b64(TOKEN + chr(10) * 2)}", f"Token {b64(' ' + TOKEN)}", f"Token {TOKEN}",
        f"Token {b64(b64(TOKEN))}", "Token " + "A" * 5000, "Token " + base64.b64encode(b"\xff\xfe").decode(),
        f"Token {b64(TOKEN)} {b64(TOKEN)}", f"Token {b64(TOKEN)[:4]}!{b64(TOKEN)[4:]}",
    ],
)  # fmt: skip
def test_anything_else_is_401_and_nothing_worse(header: str | None) -> None:
    with pytest.raises(status.AuthenticationFailed) as refused:
        caller(header)

    assert (refused.value.http_status, refused.value.status_code) == (401, 2000)
    assert TOKEN not in refused.value.message


@pytest.mark.req("TRN-006", "PIT-02", "SEC-03")
def test_a_raw_token_counts_only_for_a_platform_set_to_raw() -> None:
    assert caller(f"Token {RAW_TOKEN}").platform.id == 2
    assert caller(f"Token {b64(RAW_TOKEN)}").platform.id == 2
    with pytest.raises(status.AuthenticationFailed):
        caller(f"Token {TOKEN}")


@pytest.mark.req("TRN-006", "PIT-02", "SEC-03")
def test_the_decoded_reading_comes_first() -> None:
    decoded = {"raw-token": KnownToken(1, "CURRENT", None)}

    assert caller(f"Token {RAW_TOKEN}", registry(**decoded)).platform.id == 1


@pytest.mark.req("TRN-010", "CRED-11", "CRED-25", "CRED-34", "SEC-05")
@pytest.mark.parametrize(
    ("purpose", "functional", "configuration"),
    [("A", False, True), ("PENDING", False, True), ("CURRENT", True, True), ("OLD", True, True),
     ("TOMBSTONE", False, False)],
)  # fmt: skip
def test_a_token_is_good_for_its_purpose_only(purpose: str, functional: bool, configuration: bool) -> None:
    known = registry(other=KnownToken(1, purpose, None))

    for purposes, allowed in ((authentication.CURRENT, functional), (authentication.CONFIGURATION, configuration)):
        if allowed:
            assert caller(f"Token {b64('other')}", known, purposes=purposes).purpose == purpose
        else:
            with pytest.raises(status.AuthenticationFailed):
                caller(f"Token {b64('other')}", known, purposes=purposes)


@pytest.mark.req("CRED-37", "SEC-07")
def test_an_expired_token_is_unknown() -> None:
    known = registry(
        over=KnownToken(1, "OLD", time.time() - 1),
        good=KnownToken(1, "OLD", time.time() + 60),
    )

    assert caller(f"Token {b64('good')}", known).platform.id == 1
    with pytest.raises(status.AuthenticationFailed):
        caller(f"Token {b64('over')}", known)


@pytest.mark.req("TRN-007", "SEC-06")
def test_each_token_is_one_platforms() -> None:
    assert {caller(f"Token {b64(token)}").platform.id for token in (TOKEN, RAW_TOKEN)} == {1, 2}


@pytest.mark.req("HUB-10", "SEC-34", "CRED-56")
def test_from_is_a_party_of_the_caller_or_nobody() -> None:
    somebody = caller(f"Token {b64(TOKEN)}")

    authentication.check_sender(somebody, None)
    authentication.check_sender(somebody, Address("nl", "tnm"))
    for foreign in (Address("DE", "EMS"), Address("NL", "PEN")):
        with pytest.raises(status.InvalidParameters, match="OCPI-from-party-id"):
            authentication.check_sender(somebody, foreign)
