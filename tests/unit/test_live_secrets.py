"""Tokens are found by what they are, wherever they stand, and nothing else is touched (SEC-50)."""

from __future__ import annotations

import base64
import time
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from ocpi import exchanges, live_secrets, secrets, snapshot, targets
from ocpi.exchange_columns import Entry
from ocpi.models import CredentialsToken, Delivery, Exchange, FinishedDelivery, Platform
from ocpi.outbox_engine import drain_now
from tests.fixtures import Partner
from tests.outbox_support import Says, add_object, add_platform, mark, recorder
from tests.people import Person

pytestmark = pytest.mark.django_db


@pytest.fixture
def known(partner: Partner) -> Person:
    """A platform whose tokens are as ours are made."""
    person = partner("NL*TNM:CPO")
    person.token = secrets.new_token()
    CredentialsToken.objects.filter(platform=person.platform).update(
        digest=secrets.digest(person.token), last_four=person.token[-4:]
    )
    person.token_out = secrets.new_token()
    sealed = secrets.encrypt(person.token_out, context=targets.token_context(person.id))
    Platform.objects.filter(pk=person.id).update(token_out=sealed)
    snapshot.changed()
    return person


@pytest.mark.req("SEC-50")
@pytest.mark.parametrize("direction", ["token", "token_out"])
@pytest.mark.parametrize(
    "text",
    [
        "{}",
        '{"error":"unknown token {}"}',
        '{"a":"Token {}","b":["{}"]}',
        "https://a.example/x?token={}&y=1",
        "https://a.example/x/{}",
        "/ocpi/{}/versions",
        "/ocpi/cpo/2.2.1/tokens/{}/{}?type=RFID",
        "before\n{}\nafter",
    ],
)
def test_a_live_token_is_masked_wherever_it_stands(known: Person, text: str, direction: str) -> None:
    token = getattr(known, direction)
    for shown in (token, base64.b64encode(token.encode()).decode()):
        hidden = live_secrets.hide(text.replace("{}", shown))

        assert hidden == text.replace("{}", f"…{shown[-4:]}")


@pytest.mark.req("SEC-50")
@pytest.mark.parametrize("text", ["/ocpi/tokens/{}%3D%3D/x", "/x?token={}%3D", '{"a":"{}"}', "{}/{}"])
def test_base64_without_its_padding_is_masked_as_well(known: Person, text: str) -> None:
    for length in (30, 31, 32):  # of each of the three ways in which Base64 can end
        token = known.token[:length]
        CredentialsToken.objects.filter(platform=known.platform).update(
            digest=secrets.digest(token), last_four=token[-4:]
        )
        snapshot.changed()
        for end in ("", "\n"):
            shown = base64.b64encode((token + end).encode()).decode().rstrip("=")

            assert not live_secrets.none_in(text.replace("{}", shown).encode())
            assert live_secrets.hide(text.replace("{}", shown)) == text.replace("{}", f"…{shown[-4:]}")


@pytest.mark.req("SEC-50")
def test_two_tokens_that_end_alike_in_base64_are_told_apart(known: Person) -> None:
    token = known.token[:-1] + known.token_out[-1]
    CredentialsToken.objects.filter(platform=known.platform).update(digest=secrets.digest(token), last_four=token[-4:])
    snapshot.changed()
    shown = base64.b64encode(token.encode()).decode()

    assert live_secrets.hide(f'{{"a":"{shown}"}}') == f'{{"a":"…{shown[-4:]}"}}'


@pytest.mark.req("SEC-50")
def test_an_unusual_token_of_a_partner_is_masked_as_well(known: Person) -> None:
    for token in ("short!", "with spaces and §", "tiny-one"):
        sealed = secrets.encrypt(token, context=targets.token_context(known.id))
        Platform.objects.filter(pk=known.id).update(token_out=sealed)
        snapshot.changed()

        assert token not in live_secrets.hide(f'{{"error":"no {token} here"}}')


@pytest.mark.req("SEC-50")
def test_a_new_token_is_known_at_once(known: Person) -> None:
    fresh = secrets.new_token()
    assert live_secrets.hide(fresh) == fresh

    known.platform.tokens.create(  # type: ignore[union-attr]
        digest=secrets.digest(fresh), purpose="OLD", last_four=fresh[-4:]
    )
    snapshot.changed()

    assert live_secrets.hide(fresh) == f"…{fresh[-4:]}"


def test_everything_else_stays_as_it_is(known: Person, document: Any) -> None:
    for text in (
        str(document("location")), "5b8f1c2e-1d3f-4a5b-9c7d-0123456789ab", "x" * 39 + known.token[-4:], "", "ü" * 50,
        base64.b64encode(b"nothing that is secret at all").decode(),
    ):  # fmt: skip
        assert live_secrets.hide(text) == text


@pytest.mark.req("SEC-50")
@pytest.mark.parametrize("before", ["", "x" * 20 + "{2}", "{3}", '"id":"{1}"', "{3}{2}"])
def test_what_looks_like_an_ending_hides_no_token_behind_it(known: Person, before: str) -> None:
    """The endings of tokens are looked for anywhere; one of them may begin within another one."""
    token = known.token[:-1] + "Z"
    CredentialsToken.objects.filter(platform=known.platform).update(digest=secrets.digest(token), last_four=token[-4:])
    snapshot.changed()
    for number in (1, 2, 3):
        before = before.replace(f"{{{number}}}", token[-4:][:number] if number < 3 else known.token_out[-4:])

    assert not live_secrets.none_in(f"{before} {token}".encode())
    assert live_secrets.hide(f"{before} {token}") == f"{before} …{token[-4:]}"
    assert live_secrets.none_in(f"{before} {token[:-1]}".encode())


@pytest.mark.req("SEC-50")
@pytest.mark.parametrize(
    "where",
    [
        {"url": "/ocpi/versions?token={}"},
        {"url": "/ocpi/{}/versions"},
        {"url": "/ocpi/cpo/2.2.1/locations/{}/{}/L1"},
        {"request_id": "{}"},
        {"correlation_id": "{}"},
        {"error": "Garbage: {}"},
        {"request_headers": {"X-Api-Key": "{}"}},
        {"request_headers": {"X-Request-ID": "{}"}},
        {"response_headers": {"x-correlation-id": "{}"}},
        {"request_body": b'{"note":"{}"}'},
        {"response_headers": {"X-Echo": "Token {}"}},
        {"response_body": b'{"status_code":2001,"status_message":"bad {}"}'},
    ],
    ids=lambda where: next(iter(where)),
)
def test_no_column_of_an_exchange_keeps_a_live_token(known: Person, settings: Settings, where: dict[str, Any]) -> None:
    settings.OCPI_EXCHANGES = True
    exchanges._waiting.forget()
    [(column, value)] = where.items()
    match value:
        case bytes():
            value = value.replace(b"{}", known.token.encode())
        case dict():
            value = {name: text.replace("{}", known.token) for name, text in value.items()}
        case _:
            value = value.replace("{}", known.token)
    given = {"direction": "IN", "at": time.time(), "method": "PUT", "url": "/x", "module": "locations", column: value}

    exchanges.record(Entry(**given))
    exchanges.flush()

    kept = Exchange.objects.get()
    columns = [str(getattr(kept, field.attname)) for field in Exchange._meta.concrete_fields]
    assert not any(known.token in text for text in columns), columns
    assert known.token[-4:] in getattr(kept, column)


def test_a_revoked_token_is_forgotten_with_its_row(known: Person) -> None:
    CredentialsToken.objects.filter(platform=known.platform).delete()
    snapshot.changed()

    assert live_secrets.hide(known.token) == known.token


@pytest.mark.req("SEC-50")
@pytest.mark.parametrize("http_status", [400, 200, 503])
def test_what_is_kept_of_a_failed_delivery_repeats_no_token(http_status: int) -> None:
    with recorder() as server:
        platform = add_platform("eMSP", server.url)
        token = snapshot.current().platforms[platform.pk].target().token
        body = f'{{"status_code":2001,"status_message":"not {token}.","timestamp":"2026-01-01T00:00:00Z"}}'
        server.always = lambda _got: Says(http_status, body=body.encode())
        mark(add_object(), platform)

        drain_now()

    told = [error for model in (Delivery, FinishedDelivery) for error in model.objects.values_list("error", flat=True)]
    assert [text for text in told if f"not …{token[-4:]}." in text], told
    assert not any(token in text for text in told)
