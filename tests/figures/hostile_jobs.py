"""What FIG-04 calls: every handshake, push, pull, question and forward, drawn from the product's own lists."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.test import Client
from django.utils import timezone

from cpo.models import CertificateAuthority, ChargePoint, StationCertificate
from cpo.modules import authorization, certificates_backends
from cpo.modules.certificates_signing import NotSigned
from cpo.whitelist_states import INVALID
from emsp.models import EVSE, Location, Session
from emsp.modules import asking, charging_preferences
from hub import asgi
from hub.models import Callback
from ocpi import (
    client,
    exchange_replay,
    outbox_probe,
    outbox_request,
    pull,
    pull_rows,
    pull_table,
    recovery,
    snapshot,
    token_doubt,
)
from ocpi.enums import FUNCTIONAL_MODULES, ModuleID
from ocpi.headers import Routing, new_id
from ocpi.models import Exchange, Platform
from ocpi.modules import initiation, registration
from ocpi.outbox_rows import Ended, Outcome, Row
from ocpi.stored import Stored
from ocpi.v2_2_1.commands import CommandType
from tests import certificates, front_doors
from tests.answers import OcpiAnswer
from tests.figures.hostile_world import Victim, World, credentials, show_us
from tests.people import Person, at

Job = tuple[str, str, Callable[[], object]]
SIDES: dict[str, list[str]] = {"cpo,emsp": ["NL*TNM:CPO", "DE*EMS:EMSP"], "hub": ["NL*HUB:HUB"]}
US = at("NL*TNM")
_SOME = 5  # kinds of each call in the short form
DOCUMENT = Stored('{"id":"LOC1","last_updated":"2026-01-01T00:00:00Z","status":"AVAILABLE"}', timezone.now(), False)
# Who is told of these objects, as a model (its `pushed_to` says which interface), and how.
_SOURCES = {
    ModuleID.locations: "cpo.Location",
    ModuleID.sessions: "cpo.Session",
    ModuleID.cdrs: "cpo.CDR",
    ModuleID.tariffs: "cpo.Tariff",
    ModuleID.tokens: "emsp.Token",
    ModuleID.chargingprofiles: "cpo.ActiveChargingProfile",
    ModuleID.hubclientinfo: "",
}
_RESULTS = (ModuleID.commands, ModuleID.chargingprofiles)
_METHODS = ("PUT", "PATCH", "DELETE")


def of(sides: str, world: World, kinds: list[str], *, some: bool) -> list[Job]:
    """Return what is to be called in the name of these sides, at each kind of platform, or with `some` at a few."""
    become(sides)
    calls = dict(_forwards(world)) if sides == "hub" else {**_handshakes(world), **dict(_traffic(world))}
    jobs = []
    for number, (call, plan) in enumerate(calls.items()):
        chosen = [kinds[(number * _SOME + place) % len(kinds)] for place in range(_SOME)] if some else kinds
        jobs += [(kind, call, plan(kind, call)) for kind in (kinds if call == "probe" else chosen)]
    world.store()
    for _kind, _call, action in jobs:
        prepare = getattr(action, "prepare", None)
        if prepare is not None:
            prepare()
    return jobs


def become(sides: str) -> None:
    """Make this process an instance of these sides."""
    settings.OCPI_SIDES, settings.OCPI_PARTIES = sides.split(","), SIDES[sides]
    snapshot.changed()
    snapshot.current()


Plan = Callable[[str, str], Callable[[], object]]


# ---------------------------------------------------------------- handshakes


def _handshakes(world: World) -> dict[str, Plan]:
    def register_with(turns: str) -> Plan:
        def plan(kind: str, call: str) -> Callable[[], object]:
            victim = world.add(kind, call, turns=turns, state="INVITED")
            return lambda: initiation.register_with(
                name=victim.platform.name,
                versions_url=victim.platform.versions_url,
                token_a="their-token-A-" + new_id(),
            )

        return plan

    def ours(action: Callable[[int], object]) -> Plan:
        def plan(kind: str, call: str) -> Callable[[], object]:
            victim = world.add(kind, call, ("credentials", "SENDER"), turns="at-credentials")
            return lambda: action(victim.id)

        return plan

    def theirs(turns: str, *, registered: bool) -> Plan:
        def plan(kind: str, call: str) -> Callable[[], object]:
            victim = world.add(kind, call, turns=turns, state="REGISTERED" if registered else "INVITED")

            def act() -> object:
                body = json.dumps(credentials(victim)).encode()
                token = show_us(victim, "CURRENT" if registered else "A")
                if registered:
                    return registration.update(platform_id=victim.id, token=token, body=body, correlation_id="c")
                return registration.register(platform_id=victim.id, token_a=token, body=body, correlation_id="c")

            return act

        return plan

    def probe(kind: str, call: str) -> Callable[[], object]:
        world.add(kind, call, turns="at-versions", connection="OFFLINE")
        return lambda: outbox_probe.probe() if kind in ("good", "silence") else None  # one round asks all of them

    def recovered(kind: str, call: str) -> Callable[[], object]:
        victim = world.add(kind, call, turns="at-versions")
        return lambda: recovery._refused(Platform.objects.get(pk=victim.id))

    return {
        "GET versions, as we register": register_with("at-versions"),
        "GET version details, as we register": register_with("at-details"),
        "POST credentials": register_with("at-credentials"),
        "PUT credentials": ours(initiation.update_at),
        "DELETE credentials": ours(initiation.unregister_at),
        "GET versions, as they register": theirs("at-versions", registered=False),
        "GET version details, as they register": theirs("at-details", registered=False),
        "GET versions, as they update": theirs("at-versions", registered=True),
        "probe": probe,
        "GET versions, after a recovery": recovered,
    }


# ---------------------------------------------------------------- what sides send, ask and pull


def _traffic(world: World) -> Iterator[tuple[str, Plan]]:
    pushed = {module for module in ModuleID if module is not ModuleID.credentials}
    assert pushed == {*_SOURCES, *_RESULTS}, "a module is missing: how is it pushed?"
    for module in _SOURCES:
        for verb in ("POST",) if module is ModuleID.cdrs else _METHODS:
            yield f"{verb} {module}", _push(world, module, verb)
    yield "GET a CDR that was refused", _refused_cdr(world)
    for module in _RESULTS:
        yield f"POST the result of {module}", _result(world, module)
    for pulled in pull_table.table():
        yield f"pull {pulled}", _pull(world, pulled)
    yield "POST authorize", _authorize(world)
    for command in CommandType:
        yield f"POST {command}", _ask(world, "commands", "POST", command.value)
    for method in ("GET", "PUT", "DELETE"):
        yield f"{method} a charging profile", _ask(world, "chargingprofiles", method, "SESSION1")
    yield "PUT charging preferences", _preferences(world)
    yield "replay of an exchange", _replay(world)
    yield "whether our token is refused", _doubt(world, token_doubt.is_refused)
    yield "whether our token is taken in its other form", _doubt(world, token_doubt.takes_other_form)
    yield "whether a refusal pauses", _doubt(world, token_doubt.pauses)
    yield "POST a request to be signed", _signing(world)


def _row(victim: Victim, **values: Any) -> Row:
    given: dict[str, Any] = {
        "fields": None, "id": 1, "platform_id": victim.id, "slot": 0, "kind": "STATE", "order_key": "", "module": "",
        "path": "NL/TNM/LOC1", "query": "", "url": "", "source": "", "source_id": 1, "body": "", "deleted": False,
        "change": 1, "to_country_code": "XE", "to_party_id": "EMS", "from_country_code": "NL", "from_party_id": "TNM",
        "correlation_id": "c", "attempts": 0, "ambiguous": False, "age": 0.0, "left": None,
    }  # fmt: skip
    return Row(**given | values)


def _push(world: World, module: ModuleID, method: str) -> Plan:
    # Of ClientInfo nothing is kept as a document here; its push goes where every other one does.
    source: str = _SOURCES[module] or "cpo.Tariff"

    def plan(kind: str, call: str) -> Callable[[], object]:
        victim = world.add(kind, call, (module, "RECEIVER"), (module, "SENDER"), role="EMSP")

        def act() -> object:
            row = _row(
                victim,
                module=module.value,
                source=source,
                kind="CDR" if method == "POST" else "STATE",
                path="" if method == "POST" else "NL/TNM/LOC1",
                fields=["status"] if method == "PATCH" else None,
                deleted=method == "DELETE",
            )
            known = victim.known
            return outbox_request.deliver(
                row, DOCUMENT, outbox_request.Receiver(known.target(), known.endpoints, known.longest_address)
            )

        return act

    return plan


def _refused_cdr(world: World) -> Plan:
    """The look at the CDR that a refusal says is there already (REL-33)."""

    def plan(kind: str, call: str) -> Callable[[], object]:
        victim = world.add(kind, call, (ModuleID.cdrs, "RECEIVER"), role="EMSP")

        def act() -> object:
            known = victim.known
            there = known.endpoints["cdrs", "RECEIVER"]
            row = _row(victim, module="cdrs", kind="CDR", path="")
            return outbox_request._has_same(
                Outcome(row, Ended.REFUSED, http_status=200, status_code=2001, location=there),
                DOCUMENT,
                outbox_request.Receiver(known.target(), known.endpoints, known.longest_address),
            )

        return act

    return plan


def _result(world: World, module: ModuleID) -> Plan:
    def plan(kind: str, call: str) -> Callable[[], object]:
        victim = world.add(kind, call, role="EMSP")

        def act() -> object:
            url, body = f"{victim.base}/results/1", '{"result":"ACCEPTED"}'
            row = _row(victim, kind="RESULT", module=module.value, url=url, body=body, left=60.0, source_id=None)
            return outbox_request.deliver(row, None, outbox_request.Receiver(victim.known.target(), {}))

        return act

    return plan


def _pull(world: World, module: str) -> Plan:
    def plan(kind: str, call: str) -> Callable[[], object]:
        victim = world.add(kind, call, (module, "SENDER"), role="EMSP" if module == "tokens" else "CPO")

        def act() -> object:
            to, sender = (None, None) if module == "hubclientinfo" else (victim.address, US)
            [cursor] = pull_rows.of([pull_rows.List(victim.id, module, to, sender)])
            held = pull.run(cursor.pk, asked=True, full=True)
            if held is None:
                raise RuntimeError("the pull did not run")
            return held

        return act

    return plan


def _authorize(world: World) -> Plan:
    def plan(kind: str, call: str) -> Callable[[], object]:
        victim = world.add(kind, call, ("tokens", "SENDER"), role="EMSP")

        def act() -> object:
            candidate = authorization.Candidate(victim.known, victim.address)
            otherwise = authorization.Verdict(INVALID)
            question = authorization.Question("012345678", "RFID", (candidate,), otherwise, sender=US)
            verdict = authorization.ask(question)
            if verdict.accepted:
                raise RuntimeError("a driver may charge because of an evil answer")
            return verdict

        return act

    return plan


def _ask(world: World, module: str, method: str, tail: str) -> Plan:
    def plan(kind: str, call: str) -> Callable[[], object]:
        victim = world.add(kind, call, (module, "RECEIVER"))

        def act() -> object:
            url = f"{victim.url(module, 'receiver')}/{tail}"
            body = None if method in ("GET", "DELETE") else b"{}"
            routing = Routing(to=victim.address, sender=at("DE*EMS"))
            heard = asking.ask(asking.Question(victim.known, module, method, url, routing, "c", body))
            if heard.event == "accepted":
                raise RuntimeError("it counts as accepted")
            return heard

        return act

    return plan


def _replay(world: World) -> Plan:
    def plan(kind: str, call: str) -> Callable[[], object]:
        victim = world.add(kind, call, ("locations", "RECEIVER"), role="EMSP")

        def act() -> object:
            url = f"{victim.url('locations', 'receiver')}/NL/TNM/LOC1"
            row = Exchange(platform=victim.platform, direction="OUT", method="PUT", url=url, request_body="{}")
            return exchange_replay.replay(row, exchange_replay.Plan("It goes out again."))

        return act

    return plan


def _doubt(world: World, ask: Callable[[client.Target], object]) -> Plan:
    def plan(kind: str, call: str) -> Callable[[], object]:
        victim = world.add(kind, call, ("locations", "RECEIVER"), role="EMSP")

        def act() -> object:
            token_doubt.forget()
            return ask(victim.known.target())

        return act

    return plan


def _signing(world: World) -> Plan:
    def plan(kind: str, call: str) -> Callable[[], object]:
        victim = world.add(kind, call, ("locations", "RECEIVER"))

        def act() -> object:
            owner = {"country_code": "NL", "party_id": "TNM"}
            authority = CertificateAuthority(**owner, url=victim.url("locations", "receiver"))
            point = ChargePoint(**owner, identity="CP-1")
            csr = certificates.csr("CP-1")
            row = StationCertificate(charge_point=point, authority=authority, csr=csr)
            try:
                certificates_backends.sign(row)
            except (certificates_backends.Unavailable, NotSigned) as error:
                return error
            raise RuntimeError("something was signed by an evil answer")

        return act

    return plan


def _preferences(world: World) -> Plan:
    def plan(kind: str, call: str) -> Callable[[], object]:
        victim = world.add(kind, call, ("sessions", "SENDER"))

        def prepare() -> None:
            now = timezone.now()
            party = {"country_code": victim.address.country_code, "party_id": victim.address.party_id}
            owned = {**party, "last_updated": now}
            location = Location.objects.create(**owned, object_id="LOC1", document="{}")
            EVSE.objects.create(
                location=location, uid="E1", status="CHARGING", last_updated=now,
                document=json.dumps({"capabilities": [charging_preferences.CAPABLE]}),
            )  # fmt: skip
            token = {"country_code": "DE", "party_id": "EMS", "uid": "1", "type": "RFID", "contract_id": "C"}
            document = {"location_id": "LOC1", "evse_uid": "E1", "cdr_token": token}
            act.session = Session.objects.create(  # type: ignore[attr-defined]
                **owned, object_id="S1", status="ACTIVE", token_uid="1", start_date_time=now,
                platform=victim.platform, document=json.dumps(document),
            )  # fmt: skip

        def act() -> object:
            session: Session = act.session  # type: ignore[attr-defined]
            return charging_preferences.send(session=session, preferences={"profile_type": "CHEAP"})

        act.prepare = prepare  # type: ignore[attr-defined]
        return act

    return plan


# ---------------------------------------------------------------- what a hub passes on

_PATHS: dict[tuple[str, str], tuple[tuple[str, str], ...]] = {
    ("locations", "SENDER"): (("GET", ""), ("GET", "/LOC1")),
    ("locations", "RECEIVER"): (("PUT", "/{from}/LOC1"), ("PATCH", "/{from}/LOC1"), ("GET", "/{from}/LOC1")),
    ("sessions", "SENDER"): (("GET", "?date_from=2026-01-01T00:00:00Z"), ("PUT", "/S1/charging_preferences")),
    ("sessions", "RECEIVER"): (("PUT", "/{from}/S1"),),
    ("cdrs", "SENDER"): (("GET", ""),),
    ("cdrs", "RECEIVER"): (("POST", ""),),
    ("tariffs", "SENDER"): (("GET", ""),),
    ("tariffs", "RECEIVER"): (("PUT", "/{from}/T1"), ("DELETE", "/{from}/T1")),
    ("tokens", "SENDER"): (("GET", ""), ("POST", "/012345678/authorize")),
    ("tokens", "RECEIVER"): (("PUT", "/{from}/012345678"),),
    ("commands", "RECEIVER"): (("POST", "/START_SESSION"),),
    ("commands", "SENDER"): (),  # results come to the hub's own URLs
    ("chargingprofiles", "RECEIVER"): (("PUT", "/S1"), ("GET", "/S1?duration=60&response_url={url}")),
    ("chargingprofiles", "SENDER"): (("PUT", "/S1"),),
}


def _forwards(world: World) -> Iterator[tuple[str, Plan]]:
    assert {module for module, _ in _PATHS} == {module.value for module in FUNCTIONAL_MODULES}
    caller = world.add("good", "who asks", role="CPO,EMSP")
    world.store()
    caller_token = show_us(caller, "CURRENT")
    platform = caller.platform
    for (module, interface), requests in _PATHS.items():
        for method, tail in requests:
            what = f"{method} {module} {interface}{tail}"
            asker = Person(caller_token, parties=(caller.address,), platform=platform)
            in_lane = replace(asker, client=LANE)
            yield f"forward {what}", _forward(world, caller, asker, (module, interface), method, tail)
            yield f"fast lane {what}", _forward(world, caller, in_lane, (module, interface), method, tail)
    yield "bring a result back", _bring_back(world, Client())
    yield "fast lane, bring a result back", _bring_back(world, LANE)


class _Lane:
    """A client that comes in through the fast lane; all of them share one event loop, as in a web process."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def generic(
        self, method: str, path: str, data: bytes = b"", content_type: str = "", *, headers: Any = None, **_more: Any
    ) -> front_doors.LaneAnswer:
        if self._loop is None:
            self._application = asgi.Application()
            self._loop = asyncio.new_event_loop()
            threading.Thread(target=self._loop.run_forever, daemon=True).start()
        lines = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
        lines += [(b"content-length", b"%d" % len(data)), (b"content-type", content_type.encode())] if data else []
        asked = front_doors.ask(method, path, lines, [data], application=self._application)
        return asyncio.run_coroutine_threadsafe(asked, self._loop).result()


LANE: Any = _Lane()


def _forward(world: World, caller: Victim, person: Person, place: tuple[str, str], method: str, tail: str) -> Plan:
    def plan(kind: str, call: str) -> Callable[[], object]:
        victim = world.add(kind, call, place)

        def act() -> object:
            module, interface = place
            mine = f"{caller.address.country_code}/{caller.address.party_id}"
            path = f"hub/2.2.1/{interface.lower()}/{module}" + tail.format(
                **{"from": mine, "url": quote(f"{caller.base}/results/9", safe="")}
            )
            body = {"response_url": f"{caller.base}/results/7", "id": "LOC1"} if method in ("PUT", "POST") else None
            answer = person.request(method, path, body or ({} if method == "PATCH" else None), to=victim.address,
                                    documented=False)  # fmt: skip
            _check(answer, kind)
            return answer

        return act

    return plan


def _check(answer: OcpiAnswer, kind: str) -> None:
    if kind != "good" and not 4000 <= answer.status_code <= 4003:
        raise RuntimeError(f"the hub answered {answer.codes}")


def _bring_back(world: World, door: Any) -> Plan:
    def plan(kind: str, call: str) -> Callable[[], object]:
        owner = world.add(kind, call, role="EMSP")
        caller = world.add("good", f"{call}, the CPO")

        def act() -> object:
            key = new_id()
            Callback.objects.create(
                key=key, kind="RESPONSE_URL", url=f"{owner.base}/results/5", owner=owner.platform,
                caller=caller.platform, module="commands", correlation_id="c",
            )  # fmt: skip
            person = Person(
                show_us(caller, "CURRENT"), parties=(caller.address,), platform=caller.platform, client=door
            )
            answer = person.post(
                f"hub/2.2.1/callbacks/{key}", {"result": "ACCEPTED"}, to=owner.address, documented=False
            )
            _check(answer, kind)
            return answer

        return act

    return plan
