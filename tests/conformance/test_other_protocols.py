"""A client that offers another protocol with its requests, as Java's does with HTTP/2, is served in HTTP/1.1."""

from __future__ import annotations

import json

import pytest

from emsp.models import Location
from tests import front_doors
from tests.fixtures import Document, Partner
from tests.people import Person
from tests.platforms import Listener
from tests.short_way import BODY, Answer, Served, request, run
from tests.short_way import served_fixture as served_fixture

OFFER = {
    "Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2_Settings": "AAEAAEAAAAIAAAABAAMAAABkAAQBAAAA",
}  # fmt: skip


def _in_chunks(octets: bytes, body: bytes) -> bytes:
    head = octets.removesuffix(body).replace(b"Content-Length: %d" % len(body), b"Transfer-Encoding: chunked")
    return head + b"4\r\n" + body[:4] + b"\r\n%x\r\n" % (len(body) - 4) + body[4:] + b"\r\n0\r\n\r\n"


@pytest.mark.req("HUB-12", "HUB-21", "HUB-25")
@pytest.mark.usefixtures("hub_side", "in_lane")
@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("piece", [10, 100_000])
@pytest.mark.parametrize("offer", [OFFER, {"Connection": "Upgrade", "Upgrade": "websocket"}])
def test_the_hub_passes_its_requests_on(
    cpo: Person, partner: Partner, listener: Listener, served: Served, offer: dict[str, str], chunked: bool, piece: int
) -> None:
    partner("DE*EMS:EMSP", listener=listener)
    octets = request(cpo, **offer)  # type: ignore[arg-type]
    sent = (_in_chunks(octets, BODY) if chunked else octets) + request(cpo) + octets

    async def work() -> list[Answer]:
        client = await served.client()
        for place in range(0, len(sent), piece):
            client.send(sent[place : place + piece])
        return [await client.answer() for _ in range(3)]

    assert [answer.codes for answer in run(served, work)] == [(200, 1000)] * 3
    assert [got.body for got in listener.received("PUT")] == [BODY] * 3
    assert "upgrade" not in listener.received("PUT")[0].headers


@pytest.mark.req("HUB-12")
@pytest.mark.usefixtures("hub_side", "in_lane")
def test_who_wants_the_connection_closed_has_it_closed(
    cpo: Person, partner: Partner, listener: Listener, served: Served
) -> None:
    partner("DE*EMS:EMSP", listener=listener)

    async def work() -> tuple[Answer, bool]:
        client = await served.client()
        return await client.ask(request(cpo, Connection="close, Upgrade", Upgrade="h2c")), await client.is_closed()

    answer, is_closed = run(served, work)
    assert (answer.codes, is_closed) == ((200, 1000), True)


@pytest.mark.req("TRN-035")
@pytest.mark.usefixtures("hub_side", "in_lane")
def test_a_tunnel_is_refused(served: Served) -> None:
    async def work() -> tuple[Answer, bool]:
        client = await served.client()
        return await client.ask(b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n"), await client.is_closed()

    answer, is_closed = run(served, work)
    assert (answer.codes, is_closed) == ((400, 2000), True)


@pytest.mark.req("LOC-22")
def test_an_emsp_takes_what_it_is_sent(
    emsp_side: None, monkeypatch: pytest.MonkeyPatch, partner: Partner, document: Document
) -> None:
    front_doors.use_lane(monkeypatch)
    served, cpo = Served(monkeypatch), partner("NL*TNM:CPO")
    body = json.dumps(document("location", id="LOC1")).encode()
    octets = request(cpo, path="/ocpi/emsp/2.2.1/locations/NL/TNM/LOC1", body=body, **OFFER)  # type: ignore[arg-type]

    async def work() -> Answer:
        return await (await served.client()).ask(octets)

    answer: Answer = run(served, work)
    assert answer.codes == (201, 1000)
    assert Location.objects.get().object_id == "LOC1"
