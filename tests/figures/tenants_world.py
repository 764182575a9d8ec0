"""Who owns what, and who tries to touch it: an instance of each side, its victims with all they have, its attackers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.test import override_settings
from django.utils import timezone

from cpo.models import CDR, Reservation
from cpo.models import Session as OurSession
from emsp.models import ChargingProfileRequest, Command
from emsp.models import Session as TheirSession
from emsp.modules import tokens_operations
from hub.models import Callback
from ocpi import secrets, snapshot
from ocpi.headers import Address
from ocpi.models import CredentialsToken
from tests.cpo_support import add_location, add_point, add_tariff, tariff, with_tariff
from tests.fixtures import add_party, connect
from tests.people import Person, at
from tests.platforms import Listener

SIDES = {"cpo": "NL*TNM:CPO", "emsp": "DE*EMS:EMSP", "hub": "NL*HUB:HUB"}
SECRET = "CANARY-of-the-owner"  # in everything that is the victims' alone
TOKENS = "CANARY-of-the-tokens"  # in what CPOs may see and eMSPs may not
PLACES = "CANARY-of-the-places"  # in what eMSPs may see and CPOs may not
_FOLDER = Path(__file__).resolve().parents[1] / "documents" / "2.2.1"
_LATER = "2031-01-01T00:00:00Z"
_KEY = "K" * 32


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who tries, and what he shows."""

    kind: str  # "other's C", "A", "B", "revoked", "via hub", "nobody"
    authorization: str | None
    address: Address
    role: str
    let_in: bool  # his token is valid for functional modules
    url: str = "http://127.0.0.1:1"  # where he would be reached

    def may_see(self) -> frozenset[str]:
        """Return the canaries that are no secret to him."""
        return {"CPO": frozenset({TOKENS}), "HUB": frozenset({TOKENS}), "EMSP": frozenset({PLACES})}.get(
            self.role, frozenset()
        )


@dataclass(slots=True)
class World:
    """One instance under attack."""

    side: str
    us: Address
    owner: Address  # the victim whose objects a path names
    ids: dict[str, str] = field(default_factory=dict)  # a route's parameter → the victims' value
    callers: list[Caller] = field(default_factory=list)
    listeners: list[Listener] = field(default_factory=list)

    def strange(self) -> list[str]:
        """Return in whose name something was passed on to the victims, those who try themselves excepted."""
        own = {caller.address.key for caller in self.callers}
        seen = [request.headers for listener in self.listeners for request in listener.requests]
        senders = [
            (headers.get("ocpi-from-country-code", ""), headers.get("ocpi-from-party-id", "")) for headers in seen
        ]
        return ["*".join(sender) for sender in senders if sender not in own and "".join(sender)]


@contextmanager
def world(side: str) -> Iterator[World]:
    """Make this process an instance of one side, with victims and attackers, until the block ends."""
    sides = {
        "OCPI_SIDES": [side], "OCPI_PARTIES": [SIDES[side]], "OCPI_BASE_URL": "http://127.0.0.1:8000",
        "OCPI_EXCHANGES": False, "OCPI_WAKE": False, "OCPI_SNAPSHOT_LISTEN": False, "OCPI_RATE_PER_PLATFORM": 0,
        "OCPI_RATE_STRANGERS": 0,
    }  # fmt: skip
    with ExitStack() as stack:
        stack.enter_context(override_settings(**sides))
        snapshot.changed()
        victims = {"cpo": ["DE*EMS:EMSP"], "emsp": ["NL*TNM:CPO"], "hub": ["NL*TNM:CPO", "DE*EMS:EMSP"]}[side]
        listeners = [stack.enter_context(Listener([role])) for role in victims]
        people = [connect(role, listener=each) for role, each in zip(victims, listeners, strict=True)]
        found = World(side, at(SIDES[side]), people[0].address, listeners=listeners)
        found.callers = _callers(people, victims)
        _FILL[side](found, people)
        for listener in listeners:
            listener.forget()
        yield found
    snapshot.changed()


def example(name: str, /, **changes: Any) -> Any:
    """Return an example document with some members changed."""
    return {**json.loads((_FOLDER / f"{name}.json").read_text()), **changes}


def _callers(victims: list[Person], roles: list[str]) -> list[Caller]:
    found = [Caller("nobody", None, at("XX*XXX"), "", False)]
    others = ["FR*OTH:CPO", "BE*OTH:EMSP", "BE*SCS:SCSP", "BE*NSP:NSP"]
    others += [f"{role.partition(':')[0]}:{'EMSP' if role.endswith('CPO') else 'CPO'}" for role in roles[:1]]
    for number, role in enumerate(others, 2001):
        person = connect(role, name=f"other {number}", url=f"http://127.0.0.1:{number}")
        found.append(
            Caller("other's C", person.authorization, person.address, role.partition(":")[2], True, person.url)
        )
    hub = connect("BE*HUB:HUB", url="http://127.0.0.1:2000")
    for number, behind in enumerate(("AT*BHD:CPO", "AT*BHE:EMSP")):
        add_party(hub.platform, behind, through_hub=True)
        found.append(Caller("via hub", hub.authorization, at(behind), behind.partition(":")[2], True, hub.url))
        if not number:
            found.append(Caller("via hub", hub.authorization, at("BE*HUB"), "HUB", True, hub.url))
    invited = connect(name="invited", state="INVITED", purpose="A", endpoints=(), any_role=True, connection="PLANNED")
    found.append(Caller("A", invited.authorization, at("IT*NEW"), "", False))
    for victim in victims:
        assert victim.platform is not None
        # What the victim gave us for our calls is nothing to show us; nor is what we have offered it and it never took.
        found.append(Caller("B", Person(victim.token_out).authorization, victim.address, "", False))
        for kind, purpose, ends in (("B", "PENDING", None), ("revoked", "OLD", -60), ("revoked", "TOMBSTONE", 600)):
            token = secrets.new_token()
            CredentialsToken.objects.create(
                platform=victim.platform, digest=secrets.digest(token), purpose=purpose, last_four=token[-4:],
                expires_at=timezone.now() + timedelta(seconds=ends) if ends else None,
            )  # fmt: skip
            found.append(Caller(kind, Person(token).authorization, victim.address, "", False))
    snapshot.changed()
    return found


def _fill_cpo(found: World, people: list[Person]) -> None:
    (emsp,) = people
    add_tariff(tariff())
    location = add_location(with_tariff(example("location")))
    point = add_point(location)
    token = example("token_rfid", issuer=SECRET)
    assert emsp.put(f"cpo/2.2.1/tokens/DE/EMS/{token['uid']}", token).ok
    session, cdr = example("session", authorization_reference=SECRET), example("cdr", remark=SECRET)
    for model, told, columns in ((OurSession, session, {"status": "ACTIVE"}), (CDR, cdr, {})):
        model._default_manager.create(
            country_code="NL", party_id="TNM", object_id=told["id"], document=json.dumps(told), token_uid=token["uid"],
            last_updated=told["last_updated"], start_date_time=told["start_date_time"], emsp_country_code="DE",
            emsp_party_id="EMS", **columns,
        )  # fmt: skip
    reserved = example("cancel_reservation")["reservation_id"]
    Reservation.objects.create(
        number=4711, state="ACCEPTED", country_code="DE", party_id="EMS", reservation_id=reserved, location=location,
        charge_point=point.row, connector_id=1, id_tag=token["uid"], started_at=timezone.now(),
        expires_at=timezone.now() + timedelta(hours=1),
    )  # fmt: skip
    found.ids = {
        "location_id": location.object_id, "token_uid": token["uid"], "session_id": session["id"],
        "reservation_id": reserved,
    }  # fmt: skip


def _fill_emsp(found: World, people: list[Person]) -> None:
    (cpo,) = people
    ids, base = found.ids, "emsp/2.2.1"
    location, session = example("location", name=SECRET), example("session", authorization_reference=SECRET[:20])
    tariff_ = example("tariff", tariff_alt_text=[{"language": "en", "text": SECRET}])
    for module, told in (("locations", location), ("sessions", session), ("tariffs", tariff_)):
        assert cpo.put(f"{base}/{module}/NL/TNM/{told['id']}", told).ok, module
    url = cpo.post(f"{base}/cdrs", example("cdr", remark=SECRET)).headers["Location"]
    tokens_operations.keep(json.dumps(example("token_rfid", issuer=TOKENS)).encode())
    soon = timezone.now() + timedelta(hours=1)
    both = {"key": _KEY, "platform": cpo.platform, "state": "ACCEPTED", "correlation_id": "1", "deadline_at": soon}
    Command.objects.create(command="START_SESSION", country_code="NL", party_id="TNM", request="{}", **both)
    row = TheirSession.objects.get()
    ChargingProfileRequest.objects.create(kind=ChargingProfileRequest.Kind.GET, session=row, **both)
    evse = location["evses"][0]
    ids |= {
        "location_id": location["id"], "evse_uid": evse["uid"], "connector_id": evse["connectors"][0]["id"],
        "session_id": session["id"], "tariff_id": tariff_["id"], "token_uid": example("token_rfid")["uid"],
        "key": _KEY, "cdr_key": url.rpartition("/")[2], "result_type": "ActiveChargingProfileResult",
    }  # fmt: skip


def _fill_hub(found: World, people: list[Person]) -> None:
    cpo, emsp = people
    assert cpo.platform is not None
    assert emsp.platform is not None
    location, token = example("location", name=PLACES), example("token_rfid", issuer=TOKENS)
    tariff_ = example("tariff", tariff_alt_text=[{"language": "en", "text": PLACES}])
    for person, module, told in ((cpo, "locations", location), (cpo, "tariffs", tariff_), (emsp, "tokens", token)):
        own = f"{told['country_code']}/{told['party_id']}/{told.get('id') or told.get('uid')}"
        assert person.put(f"hub/2.2.1/receiver/{module}/{own}", told).ok, module
    for number, kind in enumerate(Callback.Kind.values):
        Callback.objects.create(
            key=_KEY[:-1] + str(number), kind=kind, url=f"{found.listeners[1].url}/{kind}", owner=emsp.platform,
            caller=cpo.platform, module="commands", correlation_id="1", expires_at=timezone.now() + timedelta(hours=1),
        )  # fmt: skip
    evse = location["evses"][0]
    found.ids = {
        "location_id": location["id"], "evse_uid": evse["uid"], "connector_id": evse["connectors"][0]["id"],
        "session_id": example("session")["id"], "tariff_id": tariff_["id"], "token_uid": token["uid"],
        "key": _KEY[:-1] + "0", "cdr_key": _KEY[:-1] + "1",
    }  # fmt: skip


_FILL: dict[str, Callable[[World, list[Person]], None]] = {"cpo": _fill_cpo, "emsp": _fill_emsp, "hub": _fill_hub}
