"""URLs of the hub that stand for a partner's, at both doors: who may use one, what is wrong with a request, limits."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs

import pytest
from asgiref.sync import async_to_sync
from pytest_django.fixtures import Settings

from hub import asgi
from hub.models import Callback, Permission
from ocpi import defects, exchanges, hosts, snapshot
from ocpi.models import Exchange, Party, Platform, RequestedHost
from ocpi.views import MAX_BODY
from tests import front_doors
from tests.fixtures import Document, Partner
from tests.people import Person
from tests.platforms import Listener

RESULT = {"result": "ACCEPTED"}
pytestmark = pytest.mark.usefixtures("hub_side")


@pytest.fixture
def receiver(partner: Partner, listener: Listener) -> Person:
    return partner("DE*EMS:EMSP", listener=listener)


def url(cpo: Person, owner: Person, listener: Listener, kind: str = "RESPONSE_URL", **more: Any) -> str:
    Callback.objects.create(
        key="k" * 43, kind=kind, url=f"{listener.url}/theirs", owner_id=owner.id, caller_id=cpo.id, module="commands",
        correlation_id="c", **more,
    )  # fmt: skip
    return f"http://127.0.0.1:8000/ocpi/hub/2.2.1/callbacks/{'k' * 43}"


@pytest.mark.usefixtures("front_door")
@pytest.mark.req("HUB-72", "HUB-73", "SEC-41", "TRN-034", "HUB-05", "HUB-66", "SEC-34", "SEC-45")
@pytest.mark.parametrize(
    ("method", "kind", "more", "codes", "reaches"),
    [
        ("POST", "RESPONSE_URL", {}, (200, 1000), True),
        ("GET", "LOCATION", {}, (200, 1000), True),
        ("GET", "LINK", {}, (200, 1000), True),
        ("GET", "RESPONSE_URL", {}, (405, 2000), False),
        ("POST", "LOCATION", {}, (405, 2000), False),
        ("PUT", "RESPONSE_URL", {}, (405, 2000), False),
        ("POST", "RESPONSE_URL", {"headers": {"OCPI-to-party-id": None}}, (200, 2001), False),
        ("POST", "RESPONSE_URL", {"sender": "BE*MSX"}, (200, 2001), False),
        ("POST", "RESPONSE_URL", {"body": b"{"}, (400, 2000), False),
        ("POST", "RESPONSE_URL", {"headers": {"Content-Encoding": "gzip"}}, (415, 2000), False),
        ("POST", "RESPONSE_URL", {"body": b"{}" + b" " * MAX_BODY}, (400, 2000), False),
        ("POST", "RESPONSE_URL", {"expired": True}, (404, 2000), False),
        ("POST", "RESPONSE_URL", {"offline": True}, (200, 4003), False),
        ("POST", "RESPONSE_URL", {"reply": {"status": 500, "code": 3000}}, (500, 3000), True),
        ("POST", "RESPONSE_URL", {"reply": {"raw": b"<html>"}}, (200, 4000), True),
        ("POST", "RESPONSE_URL", {"reply": {"close": True}}, (200, 4002), True),
        ("POST", "RESPONSE_URL", {"reply": {"status": 429, "code": 2000}}, (429, 2000), True),
    ],
)
def test_what_comes_of_a_request_at_a_url_of_the_hub(
    cpo: Person, receiver: Person, listener: Listener, settings: Settings, method: str, kind: str,
    more: dict[str, Any], codes: tuple[int, int], reaches: bool,
) -> None:  # fmt: skip
    settings.OCPI_EXCHANGES = True
    exchanges._waiting.forget()
    expires = {"expires_at": "2020-01-01T00:00:00Z"} if more.get("expired") else {}
    at = url(cpo, receiver, listener, kind, **expires)
    if more.get("offline"):
        Platform.objects.filter(pk=receiver.id).update(connection="OFFLINE")
        snapshot.changed()
    listener.reply(method, "/theirs", **more.get("reply", {}))
    body = more.get("body", RESULT if method == "POST" else None)
    asked = {name: more[name] for name in ("headers", "sender") if name in more}

    answer = cpo.request(method, at, body, to="DE*EMS", documented=False, **asked)

    assert answer.codes == codes
    assert len(listener.received(method)) == int(reaches)
    exchanges.flush()
    arrived = Exchange.objects.get(direction="IN")
    assert (arrived.platform_id, arrived.http_status, arrived.status_code) == (cpo.id, *codes)
    assert Exchange.objects.filter(direction="OUT").count() == int(reaches)


@pytest.mark.usefixtures("front_door")
@pytest.mark.req("HUB-73")
@pytest.mark.parametrize("to", [None, "NL*HUB", "BE*MSX", "DE*EMS", "de*ems"])
@pytest.mark.parametrize("sender", [None, "NL*TNM"])
def test_a_result_goes_on_from_the_one_party_to_the_other(
    cpo: Person, receiver: Person, listener: Listener, to: str | None, sender: str | None
) -> None:
    answer = cpo.request("POST", url(cpo, receiver, listener), RESULT, to=to, sender=sender, documented=False)

    assert answer.codes == (200, 1000)
    [arrived] = listener.received("POST")
    assert _addresses(arrived.headers) == "DE*EMS NL*TNM"
    assert _addresses(answer.headers) == "NL*TNM DE*EMS"


@pytest.mark.usefixtures("front_door")
@pytest.mark.req("HUB-73")
def test_of_several_parties_none_is_chosen_for_a_result(cpo: Person, partner: Partner, listener: Listener) -> None:
    several = partner("DE*ONE:EMSP", "DE*TWO:EMSP", listener=listener)
    at = url(cpo, several, listener)

    assert cpo.post(at, RESULT, to="DE*TWO", documented=False).codes == (200, 1000)
    [arrived] = listener.received("POST")
    assert _addresses(arrived.headers) == "DE*TWO NL*TNM"


def _addresses(headers: Any) -> str:
    """Return To and From of a message, in capitals."""
    found = {name.lower(): value for name, value in headers.items()}
    return " ".join(
        f"{found[f'ocpi-{way}-country-code']}*{found[f'ocpi-{way}-party-id']}" for way in ("to", "from")
    ).upper()


@pytest.mark.usefixtures("front_door")
@pytest.mark.req("TRN-039", "HUB-09")
def test_a_refusal_is_counted_and_addressed(cpo: Person, receiver: Person, listener: Listener) -> None:
    at = url(cpo, receiver, listener)
    before = defects.count(cpo.id, "TRN-039 refused: OCPI-from-party-id")

    answer = cpo.request("POST", at, RESULT, to="DE*EMS", sender="BE*MSX", documented=False)

    assert defects.count(cpo.id, "TRN-039 refused: OCPI-from-party-id") == before + 1
    assert (answer.headers["OCPI-from-party-id"], answer.headers["OCPI-to-party-id"]) == ("HUB", "MSX")


@pytest.mark.usefixtures("front_door")
@pytest.mark.req("HUB-68", "HUB-09")
@pytest.mark.parametrize(
    ("method", "more", "code"),
    [
        ("POST", {}, 4003), ("GET", {}, 2000), ("PUT", {}, 2000), ("POST", {"body": b"{"}, 2000),
        ("POST", {"headers": {"OCPI-to-party-id": None}}, 2001),
    ],
)  # fmt: skip
def test_what_the_hub_refuses_comes_from_the_hub(
    cpo: Person, receiver: Person, listener: Listener, method: str, more: dict[str, Any], code: int
) -> None:
    Platform.objects.filter(pk=receiver.id).update(connection="OFFLINE")
    snapshot.changed()
    body = more.get("body", None if method == "GET" else RESULT)

    answer = cpo.request(
        method, url(cpo, receiver, listener), body, to="DE*EMS", headers=more.get("headers"), documented=False
    )

    assert answer.status_code == code
    assert _addresses(answer.headers) == "NL*TNM NL*HUB"


@pytest.mark.usefixtures("front_door")
@pytest.mark.req("TRN-002", "SEC-25", "PIT-64")
@pytest.mark.parametrize(
    ("given", "code"),
    [
        ("{url}/r/1", 1000), ("HTTP://{host}/r/1?a=b%20c", 1000), ("https://emsp.example/r", 1000),
        ("http://a:b@{host}/r", 2001), ("{url}/r#1", 2001), ("{url}/\u00fc", 2001), ("https://10.1.1.1/r", 2001),
        ("https://emsp.example:22/r", 2001), ("ftp://{host}/r", 2001),
        ("/r", 2001), ("", 2001), (None, 2001), (5, 2001),
    ],
)  # fmt: skip
def test_what_could_never_be_called_back_is_refused_at_once(
    receiver: Person, cpos: Person, listener: Listener, given: Any, code: int
) -> None:
    url = given.format(url=listener.url, host=listener.host) if isinstance(given, str) else given
    body = {"session_id": "1", "response_url": url}

    answer = receiver.post("hub/2.2.1/receiver/commands/STOP_SESSION", body, to="NL*CP1", documented=False)

    assert answer.status_code == code
    assert len(listener.received("POST")) == Callback.objects.count() == (code == 1000)


@pytest.mark.usefixtures("front_door")
@pytest.mark.req("SEC-21")
@pytest.mark.parametrize("path", ["commands/STOP_SESSION", "chargingprofiles/S1"])
def test_an_admin_sees_at_once_that_a_result_is_to_go_to_another_host(
    receiver: Person, cpos: Person, listener: Listener, path: str
) -> None:
    url, there = f"hub/2.2.1/receiver/{path}", "https://elsewhere.example/r"

    if path.startswith("commands"):
        answer = receiver.post(url, {"session_id": "1", "response_url": there}, to="NL*CP1", documented=False)
    else:
        answer = receiver.delete(url, query={"response_url": there}, to="NL*CP1")
    hosts.flush()

    assert answer.codes == (200, 1000)  # the driver charges
    waiting = RequestedHost.objects.get()
    assert (waiting.platform_id, waiting.host) == (receiver.id, "elsewhere.example:443")


@pytest.mark.usefixtures("front_door")
@pytest.mark.req("TRN-002")
def test_where_tls_is_required_a_result_is_promised_to_no_other_url(
    receiver: Person, cpos: Person, settings: Settings
) -> None:
    settings.OCPI_TLS_REQUIRED = True
    body = {"session_id": "1", "response_url": "http://emsp.example/r"}

    answer = receiver.post("hub/2.2.1/receiver/commands/STOP_SESSION", body, to="NL*CP1", documented=False)

    assert answer.codes == (200, 2001)
    assert "response_url" in str(answer.message)


# ---------------------------------------------------------------- platforms with several parties


@pytest.fixture
def asker() -> Iterator[Listener]:
    with Listener() as found:
        yield found


@pytest.fixture
def emsps(partner: Partner, asker: Listener) -> Person:
    return partner("DE*ONE:EMSP", "DE*TWO:EMSP", listener=asker)


@pytest.fixture
def cpos(partner: Partner, listener: Listener) -> Person:
    listener.reply("POST", "/", data={"result": "ACCEPTED", "timeout": 30})
    return partner("NL*CP1:CPO", "NL*CP2:CPO", listener=listener)


@pytest.mark.usefixtures("front_door")
@pytest.mark.req("HUB-73", "HUB-72", "CMD-18")
@pytest.mark.parametrize("to", [None, "NL*HUB", "DE*ONE", "DE*TWO", "BE*MSX"])
@pytest.mark.parametrize("sender", [None, "NL*CP1", "NL*CP2"])
def test_a_result_goes_from_the_party_that_was_asked_to_the_one_that_asked(
    emsps: Person, cpos: Person, listener: Listener, asker: Listener, document: Document,
    to: str | None, sender: str | None,
) -> None:  # fmt: skip
    body = document("stop_session", response_url=f"{asker.url}/results/1")
    command = "hub/2.2.1/receiver/commands/STOP_SESSION"
    assert emsps.post(command, body, to="NL*CP2", sender="DE*TWO").codes == (200, 1000)
    given = str(listener.received("POST")[0].json["response_url"])

    answer = cpos.request("POST", given, RESULT, to=to, sender=sender, documented=False)

    assert answer.codes == (200, 1000)
    [arrived] = asker.received("POST")
    assert _addresses(arrived.headers) == "DE*TWO NL*CP2"
    assert _addresses(answer.headers) == "NL*CP2 DE*TWO"


@pytest.mark.usefixtures("front_door")
@pytest.mark.req("HUB-73", "CHP-04")
def test_a_result_of_a_charging_profile_does_the_same(
    emsps: Person, cpos: Person, listener: Listener, asker: Listener
) -> None:
    listener.reply("DELETE", "/", data={"result": "ACCEPTED", "timeout": 30})
    emsps.delete(
        "hub/2.2.1/receiver/chargingprofiles/S1", query={"response_url": f"{asker.url}/results/1"}, to="NL*CP2",
        sender="DE*TWO",
    )  # fmt: skip
    given = parse_qs(listener.received("DELETE")[0].query)["response_url"][0]

    assert cpos.post(given, RESULT, to=None, sender=None, documented=False).codes == (200, 1000)
    assert _addresses(asker.received("POST")[0].headers) == "DE*TWO NL*CP2"


@pytest.mark.usefixtures("front_door")
@pytest.mark.req("HUB-75", "SEC-40")
@pytest.mark.parametrize(("sender", "code"), [(None, 1000), ("DE*TWO", 1000), ("DE*ONE", 2000)])
@pytest.mark.parametrize("to", [None, "NL*CP1", "NL*CP2"])
def test_further_pages_come_from_the_party_of_the_first_and_only_to_who_may_read_them(
    emsps: Person, cpos: Person, listener: Listener, to: str | None, sender: str | None, code: int
) -> None:
    Permission.objects.create(
        effect="DENY", from_country_code="NL", from_party_id="CP2", to_country_code="DE", to_party_id="ONE"
    )
    snapshot.changed()
    listener.reply("GET", "/", data=[], headers={"Link": f'<{listener.url}/next>; rel="next"'})
    page = emsps.get("hub/2.2.1/sender/tariffs", to="NL*CP2", sender="DE*TWO").headers["Link"]
    for _ in range(2):
        listener.forget()

        answer = emsps.request("GET", page[1:].partition(">")[0], to=to, sender=sender, documented=False)

        assert answer.status_code == code
        assert [_addresses(got.headers) for got in listener.received("GET")] == ["NL*CP2 DE*TWO"] * (code == 1000)
        page = answer.headers.get("Link", page)


@pytest.mark.req("HUB-75", "SEC-40")
@pytest.mark.parametrize(
    ("denied", "approved", "code"), [("CP1", True, 1000), ("CP1", False, 2000), ("", True, 2000)], ids=str
)
def test_pages_that_nobody_s_party_is_known_of_are_for_platforms_with_anything_between_them(
    emsps: Person, cpos: Person, listener: Listener, denied: str, approved: bool, code: int
) -> None:
    """Links were kept without parties once; a party that may not act counts for nobody."""
    Party.objects.filter(platform_id=cpos.id, party_id="CP2").update(approved=approved)
    Permission.objects.create(effect="DENY", from_country_code="DE", to_country_code="NL", to_party_id=denied)
    snapshot.changed()
    page = url(emsps, cpos, listener, "LINK")

    answer = emsps.request("GET", page, to=None, sender=None, documented=False)

    assert answer.status_code == code
    assert len(listener.received("GET")) == (code == 1000)


@pytest.mark.req("REL-24")
def test_results_for_one_that_hangs_take_no_more_than_its_limit(
    cpo: Person, receiver: Person, listener: Listener, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    front_doors.use_lane(monkeypatch)
    settings.OCPI_FORWARDS_PER_PLATFORM = 1
    listener.reply("GET", "/theirs", delay=0.5)
    path = url(cpo, receiver, listener, "LOCATION").partition("8000")[2]
    lines = [(b"authorization", cpo.authorization.encode())]
    application = asgi.Application()

    async def both() -> list[bool]:
        first = asyncio.ensure_future(front_doors.ask("GET", path, lines, [b""], application=application))
        while not application.waiting():
            await asyncio.sleep(0.01)
        second = await front_doors.ask("GET", path, lines, [b""], application=application)
        found = [b'"status_code":4003' in second.content.replace(b" ", b""), (await first).status_code == 200]
        await application.close()
        return found

    assert async_to_sync(both)() == [True, True]
    assert len(listener.received("GET")) == 1
