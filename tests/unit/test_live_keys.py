"""Passwords of charge points and tokens of the operation API are found by what they are, too (SEC-50)."""

from __future__ import annotations

import base64
import logging
import time
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import connection
from pytest_django.fixtures import DjangoAssertNumQueries

from cpo import live_keys
from cpo.gateway import passwords
from cpo.models import ApiToken, ChargePoint
from cpo.modules import api_tokens, charge_points_operations
from hub import log_lines
from ocpi import audit, exchanges, live_secrets, snapshot
from ocpi.exchange_columns import Entry
from ocpi.headers import Address
from ocpi.models import AuditEntry, Exchange

pytestmark = [pytest.mark.usefixtures("cpo_side"), pytest.mark.django_db, pytest.mark.req("SEC-50")]
TEXTS = [
    "{}", '{"error":"no {}."}', "https://a.example/x?password={}&y=1", "https://a.example/x/{}", "/ocpi/{}/versions",
    "/x/{}/{}?a=b", "before {} behind", "no such charge point: {}.", "a\n{}.\nb",
]  # fmt: skip


def made(identity: str = "CP1") -> tuple[ChargePoint, str]:
    """Return a charge point with a password that we made."""
    row, password = charge_points_operations.add(
        identity, owner=Address("NL", "TNM"), columns={}, password=None, layout=None, by="tester"
    )
    assert password is not None
    live_keys.heard("")
    return row, password


def api_token() -> tuple[ApiToken, str]:
    row, text = api_tokens.make("figure", tenant=None, scopes=["read"], by="tester")
    snapshot.changed()
    return row, text


@pytest.mark.parametrize("text", TEXTS)
def test_a_password_that_we_made_is_masked_wherever_it_stands(text: str) -> None:
    _, password = made()
    for shown in (password, password.upper(), *in_base64(password), *in_base64(f"CP1:{password}")):
        assert not live_secrets.none_in(text.replace("{}", shown).encode()), shown
        assert live_secrets.hide(text.replace("{}", shown)) == text.replace("{}", f"…{shown[-4:]}")


@pytest.mark.parametrize("text", TEXTS)
def test_an_api_token_is_masked_wherever_it_stands(text: str) -> None:
    _, token = api_token()
    for shown in (token, *in_base64(token)):
        assert not live_secrets.none_in(text.replace("{}", shown).encode()), shown
        assert live_secrets.hide(text.replace("{}", shown)) == text.replace("{}", f"…{shown[-4:]}")


def in_base64(secret: str) -> set[str]:
    found = {base64.b64encode((secret + end).encode()).decode() for end in ("", "\n")}
    return found | {text.rstrip("=") for text in found}


def test_both_passwords_are_known_while_one_replaces_the_other() -> None:
    row, password = made()
    following = passwords.new_password()
    ChargePoint.objects.filter(pk=row.pk).update(
        next_password_digest=passwords.digest(following, str(settings.SECRET_KEY))
    )
    live_keys.heard("")

    assert live_secrets.hide(f"{password} {following}") == f"…{password[-4:]} …{following[-4:]}"


def test_what_is_no_longer_good_and_what_only_looks_alike_stays() -> None:
    row, password = made()
    _, token = api_token()
    other = passwords.new_password()
    nearly = f"{password[:-1]}{'0' if password[-1] != '0' else '1'}"
    for text in (other, nearly, f"{password}0", f"0{password}", other * 2, "ü" * 50, *in_base64(f"CP1:{other}")):
        assert live_secrets.hide(text) == text
    assert live_secrets.none_in(f"{other}\n{password[:20]}\n{password[20:]}".encode())

    charge_points_operations.change(row, columns={}, password="", by="tester")
    live_keys.heard("")
    ApiToken.objects.update(revoked_at="2026-01-01T00:00:00Z")
    snapshot.changed()

    assert live_secrets.hide(f"{password} {token}") == f"{password} {token}"


def test_an_instance_without_charge_points_asks_after_none(side: Any) -> None:
    _, password = made()
    _, token = api_token()
    side("hub", parties=["NL*HUB:HUB"])

    assert live_secrets.none_in(f"{password} {token}".encode())


def test_a_text_without_such_digits_costs_no_query_and_many_with_them_cost_one(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    made()
    live_secrets.hide("the registry is read")
    with django_assert_num_queries(0):
        assert live_secrets.none_in(b"a" * 64 + b" " + b"0" * 96)  # digests and signatures
        assert live_secrets.none_in(b"5b8f1c2e-1d3f-4a5b-9c7d-0123456789ab /ocpi/cpo/2.2.1/locations/NL/TNM/LOC1")
    with django_assert_num_queries(1):
        assert live_secrets.none_in("\n".join(passwords.new_password() for _ in range(500)).encode())


@pytest.mark.parametrize(
    "where",
    [
        {"url": "/ocpi/versions?password={}"},
        {"url": "/ocpi/cpo/2.2.1/tokens/{}/{}"},
        {"error": "Garbage: {}"},
        {"request_headers": {"X-Odd": "{}"}},
        {"request_body": b'{"a":"{}"}'},
        {"response_body": b'{"status_message":"no {}"}'},
    ],
    ids=lambda where: next(iter(where)),
)
def test_no_column_of_an_exchange_keeps_one(settings: Any, where: dict[str, Any]) -> None:
    settings.OCPI_EXCHANGES = True
    exchanges._waiting.forget()
    (_, password), (_, token) = made(), api_token()
    for secret in (password, token):
        Exchange.objects.all().delete()
        [(column, value)] = where.items()
        match value:
            case bytes():
                value = value.replace(b"{}", secret.encode())
            case dict():
                value = {name: text.replace("{}", secret) for name, text in value.items()}
            case _:
                value = value.replace("{}", secret)

        exchanges.record(Entry(**{"direction": "IN", "at": time.time(), "method": "PUT", "url": "/x", column: value}))
        exchanges.flush()

        kept = Exchange.objects.get()
        assert not any(secret in str(getattr(kept, each.attname)) for each in Exchange._meta.concrete_fields)
        assert secret[-4:] in getattr(kept, column)


@pytest.mark.parametrize("lines", [log_lines.TextLines(), log_lines.JsonLines()], ids=["text", "json"])
def test_no_line_of_a_log_shows_one_and_none_waits_for_the_database(
    lines: logging.Formatter, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    (_, password), (_, token) = made(), api_token()
    live_secrets.hide(password)  # the process has it in memory
    record = logging.makeLogRecord({"msg": "not found: /x/%s/%s", "args": (password, token), "name": "django.request"})

    with django_assert_num_queries(0):
        line = lines.format(record)
        live_keys.heard("")
        lines.format(record)

    assert f"not found: /x/…{password[-4:]}/…{token[-4:]}" in line


def test_no_audit_entry_keeps_one() -> None:
    (_, password), (_, token) = made(), api_token()

    audit.record("test.word", actor="tester", about=f"platform {token}", details={"url": f"https://a/{password}"})

    entry = AuditEntry.objects.get(action="test.word")
    assert (entry.about, entry.details) == (f"platform …{token[-4:]}", f'{{"url": "https://a/…{password[-4:]}"}}')


@pytest.mark.django_db(transaction=True)
def test_every_change_of_one_is_announced_and_nothing_else() -> None:
    parameters = connection.get_connection_params()
    place = {name: parameters[name] for name in ("dbname", "host", "port", "user", "password") if parameters.get(name)}
    with psycopg.connect(autocommit=True, **place) as listening:
        for channel in (live_keys.CHANNEL, snapshot.CHANNEL):
            listening.execute(f"LISTEN {channel}")

        def told() -> set[str]:
            listening.execute("SELECT 1")
            return {notice.channel for notice in listening.notifies(timeout=0)}

        row, _ = made()
        assert told() == {live_keys.CHANNEL}
        ChargePoint.objects.update(last_seen_at="2026-01-01T00:00:00Z", epoch=7, boot_status="Pending")
        assert told() == set()
        ChargePoint.objects.update(next_password_digest="hmac$0")
        assert told() == {live_keys.CHANNEL}
        row.delete()
        assert told() == {live_keys.CHANNEL}

        token, text = api_token()
        assert told() == {snapshot.CHANNEL}
        assert api_tokens.find(text) is not None
        assert told() == set()
        api_tokens.revoke(token.pk, by="tester")
        assert told() == {snapshot.CHANNEL}
