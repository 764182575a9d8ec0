"""Lines of the log made for many at a time: the same as one by one, whatever is in them, and no token in any."""

from __future__ import annotations

import base64
import re
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from ocpi import exchange_rows, exchange_waiting, exchanges, live_secrets, snapshot, traffic
from ocpi.exchange_columns import COPY, Entry, columns
from ocpi.exchange_forward import Forwarded, Legs
from ocpi.exchange_rows import Lines
from ocpi.exchange_waiting import Waiting
from ocpi.headers import Address, Routing
from ocpi.models import Exchange
from ocpi.same_head import Head, Said
from tests.people import Person

ROUTING = Routing(to=Address("DE", "EMS"), sender=Address("NL", "TNM"))
TIMES = ("id", "at")  # the id numbers on
_NAMES = [name.strip() for name in COPY.partition("(")[2].partition(")")[0].split(",")]
_CHANGING = frozenset((b"x-request-id", b"x-correlation-id", b"content-length"))


def said(*more: bytes, spelled: Callable[[str], str] = str) -> Said:
    lines = [b"", *more, b"X-Request-ID: r", b"X-Correlation-ID: c", b"Content-Length: 2"]
    head = Head(lines, _CHANGING, first=re.compile(b""), spelled=spelled, between=",")
    return Said(head, (b"r", b"c", b"2"))


def legs(method: str, module: str) -> Legs:
    above, base = f"/ocpi/hub/2.2.1/receiver/{module}", f"https://a.example/50%25/{module}"
    return Legs(
        1, 2, method, module, ROUTING, above.encode(), base.encode(), {"Host": "a", "X": "%d"}, {"Content-Type": "b"}
    )


def forwarded(**given: Any) -> Forwarded:
    sent = {"Host": "a.example", "Authorization": "Token …abcd", "Accept": "application/json"}
    usual: dict[str, Any] = {
        "legs": replace(legs("PUT", "sessions"), sent=sent),
        "at": 1_767_225_600.25, "elapsed": 0.0125, "sent_at": 1_767_225_600.251, "sent_elapsed": 0.01,
        "below": b"/NL/TNM/S1?x=1",
        "request_id": b"r", "correlation_id": b"c", "sent_id": b"s",
        "asked": said(b"Authorization: Token c2VjcmV0", b"Accept: */*", b"User-Agent: 100% x\\y", spelled=str.title),
        "request_body": b'{"a":"\\n"}', "http_status": 200, "status_code": 1000,
        "answered": said(b"server: x", b"Set-Cookie: secret-cookie"), "response_body": b'{"status_code":1000}',
    }  # fmt: skip
    return Forwarded(**(usual | given))


def one_by_one(forward: Forwarded) -> list[tuple[Any, ...]]:
    return [columns(entry) for entry in forward.entries()]


def as_stored(lines: bytes) -> list[dict[str, Any]]:
    """Return what PostgreSQL makes of lines, through the table itself."""
    Exchange.objects.all().delete()
    with connection.cursor() as cursor, cursor.copy(COPY) as copy:
        copy.write(lines)
    return list(Exchange.objects.order_by("at").values(*_NAMES))


def without_numbers(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != "id"} for row in rows]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"request_body": b""},
        {"request_body": None, "answered": {"server": "x\ty", "x-odd": "a\\b"}},
        {"request_body": "{\"a\":\"\\t€\n\t\r\\\\\"}".encode(), "correlation_id": b"a%s"},
        {"request_body": b"\xff\0", "response_body": b'{"status_code":1000}' + b"x" * 70_000},
        {"http_status": 201, "status_code": 2001, "response_body": b'{"status_code":2001}'},
        {"legs": legs("POST", "tokens"), "below": b"/T/authorize"},
        {"legs": replace(legs("PUT", "tokens"), base=b"https://a.example/t%"), "below": b"/T"},
        {"legs": replace(legs("PUT", "tokens"), is_same_below=True), "below": b"/DE/EMS/T"},
        {"legs": replace(legs("POST", "tokens"), came_with=Routing(sender=ROUTING.sender))},
        {"legs": legs("POST", "commands"), "request_body": b'{"location_id":"L\\u00001"}',
         "below": b"/START_SESSION"},
    ],
    ids=str,
)  # fmt: skip
def test_a_forward_comes_to_the_same_lines_as_its_two_exchanges(given: dict[str, Any]) -> None:
    forward = forwarded(**given)

    at_once = without_numbers(as_stored(b"".join(exchange_rows.lines([forward])[0])))
    apart = without_numbers(as_stored(b"".join(map(exchange_rows.line, one_by_one(forward)))))

    assert at_once == apart
    assert [row["direction"] for row in at_once] == ["IN", "OUT"]


@pytest.mark.req("SEC-50")
@pytest.mark.django_db
@pytest.mark.parametrize(
    "where",
    [
        lambda token: forwarded(request_body=b'{"x":"' + token + b'"}'),
        lambda token: forwarded(response_body=b'{"x":"' + token + b'"}'),
        lambda token: forwarded(below=b"/" + token),
        lambda token: forwarded(below=b"/" + token + b"/x"),
        lambda token: forwarded(below=b"/x?x=" + token),
        lambda token: forwarded(legs=replace(legs("PUT", "sessions"), base=b"https://a.example/" + token)),
        lambda token: forwarded(legs=replace(legs("PUT", "sessions"), base=b"https://a/" + token + b"/sessions")),
        lambda token: forwarded(asked=said(b"X-Odd: " + token)),
        lambda token: forwarded(asked=said(b"Authorization: Token " + token)),
        lambda token: forwarded(answered=said(b"x-odd: " + token)),
        lambda token: forwarded(answered={"x-odd": token.decode()}),
        lambda token: Entry("IN", 1.0, "PUT", "/x", request_body=token),
        lambda token: Entry("IN", 1.0, "PUT", "/x", error="no " + token.decode()),
        lambda token: Entry("IN", 1.0, "PUT", "/x", request_headers={"X-Odd": token.decode()}),
    ],
)
@pytest.mark.parametrize("encoded", [False, True])
def test_a_live_token_is_found_wherever_it_stands_among_many(
    cpo: Person, where: Callable[[bytes], Any], encoded: bool
) -> None:
    token = base64.b64encode(cpo.token.encode()) if encoded else cpo.token.encode()
    usual = forwarded()

    parts, _ = exchange_rows.lines([usual, where(token), usual])
    lines = b"".join(parts)

    assert token not in lines
    assert lines.count(b"\n") in (5, 6)
    assert b"S1?x=1" in lines


@pytest.mark.req("SEC-50")
@pytest.mark.django_db
def test_what_is_said_to_have_no_token_has_none(cpo: Person) -> None:
    token = cpo.token
    assert live_secrets.none_in(b"a\n" + b"b" * 40 + f"\n{token[:-1]}\n".encode())
    assert not live_secrets.none_in(f"a\nx {token} y".encode())
    assert not live_secrets.none_in(b"a\n" + base64.b64encode(token.encode()))
    for encoded in (token.encode(), base64.b64encode(token.encode()), base64.b64encode(token.encode()).rstrip(b"=")):
        for around in (b"%b", b"/a/%b", b"/a/%b/b", b"%b/b", b"/a/x=%b/b?c", b"?x=%b&y", b'{"a":"%b/"}', b"/a//%b//%b"):
            text = b"a\n" + around.replace(b"%b", encoded) + b"\nb"
            assert token not in live_secrets.hide(text.decode()) != text.decode()
            assert not live_secrets.none_in(text)
    # Two texts that stand side by side are no word together.
    assert live_secrets.none_in(f"{token[:20]}\n{token[20:-4]}zzzz".encode())


@pytest.mark.django_db
@given(st.text(max_size=50))
def test_any_text_survives_the_way_through_copy(text: str) -> None:
    kept = columns(
        Entry("IN", 1.0, "PUT", "/x", request_headers={"X-Odd": text}, request_body=text.encode("utf-8", "replace"))
    )
    (row,) = as_stored(exchange_rows.line(kept))

    assert tuple(row[name] for name in _NAMES[1:]) == kept[1:]


@pytest.mark.django_db
def test_traffic_counts_each_leg_of_a_forward(settings: Any) -> None:
    settings.OCPI_EXCHANGES = True
    exchanges._waiting.forget()
    traffic.forget()
    for _ in range(3):
        exchanges.record(forwarded())
    exchanges.record(forwarded(status_code=2001))

    assert exchanges.flush() == 4

    found = {(key[0], *key[2:]): number for key, (number, _) in traffic._take().items()}
    assert found == {(1, "IN", "2xx"): 3, (2, "OUT", "2xx"): 3, (1, "IN", "OCPI 2001"): 1, (2, "OUT", "OCPI 2001"): 1}
    assert Exchange.objects.count() == 8


@pytest.mark.django_db
def test_traffic_counts_each_leg_in_the_minute_in_which_it_began() -> None:
    minute = 1_767_225_600.0
    late = {"at": minute + 59.9, "elapsed": 0.3, "sent_at": minute + 60.1, "sent_elapsed": 0.1}

    _, tallies = exchange_rows.lines([forwarded(at=minute, sent_at=minute + 1), forwarded(**late)])

    assert {(key[0], key[1] - minute): number for key, (number, _) in tallies.items()} == {
        (1, 0.0): 2, (2, 0.0): 1, (2, 60.0): 1,
    }  # fmt: skip
    assert tallies[2, int(minute) + 60, "OUT", "2xx"] == [1, 100.0]


@pytest.mark.django_db
def test_a_busy_hub_makes_lines_before_the_writer_comes(cpo: Person) -> None:
    waiting = Waiting()
    live_secrets.none_in(b"")  # what is live is at hand
    forwards = [forwarded(below=b"/NL/TNM/S%d" % number) for number in range(200)]

    assert [waiting.add(each) for each in forwards] == [0] * 200
    made, *others = waiting.take()

    assert isinstance(made, Lines)
    assert len(others) == 72
    early, tallies = exchange_rows.lines([made, *others])
    late, tallies_late = exchange_rows.lines(forwards)
    assert sorted(map(_without_id, b"".join(early).splitlines())) == sorted(
        map(_without_id, b"".join(late).splitlines())
    )
    assert tallies == tallies_late
    assert len(as_stored(b"".join(early))) == 400


def _without_id(line: bytes) -> bytes:
    return line.partition(b"\t")[2]


@pytest.mark.req("SEC-50")
@pytest.mark.django_db
def test_lines_are_not_made_early_of_what_has_a_token_or_may_have_one(cpo: Person) -> None:
    live_secrets.none_in(b"")
    with_token = [forwarded(), forwarded(request_body=b'{"x":"' + cpo.token.encode() + b'"}')]

    assert exchange_rows.finished([forwarded()]) is not None
    assert exchange_rows.finished(with_token) is None
    snapshot.changed()  # which tokens are live now is to be read
    assert exchange_rows.finished([forwarded()]) is None


@pytest.mark.req("SEC-50")
@pytest.mark.django_db
def test_a_token_among_many_forwards_of_a_busy_hub_is_masked(cpo: Person, settings: Any) -> None:
    settings.OCPI_EXCHANGES = True
    exchanges._waiting.forget()
    live_secrets.none_in(b"")
    for number in range(300):
        more = {"request_body": b'{"x":"' + cpo.token.encode() + b'"}'} if number == 140 else {}
        exchanges.record(forwarded(**more))

    exchanges.flush()

    bodies = Exchange.objects.values_list("request_body", flat=True)
    assert len(bodies) == 600
    assert not any(cpo.token in body for body in bodies)


@pytest.mark.django_db
def test_bodies_that_are_long_are_left_to_the_writer() -> None:
    waiting = Waiting()
    live_secrets.none_in(b"")
    for _ in range(128):
        waiting.add(forwarded(response_body=b"x" * 8_000))

    assert [type(each) for each in waiting.take()] == [Forwarded] * 128


@pytest.mark.django_db(transaction=True)
def test_a_line_that_cannot_be_stored_takes_none_of_those_made_with_it_along(settings: Any) -> None:
    settings.OCPI_EXCHANGES = True
    exchanges._waiting.forget()
    traffic.forget()
    live_secrets.none_in(b"")
    lines = exchange_rows.finished([forwarded() for _ in range(3)])
    assert lines is not None
    one, rest = lines.text.split(b"\n", 1)
    lines.text = one.replace(b"2026-", b"1826-99-") + b"\n" + rest
    before = exchanges.lost()

    exchanges._write_one_by_one([lines])

    assert exchanges.lost() - before == 1
    assert Exchange.objects.count() == 5
    found = {(key[0], *key[2:]): number for key, (number, _) in traffic._take().items()}
    assert (found[1, "IN", "2xx"], found[2, "OUT", "2xx"]) == (3, 3)


@pytest.mark.django_db
def test_lines_that_wait_too_long_go_with_all_their_exchanges(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = Waiting()
    live_secrets.none_in(b"")
    monkeypatch.setattr(exchange_waiting, "MOST_BYTES", 200_000)  # the lines of 128 are half of it

    dropped = [waiting.add(forwarded()) for _ in range(128 * 4)]

    assert sum(dropped) % 256 == 0 < sum(dropped) < 1024
    assert sum(each.exchanges for each in waiting.take()) == 1024 - sum(dropped)


@pytest.mark.django_db
def test_what_others_drop_meanwhile_takes_nothing_of_a_batch_along(monkeypatch: pytest.MonkeyPatch) -> None:
    class Shrinking(deque[Any]):
        def __len__(self) -> int:
            return super().__len__() + 1

    waiting = Waiting()
    monkeypatch.setattr(waiting, "_passed", Shrinking([forwarded(), forwarded()]))
    monkeypatch.setattr(waiting, "_all", Shrinking([Entry("IN", 1.0, "PUT", "/x")]))

    assert len(waiting.take()) == 3
