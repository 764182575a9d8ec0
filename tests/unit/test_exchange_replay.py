"""An exchange as a curl line, and sent again: what goes out, what is refused, who is asked twice, what is compared."""

from __future__ import annotations

import html
import json
import shutil
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django.fixtures import Settings

from ocpi import exchange_compare, exchange_curl, exchange_replay, exchanges, snapshot
from ocpi.exchange_replay import CannotReplay
from ocpi.models import AuditEntry, Delivery, Exchange, FinishedDelivery, Platform
from tests.admin_world import operator_fixture as operator_fixture
from tests.admin_world import viewer_fixture as viewer_fixture
from tests.fixtures import Partner
from tests.people import Person
from tests.platforms import Listener

KEY = "k" * 39 + "tail"
HEADERS = """Content-Type: application/json
Content-Length: 14
Authorization: …abcd
X-Request-ID: first
X-Correlation-ID: message-9
OCPI-to-country-code: DE
OCPI-to-party-id: EMS
OCPI-from-country-code: NL
OCPI-from-party-id: TNM"""
Keep = Callable[..., Exchange]
pytestmark = pytest.mark.django_db


@pytest.fixture
def receiver(hub_side: None, listener: Listener, partner: Partner) -> Person:
    return partner("DE*EMS:EMSP", listener=listener)


@pytest.fixture
def keep(settings: Settings) -> Keep:
    settings.OCPI_EXCHANGES = True
    exchanges._waiting.forget()

    def make(person: Person | None = None, **columns: Any) -> Exchange:
        at = datetime.now(UTC)
        given: dict[str, Any] = {
            "id": int(at.timestamp() * 1000) << 22, "at": at, "direction": "OUT", "method": "PUT",
            "platform": person.platform if person else None,
            "url": f"{person.url if person else ''}/locations/NL/TNM/L1",
            "module": "locations", "object_path": "NL/TNM/L1", "request_id": "first", "correlation_id": "message-9",
            "http_status": 200, "status_code": 1000, "milliseconds": 1.5, "to_party": "DE*EMS",
            "request_headers": HEADERS, "request_body": '{"name":"it\'s"}', "response_body": '{"status_code":1000}',
            **columns,
        }  # fmt: skip
        return Exchange.objects.create(**given)

    return make


# ---------------------------------------------------------------- curl


def shell(line: str) -> list[str]:
    """Return the words a shell makes of a line."""
    program = "TOKEN=secret; printf '%s\\0' " + line.removeprefix("curl ")
    printed = subprocess.run(["/bin/sh", "-c", program], capture_output=True, check=True, text=True).stdout
    return printed.split("\0")[:-1]


@pytest.mark.parametrize("body", ['{"a":"it\'s $HOME `date` \\" ü\n!"}', "", "-d @/etc/passwd", "'; rm -rf / #"])
def test_a_shell_reads_the_line_as_it_is_meant(keep: Keep, body: str) -> None:
    row = keep(method="POST", url="https://a.example/x?a=$(date)&b='q'", request_body=body, request_headers=HEADERS)

    words = shell(exchange_curl.curl(row, base_url="https://hub.example").line)

    assert words[:4] == ["-gsS", "-X", "POST", "https://a.example/x?a=$(date)&b='q'"]
    assert "Authorization: Token secret" in words
    assert "OCPI-to-party-id: EMS" in words
    assert "X-Correlation-ID: message-9" in words
    assert (words[-2:] == ["--data-raw", body]) is bool(body)
    assert not any(word.startswith(("X-Request-ID", "Content-Length", "Authorization: …")) for word in words)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("query", ["a[]=1&b={x,y}", "id=[1-3]", "a={"])
def test_curl_sends_what_was_sent_and_no_pattern_of_it(keep: Keep, listener: Listener, query: str) -> None:
    row = keep(method="POST", url=f"{listener.url}/x?{query}", request_body='{"a":[1]}', request_headers=HEADERS)
    line = exchange_curl.curl(row, base_url="https://hub.example").line

    subprocess.run(["/bin/sh", "-c", f"TOKEN=secret; {line} --noproxy '*' -m 60"], capture_output=True, check=True)

    [arrived] = listener.received("POST")
    assert (arrived.query, arrived.body) == (query, b'{"a":[1]}')


@pytest.mark.req("SEC-50")
def test_the_line_shows_neither_token_nor_key(keep: Keep) -> None:
    row = keep(
        direction="IN", url=f"/ocpi/hub/2.2.1/callbacks/{KEY}",
        request_body=json.dumps({"response_url": f"https://a.example/commands/START_SESSION/{KEY}"}),
    )  # fmt: skip

    found = exchange_curl.curl(row, base_url="https://hub.example")

    assert "https://hub.example/ocpi/hub/2.2.1/callbacks/…tail" in found.line
    assert KEY not in found.line
    assert "$TOKEN" in found.line
    assert any("key" in remark for remark in found.remarks)


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ({"request_body": '{"token":"…abcd"}'}, "masked"),
        ({"request_body": '{"x":1 […]'}, "too long"),
        ({"request_body": "[9 bytes, not kept: unreadable, and may hold a token]"}, "token"),
        ({"request_body": ""}, "no longer kept"),
        ({"request_body": "", "method": "GET", "request_headers": ""}, ""),
        ({"request_body": '{"name":"and so on …"}'}, ""),
    ],
    ids=str,
)
def test_a_body_that_is_not_the_one_that_was_sent_is_named(keep: Keep, columns: dict[str, Any], why: str) -> None:
    found = exchange_curl.why_incomplete(keep(**columns))

    assert (why in found) if why else found == ""


def test_the_page_has_the_line_and_a_button_without_script_of_its_own(operator: Client, keep: Keep) -> None:
    content = operator.get(f"/admin/ocpi/exchange/{keep().pk}/change/").content.decode()

    assert 'data-copy="curl-line"' in content
    assert "hub/copy.js" in content
    assert html.escape("it'\"'\"'s", quote=False) in html.unescape(content)


# ---------------------------------------------------------------- replay


def test_what_has_a_delivery_goes_out_as_it_is_now(receiver: Person, keep: Keep) -> None:
    row = keep(receiver)
    columns: dict[str, Any] = {
        "platform": receiver.platform, "kind": "STATE", "order_key": "x", "slot": 0, "module": "locations",
        "path": "NL/TNM/L1", "correlation_id": "message-9", "to_country_code": "DE", "to_party_id": "EMS",
        "source": "hub.SharedObject", "source_id": 7,
    }  # fmt: skip
    FinishedDelivery.objects.create(**columns, state="REFUSED")
    FinishedDelivery.objects.create(**{**columns, "path": "NL/TNM/OTHER", "source_id": 8}, state="REFUSED")

    done = exchange_replay.replay(row, exchange_replay.plan(row))

    assert done.words == "1 deliveries are on their way."
    assert [(one.source_id, one.state) for one in Delivery.objects.all()] == [(7, "PENDING")]


def test_what_came_in_sends_again_all_that_came_of_it(receiver: Person, keep: Keep, partner: Partner) -> None:
    row = keep(partner("NL*TNM:CPO"), direction="IN", url="/ocpi/hub/2.2.1/locations/NL/TNM/L1")
    for number in range(3):
        FinishedDelivery.objects.create(
            platform_id=partner(f"FR*{number:03}:EMSP").id, kind="STATE", order_key="x", slot=0, module="locations",
            path="NL/TNM/L1", correlation_id="message-9", source="hub.SharedObject", source_id=7, state="DELIVERED",
        )  # fmt: skip

    assert exchange_replay.replay(row, exchange_replay.plan(row)).words == "3 deliveries are on their way."


def test_a_request_without_a_delivery_is_sent_as_it_was_with_a_new_request_id(
    receiver: Person, keep: Keep, listener: Listener
) -> None:
    row = keep(receiver)

    done = exchange_replay.replay(row, exchange_replay.plan(row))

    [got] = listener.received("PUT")
    assert got.body == b'{"name":"it\'s"}'
    assert got.token == receiver.token_out
    assert got.headers["x-correlation-id"] == "message-9"
    assert got.headers["ocpi-to-party-id"] == "EMS"
    assert got.headers["x-request-id"] == done.request_id != "first"
    again = Exchange.objects.get(request_id=done.request_id)
    assert (again.correlation_id, again.http_status) == ("message-9", 200)


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ({"module": "credentials", "method": "POST"}, "registering"),
        ({"request_body": '{"token":"…abcd"}'}, "masked"),
        ({"request_body": ""}, "no longer kept"),
        ({"direction": "IN"}, "in its sender's name"),
        ({"method": "POST", "module": "commands", "request_body": '{"result":"ACCEPTED"}'}, "given once"),
        ({"method": "POST", "module": "sessions"}, "twice"),
    ],
    ids=str,
)
def test_what_makes_no_sense_or_is_masked_is_refused(
    receiver: Person, keep: Keep, listener: Listener, columns: dict[str, Any], why: str
) -> None:
    with pytest.raises(CannotReplay, match=why):
        exchange_replay.plan(keep(receiver, **columns))
    assert listener.received() == []


def test_a_platform_that_is_gone_is_not_asked(receiver: Person, keep: Keep) -> None:
    row = keep(receiver)
    planned = exchange_replay.plan(row)
    Platform.objects.update(state="UNREGISTERED")
    snapshot.changed()

    with pytest.raises(CannotReplay, match="not registered"):
        exchange_replay.replay(row, planned)


# ---------------------------------------------------------------- in the admin, and as a command


def test_the_admin_asks_audits_and_shows_what_differs(
    operator: Client, receiver: Person, keep: Keep, listener: Listener
) -> None:
    row = keep(receiver, response_body='{"status_code":1000,"data":{"a":1},"timestamp":"2020-01-01T00:00:00Z"}')
    listener.reply("PUT", "/", code=2001, data={"a": 2}, message="no")
    url = f"/admin/ocpi/exchange/{row.pk}/replay/"

    asked = operator.get(url).content.decode()
    assert "Send this again?" in asked
    assert listener.received() == []
    operator.post(url, {})
    assert listener.received() == []

    answer = operator.post(url, {"confirmed": "yes"}, follow=True)

    assert len(listener.received("PUT")) == 1
    content = answer.content.decode()
    assert "The answer differs" in content
    assert "data.a" in content
    assert "timestamp" not in content[content.index("The answer differs") :]
    entry = AuditEntry.objects.get(action="exchange.replay")
    assert (entry.actor, "2001" in entry.details) == ("operator", True)


def test_a_command_needs_a_reason(operator: Client, receiver: Person, keep: Keep, listener: Listener) -> None:
    body = '{"response_url":"https://a.example/x"}'
    row = keep(
        receiver, method="POST", module="commands", url=f"{receiver.url}/commands/STOP_SESSION", request_body=body
    )
    url = f"/admin/ocpi/exchange/{row.pk}/replay/"

    page = operator.post(url, {"confirmed": "yes"}).content.decode()
    assert "carried out a second time" in page
    assert 'name="reason"' in page
    assert listener.received() == []

    operator.post(url, {"confirmed": "yes", "reason": "the charge point was off"})

    assert len(listener.received("POST")) == 1
    assert "the charge point was off" in AuditEntry.objects.get(action="exchange.replay").details


def test_who_may_only_look_cannot_send(viewer: Client, receiver: Person, keep: Keep, listener: Listener) -> None:
    row = keep(receiver)

    assert viewer.post(f"/admin/ocpi/exchange/{row.pk}/replay/", {"confirmed": "yes"}).status_code == 403
    assert viewer.get(f"/admin/ocpi/exchange/{row.pk}/compare/{row.pk}/").status_code == 403
    assert listener.received() == []


def test_the_command_says_what_it_would_do_and_does_it_when_told(
    receiver: Person, keep: Keep, listener: Listener, capsys: pytest.CaptureFixture[str]
) -> None:
    row = keep(receiver)

    call_command("replay_exchange", str(row.pk))
    assert "Do it with --yes" in capsys.readouterr().out
    assert listener.received() == []
    call_command("replay_exchange", str(row.pk), "--yes", "--json")

    found = json.loads(capsys.readouterr().out)
    assert (found["done"], len(listener.received("PUT"))) == (True, 1)
    assert AuditEntry.objects.filter(action="exchange.replay").count() == 1


def test_the_command_repeats_a_command_only_with_a_reason(receiver: Person, keep: Keep, listener: Listener) -> None:
    row = keep(receiver, method="POST", module="commands", url=f"{receiver.url}/commands/STOP_SESSION")

    with pytest.raises(CommandError, match="--execute-again"):
        call_command("replay_exchange", str(row.pk), "--yes")
    with pytest.raises(CommandError, match="There is no exchange"):
        call_command("replay_exchange", "1")
    assert listener.received() == []


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ('{"a":1,"timestamp":"x"}', '{"timestamp":"y","a":1}', []),
        ('{"a":[1,{"b":2}]}', '{"a":[1,{"b":3},4]}', [("a[1].b", "2", "3"), ("a[2]", "–", "4")]),
        ('{"a":1,"b":2}', '{"b":"2","c":null}', [("a", "1", "–"), ("b", "2", '"2"'), ("c", "–", "null")]),
        ("<html>", "<html>", []),
        ("<html>", '{"a":1}', [("body", "<html>", '{"a":1}')]),
        ('{"a":true}', '{"a":1}', [("a", "true", "1")]),
    ],
)
def test_answers_are_compared_member_by_member(before: str, after: str, expected: list[tuple[str, str, str]]) -> None:
    assert exchange_compare.differences(before, after) == expected


def test_two_large_answers_are_compared_in_no_time() -> None:
    many = json.dumps({"data": [{"id": number} for number in range(20_000)]})
    started = time.monotonic()

    found = exchange_compare.differences(many, many.replace('"id"', '"uid"'))

    assert len(found) == exchange_compare.MOST
    assert time.monotonic() - started < 10
