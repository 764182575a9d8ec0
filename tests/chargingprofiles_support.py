"""An eMSP that asks our CPO for charging profiles, and a charge point that is stepped: asked, answered, settled."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from cpo.models import ChargingProfileRequest, Operation, Session
from cpo.modules import chargingprofiles_operations as profiles
from ocpi.outbox_engine import drain_now
from tests.answers import OcpiAnswer
from tests.cpo_support import Point, answer_operation
from tests.fixtures import Document
from tests.people import Person
from tests.platforms import Listener

PATH = "cpo/2.2.1/chargingprofiles"
RESULTS = "/results"
TAG = "04C7A1E2B95D80"


@pytest.fixture(name="session")
def session_fixture(point: Point, emsp: Person, document: Document) -> Session:
    """A session of a driver of the eMSP that has been pushed a Token, charging at the EVSE."""
    token = document("token_rfid", whitelist="ALWAYS")
    emsp.put(f"cpo/2.2.1/tokens/DE/EMS/{TAG}", token)
    point.start(TAG)
    return Session.objects.get()


@pytest.fixture(name="put")
def put_fixture(emsp: Person, document: Document) -> Any:
    """Send a profile; members of it may be changed, None takes one away."""

    def send(session: Session | str, number: int = 1, *, by: Person | None = None, **changes: Any) -> OcpiAnswer:
        who = by or emsp
        body = document("charging_profile", response_url=f"{who.url}{RESULTS}/{number}")
        profile = {**body["charging_profile"], **changes}
        body["charging_profile"] = {name: value for name, value in profile.items() if value is not None}
        return who.put(f"{PATH}/{_id(session)}", body)

    return send


def _id(session: Session | str) -> str:
    return session if isinstance(session, str) else session.object_id


def get(who: Person, session: Session | str, number: int = 1, **query: Any) -> OcpiAnswer:
    asked = {"duration": 900, "response_url": f"{who.url}{RESULTS}/get-{number}", **query}
    return who.get(f"{PATH}/{_id(session)}", query={name: value for name, value in asked.items() if value is not None})


def delete(who: Person, session: Session | str, number: int = 1) -> OcpiAnswer:
    return who.delete(f"{PATH}/{_id(session)}", query={"response_url": f"{who.url}{RESULTS}/delete-{number}"})


def ask(method: str, session: Session, put: Any, emsp: Person) -> OcpiAnswer:
    if method == "PUT":
        answer: OcpiAnswer = put(session)
        return answer
    return get(emsp, session) if method == "GET" else delete(emsp, session)


def settle(status: str = "Accepted", *, answer: dict[str, Any] | None = None, **how: Any) -> Operation:
    """Let the charge point answer what waits for it."""
    operation = answer_operation(status, **how)
    if answer is not None:
        operation.answer = json.dumps(answer)
        operation.save()
    profiles.settle(operation.pk)
    return operation


def sent(operation: Operation | None = None) -> Any:
    return json.loads((operation or Operation.objects.latest("created_at")).payload)


def results(listener: Listener) -> list[Any]:
    while drain_now():
        pass
    # Results for different URLs do not wait for each other.
    return [request.json for request in sorted(listener.received("POST", RESULTS), key=lambda each: each.path)]


def a_while_later() -> None:
    """Let the time pass in which a session takes one change."""
    rows = ChargingProfileRequest.objects.all()
    for row in rows:
        rows.filter(pk=row.pk).update(created_at=row.created_at - timedelta(seconds=31))
