"""What is no HTTP is refused in an envelope, and never before the answers to what came ahead of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests import front_doors
from tests.fixtures import Partner
from tests.people import Person
from tests.platforms import Listener
from tests.short_way import Answer, Served, request, run
from tests.short_way import served_fixture as served_fixture

BAD = [
    b"GARBAGE\r\n\r\n",
    b"GET /ocpi/versions HTTP/1.1\r\nHost x\r\n\r\n",
    b"GET /ocpi/versions HTTP/9.9\r\nHost: x\r\n\r\n",
    b"PUT /ocpi/hub/2.2.1/sender/sessions/S1/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"PUT /ocpi/nowhere HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"PUT /ocpi/hub/2.2.1/sender/sessions/S1/x HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    b"GET /ocpi/versions HTTP/1.1\r\n" + b"".join(b"X-%d: %s\r\n" % (n, b"y" * 8000) for n in range(9)),
]
Ahead = Callable[[bool, bytes, int], tuple[list[tuple[int, int]], bool]]
pytestmark = pytest.mark.req("TRN-035", "TRN-025", "TRN-058")


def _is_refusal(answer: Answer, http_status: int = 400) -> bool:
    found = json.loads(answer.body)
    return (
        answer.codes == (http_status, 2000)
        and found.keys() == {"status_code", "status_message", "timestamp"}
        and answer.headers["content-type"] == "application/json"
        and answer.headers["connection"] == "close"
        and bool(answer.headers["x-request-id"] and answer.headers["x-correlation-id"])
    )


@pytest.mark.parametrize("place", ["hub_side", "emsp_side"])
@pytest.mark.parametrize("octets", BAD)
def test_what_is_no_http_gets_an_envelope(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, place: str, octets: bytes
) -> None:
    request.getfixturevalue(place)
    front_doors.use_lane(monkeypatch)
    served = Served(monkeypatch)

    async def work() -> bool:
        client = await served.client()
        return _is_refusal(await client.ask(octets)) and await client.is_closed()

    assert run(served, work)


@pytest.mark.usefixtures("hub_side")
def test_too_many_headers_are_refused_in_an_envelope_with_their_ids(
    monkeypatch: pytest.MonkeyPatch, cpo: Person
) -> None:
    front_doors.use_lane(monkeypatch)
    served = Served(monkeypatch)

    async def work() -> Answer:
        many: dict[str, Any] = {f"X_{number}": "y" for number in range(100)}
        return await (await served.client()).ask(request(cpo, ids=("mine", "ours"), **many))

    answer: Answer = run(served, work)
    assert _is_refusal(answer, 431)
    assert (answer.headers["x-request-id"], answer.headers["x-correlation-id"]) == ("mine", "ours")


@pytest.fixture
def ahead(hub_side: None, monkeypatch: pytest.MonkeyPatch, partner: Partner, listener: Listener, cpo: Person) -> Ahead:
    """Send a request that is answered late, and something else right behind it; return what was answered, and whether
    the connection is closed then."""
    front_doors.use_lane(monkeypatch)
    served = Served(monkeypatch)
    partner("DE*EMS:EMSP", listener=listener)
    first = request(cpo)

    def send(warm: bool, then: bytes, answers: int) -> tuple[list[tuple[int, int]], bool]:
        async def work() -> tuple[list[tuple[int, int]], bool]:
            client = (await served.warm(first))[0] if warm else await served.client()
            listener.reply("PUT", "/", delay=0.2)
            if warm:
                client.send(first)
                client.send(then)
            else:
                client.send(first + then)
            found = [(await client.answer()).codes for _ in range(answers)]
            return found, await client.is_closed()

        found: tuple[list[tuple[int, int]], bool] = run(served, work)
        return found

    return send


@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize("then", BAD[:3])
def test_what_came_ahead_is_answered_and_nothing_else(ahead: Ahead, warm: bool, then: bytes) -> None:
    assert ahead(warm, then, 1) == ([(200, 1000)], True)


@pytest.mark.parametrize("warm", [False, True])
def test_of_two_the_second_is_refused_behind_the_first(ahead: Ahead, warm: bool) -> None:
    assert ahead(warm, BAD[3], 2) == ([(200, 1000), (400, 2000)], True)
