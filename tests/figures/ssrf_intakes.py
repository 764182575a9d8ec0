"""Where a URL of a partner comes in, for FIG-08: each as one function of a form and its number."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.utils import timezone

from hub.models import Callback
from ocpi import client, client_async, outbox_probe, outbox_request, secrets, snapshot, status, targets, wire_async
from ocpi.headers import new_id
from ocpi.models import CredentialsToken, Party, Platform
from ocpi.modules import initiation, registration
from ocpi.modules.initiation import HandshakeFailed
from ocpi.outbox_rows import Row
from ocpi.stored import Stored
from ocpi.v2_2_1.commands import CommandType
from tests.figures.ssrf_forms import HOME, NAMES
from tests.people import Person, at

EXPECTED = (status.OcpiError, HandshakeFailed, client.ClientError, ValueError)
Intake = Callable[[str, int], object]
SECONDS = 2.0
US = at("NL*TNM")
_AUTHORITY = re.compile(r"[/\\]+([^/\\?#]*)")


def of(home: Any) -> Iterator[tuple[str, Intake]]:
    """Yield every intake with its name; each is used before the next is made."""
    hosts = hosts_of(home.forms, home.server_address[1])
    yield from _doors(hosts)
    _become("cpo,emsp", "NL*TNM:CPO", "DE*EMS:EMSP")
    yield from _handshakes(home, hosts)
    yield from _answers(home, hosts)
    yield from _response_urls(hosts)
    _become("hub", "NL*HUB:HUB")
    yield from _hub(hosts)


def hosts_of(forms: Iterable[str], home_port: int) -> list[str]:
    """Return every host that any reader could see in a form: all of them are approved."""
    found = {HOME, f"{HOME}:{home_port}", *NAMES}
    for form in forms:
        for authority in _AUTHORITY.findall(form):
            for part in (authority, *authority.split("@")):
                host = part.rpartition(":")[0] if re.search(r":[0-9]+$", part) else part
                found |= {part, host, part.strip("[]"), host.strip("[]")}
    lower = {each.lower() for each in found if each}
    return sorted(each.replace("\0", "") for each in lower | {f"{each}:{port}" for each in lower for port in (443, 80)})


def _become(sides: str, *parties: str) -> None:
    settings.OCPI_SIDES, settings.OCPI_PARTIES = sides.split(","), list(parties)
    snapshot.changed()


def _platform(name: str, hosts: list[str], *, state: str = "REGISTERED", purpose: str = "CURRENT") -> Person:
    row = Platform.objects.create(name=name, state=state, hosts=hosts, any_role=True, connection="CONNECTED")
    if state == "REGISTERED":
        row.token_out = secrets.encrypt(secrets.new_token(), context=targets.token_context(row.pk))
        row.save()
    token = secrets.new_token()
    CredentialsToken.objects.create(platform=row, digest=secrets.digest(token), purpose=purpose, last_four=token[-4:])
    number = f"{row.pk % 1000:03}"
    roles = [
        Party(platform=row, country_code="XE", party_id=number, role=role, approved=True) for role in ("CPO", "EMSP")
    ]
    Party.objects.bulk_create(roles)
    snapshot.changed()
    return Person(token, parties=(at(f"XE*{number}"),), platform=row)


def _target(hosts: list[str]) -> client.Target:
    return client.Target(platform_id=0, name="T", token="t" * 20, base64_token=True, hosts=frozenset(hosts))


def _doors(hosts: list[str]) -> Iterator[tuple[str, Intake]]:
    target = _target(hosts)
    loop = asyncio.new_event_loop()
    pool = wire_async.Pool()

    def asynchronous(form: str, number: int) -> object:
        asked = client_async.send(pool, target, "POST", form, body=b"{}", headers={}, timeout=SECONDS)
        return loop.run_until_complete(asked)

    yield "door: GET", lambda form, number: client.send(target, "GET", form, timeout=SECONDS)
    yield "door: POST", lambda form, number: client.send(target, "POST", form, body=b"{}", timeout=SECONDS)
    yield "door: page of a list", lambda form, number: client.page(target, form, timeout=SECONDS)
    yield "door: event loop", asynchronous
    loop.run_until_complete(pool.close())
    loop.close()


def _handshakes(home: Any, hosts: list[str]) -> Iterator[tuple[str, Intake]]:
    def register(intake: str) -> Intake:
        def take(form: str, number: int) -> object:
            name = f"{intake} {number}"
            Platform.objects.create(name=name, hosts=hosts)
            url = form if intake == "versions" else f"{home.base}/{intake}/{number}/versions"
            return initiation.register_with(name=name, versions_url=url, token_a="their-token-A-" + new_id())

        return take

    for intake in ("versions", "details", "endpoints", "credentials", "answer"):
        yield f"as we register: {intake}", register(intake)

    invited = _platform("invited", hosts, state="INVITED", purpose="A")
    member = _platform("member", hosts)

    def body(url: str) -> bytes:
        role = {"role": "CPO", "country_code": "XE", "party_id": "HOM", "business_details": {"name": "x"}}
        return json.dumps({"token": secrets.new_token(), "url": url, "roles": [role]}).encode()

    def theirs(url: str) -> object:
        return registration.register(platform_id=invited.id, token_a=invited.token, body=body(url), correlation_id="c")

    def updated(url: str) -> object:
        return registration.update(platform_id=member.id, token=member.token, body=body(url), correlation_id="c")

    yield "as they update: url", lambda form, number: updated(form)
    yield "as they update: details", lambda form, number: updated(f"{home.base}/details/{number}/versions")
    yield "as they update: endpoints", lambda form, number: updated(f"{home.base}/endpoints/{number}/versions")
    yield "as they register: url", lambda form, number: theirs(form)
    yield "as they register: details", lambda form, number: theirs(f"{home.base}/details/{number}/versions")


def _answers(home: Any, hosts: list[str]) -> Iterator[tuple[str, Intake]]:
    target = _target(hosts)

    def redirect(form: str, number: int) -> object:
        return client.send(target, "GET", f"{home.base}/redirect/{number}/x", timeout=SECONDS)

    def link(form: str, number: int) -> object:
        return list(islice(client.walk(target, f"{home.base}/link/{number}/x", timeout=SECONDS), 3))

    def location(form: str, number: int) -> object:
        endpoints = {("cdrs", "RECEIVER"): f"{home.base}/location/{number}/cdrs"}
        stored = Stored('{"id":"C1"}', timezone.now(), False)
        return outbox_request.deliver(
            _row(0, kind="CDR", module="cdrs", source="cpo.CDR"), stored, outbox_request.Receiver(target, endpoints)
        )

    yield "Location of a redirect", redirect
    yield "Link of a page", link
    yield "Location of a CDR", location
    yield "probe", lambda form, number: outbox_probe._ask(target, form, SECONDS)


def _row(platform_id: int, **values: Any) -> Row:
    given: dict[str, Any] = {
        "fields": None, "id": 1, "platform_id": platform_id, "slot": 0, "kind": "RESULT", "order_key": "",
        "module": "commands", "path": "", "query": "", "url": "", "source": "", "source_id": 1, "body": "{}",
        "deleted": False, "change": 1, "to_country_code": "XE", "to_party_id": "HOM", "from_country_code": "NL",
        "from_party_id": "TNM", "correlation_id": "c", "attempts": 0, "ambiguous": False, "age": 0.0, "left": 60.0,
    }  # fmt: skip
    return Row(**given | values)


def _response_urls(hosts: list[str]) -> Iterator[tuple[str, Intake]]:
    emsp = _platform("an eMSP", hosts)
    token = {"country_code": "XE", "party_id": emsp.address.party_id, "uid": "1", "type": "RFID", "contract_id": "C",
             "issuer": "x", "valid": True, "whitelist": "ALWAYS", "last_updated": "2026-01-01T00:00:00Z"}  # fmt: skip
    members: dict[str, dict[str, Any]] = {
        "START_SESSION": {"token": token, "location_id": "LOC1", "evse_uid": "E1"},
        "STOP_SESSION": {"session_id": "S1"},
        "RESERVE_NOW": {"token": token, "location_id": "LOC1", "reservation_id": "R1",
                        "expiry_date": "2050-01-01T00:00:00Z"},
        "CANCEL_RESERVATION": {"reservation_id": "R1"},
        "UNLOCK_CONNECTOR": {"location_id": "LOC1", "evse_uid": "E1", "connector_id": "1"},
    }  # fmt: skip
    profile = {"charging_rate_unit": "W", "charging_profile_period": [{"start_period": 0, "limit": 1.0}]}

    def command(name: str) -> Intake:
        return lambda form, number: emsp.post(
            f"cpo/2.2.1/commands/{name}", {"response_url": form, **members[name]}, to=US, documented=False
        )

    for name in CommandType:
        yield f"response_url of {name}", command(name.value)
    path = "cpo/2.2.1/chargingprofiles/S1"
    yield (
        "response_url of a charging profile",
        lambda form, number: emsp.put(
            path, {"response_url": form, "charging_profile": profile}, to=US, documented=False
        ),
    )
    query = "?duration=60&response_url="
    yield (
        "response_url in a query",
        lambda form, number: emsp.get(path + query + quote(form, safe=""), to=US, documented=False),
    )
    yield (
        "where a result is sent",
        lambda form, number: outbox_request.deliver(
            _row(emsp.id, url=form), None, outbox_request.Receiver(_target(hosts), {})
        ),
    )


def _hub(hosts: list[str]) -> Iterator[tuple[str, Intake]]:
    owner, caller = _platform("owner", hosts), _platform("caller", hosts)
    between = {"owner_id": owner.id, "caller_id": caller.id}

    def bring(kind: str, method: str) -> Intake:
        def take(form: str, number: int) -> object:
            key = new_id()
            Callback.objects.create(
                key=key, kind=kind, url=form[:2048].replace("\0", ""), module="commands",
                correlation_id="c", **between,
            )  # fmt: skip
            body = {"result": "ACCEPTED"} if method == "POST" else None
            return caller.request(method, f"hub/2.2.1/callbacks/{key}", body, to=owner.address, documented=False)

        return take

    yield "the hub's stand-in for a response_url", bring("RESPONSE_URL", "POST")
    yield "the hub's stand-in for a Location", bring("LOCATION", "GET")
    yield "the hub's stand-in for a Link", bring("LINK", "GET")
