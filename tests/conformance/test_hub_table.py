"""One table for the hub: mode × module × method × failure → status, headers, and who received what.

The rows are in `hub_table.py`; each comes in through both doors (Django, and the fast lane).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from hub.models import KnownObject, Permission
from ocpi import snapshot
from ocpi.headers import Address
from ocpi.models import Delivery, Endpoint, Platform
from tests.answers import OcpiAnswer
from tests.conformance import hub_table
from tests.conformance.hub_table import Outcome, Request
from tests.fixtures import Document, Partner
from tests.people import Person, at
from tests.platforms import Listener

pytestmark = pytest.mark.usefixtures("hub_side", "front_door")

HEALTHY = {"connection": "CONNECTED", "failures": 0, "failing_since": None, "paused_reason": "", "backoff_until": None}


class World:
    """A CPO and an eMSP that each answer at a listener of their own, and bystanders who must hear of nothing."""

    def __init__(self, partner: Partner, document: Document, listeners: dict[str, Listener]) -> None:
        self.document, self.listeners = document, listeners
        self.people = {
            "cpo": partner("NL*TNM:CPO", listener=listeners["cpo"]),
            "emsp": partner("DE*EMS:EMSP", listener=listeners["emsp"]),
        }
        self.stranger = Person(token="nobody-gave-this-token-to-anybody")
        KnownObject.objects.create(kind="token", key="RFID/T1", owner="DE*EMS")
        KnownObject.objects.create(kind="session", key="S1", owner="NL*TNM", counterpart="DE*EMS")

    def target(self, request: Request) -> Person:
        return self.people["emsp" if request.sender == "cpo" else "cpo"]

    def heal(self) -> None:
        """Forget what the request before has done to the receiver."""
        for each in self.listeners.values():
            each.forget()
        Platform.objects.update(**HEALTHY)
        snapshot.changed()

    def send(self, request: Request, *, to: Any, headers: dict[str, str | None] | None = None, token: bool = True,
             sender: Any = None) -> OcpiAnswer:  # fmt: skip
        person = self.people[request.sender]
        home = self.listeners[request.sender].url
        body: Any = None
        if request.document or request.members is not None:
            changes = {
                name: value.replace("{home}", home) if isinstance(value, str) else value
                for name, value in (request.members or {}).items()
            }
            body = self.document(request.document, **changes) if request.document else changes
        who = person if token else self.stranger
        path = f"http://127.0.0.1:8000/ocpi/hub/2.2.1/{request.path.replace('{home}', home)}"
        return who.request(
            request.method, path, body, to=to, sender=sender or person.address, headers=headers, documented=False
        )

    def got(self) -> dict[str, int]:
        """Return who received how many requests, apart from the hub's own question whether its token is good."""
        found = {
            name: sum(not got.path.endswith("/versions") for got in each.received())
            for name, each in self.listeners.items()
        }
        return {name: count for name, count in found.items() if count}


@pytest.fixture
def world(partner: Partner, document: Document) -> Iterator[World]:
    listeners = {name: Listener() for name in ("cpo", "emsp")}
    for each in listeners.values():
        each.up()
    yield World(partner, document, listeners)
    for each in listeners.values():
        each.down()


def _set(**columns: Any) -> Callable[[], None]:
    """Change both platforms as receivers; the sender's own row does not matter to what it may ask."""

    def prepare() -> None:
        Platform.objects.update(**columns)
        snapshot.changed()

    return prepare


def _prepare(world: World, failure: str, settings: Settings) -> Callable[[], None]:
    """Bring a failure about for all requests of a test; return what is to be done before each of them."""
    replies: dict[str, dict[str, Any]] = {
        "receiver says 2001": {"code": 2001},
        "receiver says 404 with 2003": {"status": 404, "code": 2003},
        "receiver says 500 with 3000": {"status": 500, "code": 3000},
        "receiver refuses the hub's token": {"status": 401, "code": 2000},
        "no answer in time": {"delay": 1.0},
        "receiver answers HTML": {"raw": b"<html>busy</html>"},
        "receiver says 502 without an envelope": {"status": 502, "raw": b"Bad Gateway"},
    }
    if failure in replies:
        for each in world.listeners.values():
            each.reply("*", "/ocpi", **replies[failure])
    if failure == "no answer in time":
        settings.OCPI_FORWARD_TIMEOUT = settings.OCPI_AUTHORIZE_TIMEOUT = 0.15
    if failure.startswith("no permission"):
        Permission.objects.create(effect="DENY")
    if failure == "connection refused":
        for each in world.listeners.values():
            each.down()
    if failure == "module not offered":
        Endpoint.objects.all().delete()
    states = {
        "not connected": {"connection": "OFFLINE"},
        "no permission and not connected": {"connection": "OFFLINE"},
        "suspended": {"connection": "SUSPENDED"},
        "planned": {"connection": "PLANNED"},
    }
    return _set(**states.get(failure, {"failures": 0, "paused_reason": ""}))


def _headers(failure: str) -> dict[str, str | None]:
    odd: dict[str, dict[str, str | None]] = {
        "half a To": {"OCPI-to-country-code": "NL"},
        "half a From": {"OCPI-from-party-id": None},
        "no From": {"OCPI-from-party-id": None, "OCPI-from-country-code": None},
    }
    return odd.get(failure, {})


def _check(
    world: World, request: Request, answer: OcpiAnswer, expected: Outcome, *, asker: Address | None, data: bool = False
) -> str | None:
    """Return what is wrong with an answer to `asker`, or with who got the request."""
    target = world.target(request).address
    from_party = target.party_id if expected.said_by == hub_table.TARGET else expected.said_by
    if expected.reaches:  # who does not wait for the answer may be there before the request is noted
        world.listeners["emsp" if request.sender == "cpo" else "cpo"].wait_for(1)
    found = (
        *answer.codes,
        answer.headers.get("OCPI-from-party-id"),
        answer.headers.get("OCPI-to-party-id"),
        answer.headers.get("OCPI-to-country-code"),
        world.got(),
    )
    to = (asker.party_id, asker.country_code) if asker else (None, None)
    receivers = {"emsp" if request.sender == "cpo" else "cpo": 1} if expected.reaches else {}
    wanted = (expected.http_status, expected.code, from_party, *to, receivers)
    if found == wanted and (data or expected.said_by != hub_table.HUB or answer.data is None):
        return None
    return f"{request}: {found} {answer.message!r}, not {wanted}"


def _expected(request: Request, failure: str, mode: str) -> Outcome:
    """Return what a row of the table says in a mode."""
    usual = hub_table.FAILURES[failure]
    if mode == "DIRECT" or usual.http_status == 401 or failure in ("half a From", "no From", "a foreign From"):
        return usual
    if request.method == "GET" and request.path in hub_table.LISTS:
        return hub_table.by_hub(2001)
    if failure not in hub_table.UNDECIDED:
        return usual
    content = (
        request.path.startswith(("receiver/sessions", "receiver/cdrs", "receiver/chargingprofiles", "sender/sessions"))
        or "authorize" in request.path
        or request.path.endswith("STOP_SESSION")
    )
    # Who is named by the content is found, and then something is wrong with him.
    return usual if content else hub_table.by_hub(4001)


@pytest.mark.req(
    "HUB-08", "HUB-09", "HUB-10", "HUB-12", "HUB-13", "HUB-14", "HUB-22", "HUB-48", "HUB-50", "HUB-51", "HUB-55",
    "HUB-56", "HUB-64", "HUB-65", "HUB-66", "HUB-67", "HUB-68", "HUB-70", "SEC-34", "SEC-39", "SEC-40",
)  # fmt: skip
@pytest.mark.parametrize("failure", hub_table.FAILURES)
@pytest.mark.parametrize("mode", ["DIRECT", "OPEN"])
def test_what_passes_and_what_goes_wrong(world: World, settings: Settings, mode: str, failure: str) -> None:
    if mode == "OPEN" and failure in hub_table.ONLY_NAMED:
        pytest.skip("nobody is named")
    before_each = _prepare(world, failure, settings)
    wrong = []
    # Once it is decided whom a request without To goes to, it is as any other.
    few = mode == "OPEN" and hub_table.FAILURES[failure].reaches and failure != "nothing"
    # A request that is sent changes what is thought of its receiver, and of its sender: it was heard from.
    lasts = not hub_table.FAILURES[failure].reaches and failure not in ("connection refused", "not connected")
    for number, request in enumerate(hub_table.REQUESTS[:: 4 if few else 1]):
        if number == 0 or not lasts:
            world.heal()
            before_each()
        to: Any = world.target(request).address if mode == "DIRECT" else None
        if failure == "unknown party":
            to = "ZZ*ZZZ"
        if failure == "half a To":
            to = None
        answer = world.send(
            request,
            to=to,
            headers=_headers(failure),
            token=failure != "an unknown token",
            sender="BE*MSX" if failure == "a foreign From" else None,
        )
        expected = _expected(request, failure, mode)
        asker = world.people[request.sender].address
        if failure == "a foreign From":
            asker = at("BE*MSX")
        nobody = failure in hub_table.TO_NOBODY
        wrong.append(_check(world, request, answer, expected, asker=None if nobody else asker))

    assert [each for each in wrong if each] == []


@pytest.mark.req("HUB-26", "HUB-28", "HUB-29", "HUB-30", "HUB-31", "HUB-39", "HUB-40", "HUB-57", "HUB-58", "HUB-62")
def test_what_is_for_the_hub_itself(world: World) -> None:
    """Kept and left for who is concerned, answered from what is kept, or refused; nobody is asked meanwhile."""
    assert set(hub_table.TO_THE_HUB) == {str(request) for request in hub_table.REQUESTS}
    wrong = []
    for request in hub_table.REQUESTS:
        world.heal()
        Delivery.objects.all().delete()
        answer = world.send(request, to="NL*HUB")
        left = sorted((row.to_party_id, row.from_party_id, row.module) for row in Delivery.objects.all())
        target, module = world.target(request).address.party_id, request.path.split("/")[1]
        row = hub_table.TO_THE_HUB[str(request)]
        expected = row if isinstance(row, Outcome) else hub_table.by_hub(1000, http_status=answer.http_status)
        asker = world.people[request.sender].address
        wrong.append(_check(world, request, answer, expected, asker=asker, data=row == "list"))
        if row == "list":
            assert isinstance(answer.data, list), request
            assert answer.headers["X-Total-Count"] == str(len(answer.data)), request
        assert left == ([(target, "HUB", module)] if row == "push" else []), request
        assert answer.http_status in ((200, 201) if row == "push" else (200,)), request

    assert [each for each in wrong if each] == []


@pytest.mark.req("HUB-26", "TAR-05")
@pytest.mark.parametrize(("sender", "method", "path"), hub_table.NOT_ALLOWED, ids=str)
def test_a_method_that_there_is_not(world: World, sender: str, method: str, path: str) -> None:
    answer = world.send(Request(sender, method, path, members={}), to="NL*HUB")

    assert answer.codes == (405, 2000)
    assert answer.headers["Allow"] == hub_table.NOT_ALLOWED[sender, method, path]
    assert world.got() == {}
