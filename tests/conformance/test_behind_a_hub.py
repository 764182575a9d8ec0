"""What we send to somebody behind a hub, by what the hub says of it; and by which way if there are two."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from cpo import recipients as cpo_recipients
from cpo.modules import authorization
from emsp import recipients as emsp_recipients
from ocpi import alarms, kept, outbox, outbox_care, snapshot
from ocpi.models import Delivery, FinishedDelivery, Platform
from ocpi.outbox_engine import drain_now
from tests.fixtures import Document, Partner, add_party
from tests.outbox_support import add_object, later
from tests.people import Person, at
from tests.platforms import Listener

MODULES = [("sessions", "RECEIVER"), ("cdrs", "RECEIVER"), ("tokens", "SENDER"), ("commands", "RECEIVER"),
           ("hubclientinfo", "SENDER")]  # fmt: skip
URL = "2.2.1/hubclientinfo/DE/EMS"
HELD = ["OFFLINE", "PLANNED"]


@pytest.fixture
def hub(cpo_side: None, partner: Partner, listener: Listener) -> Person:
    """A hub that this charge point owner is connected to; it names its clients."""
    return partner("BE*HUB:HUB", listener=listener, endpoints=MODULES, speaks_for_all=False)


def tell(hub: Person, document: Document, status: str, moment: int = 0, **members: Any) -> None:
    info = document("client_info", country_code="DE", party_id="EMS", role="EMSP", status=status,
                    last_updated=f"2025-09-12T08:00:{moment:02}Z", **members)  # fmt: skip
    assert hub.put(URL, info).ok


def send(kind: str = "STATE", *, to: str = "DE*EMS") -> None:
    """Have a Session or a CDR sent to an eMSP, as the modules do."""
    module = "cdrs" if kind == "CDR" else "sessions"
    row = add_object(f"{module}{Delivery.objects.count()}", module=module)
    with transaction.atomic():
        outbox.mark(
            cpo_recipients.party(at(to), module, at("NL*TNM")),
            module=module, source="hub.SharedObject", source_id=row.pk,
            path="" if kind == "CDR" else f"NL/TNM/{row.path}", order_key=row.path, kind=kind,
        )  # fmt: skip


def sent(listener: Listener) -> list[str]:
    return [f"{request.method} {request.path.split('/')[4]}" for request in listener.requests]


@pytest.mark.req("HCI-20", "HCI-16")
def test_who_is_connected_behind_the_hub_is_sent_to(hub: Person, listener: Listener, document: Document) -> None:
    tell(hub, document, "CONNECTED")
    send()
    send("CDR")
    drain_now()

    assert sorted(sent(listener)) == ["POST cdrs", "PUT sessions"]


@pytest.mark.req("HCI-20", "HCI-17", "HCI-18")
@pytest.mark.parametrize("status", [*HELD, ""])
def test_who_is_not_connected_is_sent_nothing_states_become_marks_and_cdrs_wait(
    hub: Person, listener: Listener, document: Document, status: str
) -> None:
    if status:  # otherwise the hub has not named it
        tell(hub, document, status)
    send()
    send("CDR")
    drain_now()
    later(5)
    outbox_care.sweep()
    drain_now()

    assert listener.requests == []
    assert sorted(Delivery.objects.values_list("kind", "state")) == [("CDR", "PENDING"), ("STATE", "MARKED")]
    cdr = Delivery.objects.get(kind="CDR")
    assert "DE*EMS is" in cdr.error
    assert "behind" in cdr.error
    assert Platform.objects.get(pk=hub.id).failures == 0  # the hub itself is well


@pytest.mark.req("HCI-17", "HCI-18", "REL-36")
@pytest.mark.parametrize("status", HELD)
def test_marks_of_who_is_away_wait_for_it_however_long(
    hub: Person, listener: Listener, document: Document, status: str
) -> None:
    tell(hub, document, status)
    send()
    drain_now()
    [held] = Delivery.objects.all()
    assert held.tried_at is not None
    assert held.due_at - held.tried_at == timedelta(seconds=settings.OCPI_PULL_GRACE)  # it may pull, if it is back soon
    later(3 * 3600)
    outbox_care.sweep()

    assert Delivery.objects.get().state == "MARKED"


@pytest.mark.req("HCI-16", "HCI-17", "REL-36")
def test_when_it_is_connected_again_the_cdr_goes_at_once_and_the_state_after_the_grace(
    hub: Person, listener: Listener, document: Document
) -> None:
    tell(hub, document, "CONNECTED")
    send()
    tell(hub, document, "OFFLINE", 1)
    assert Delivery.objects.get().state == "MARKED"  # at once: pushes are not queued
    send("CDR")
    drain_now()
    assert listener.requests == []

    tell(hub, document, "CONNECTED", 2)
    outbox_care.sweep()
    drain_now()
    assert sent(listener) == ["POST cdrs"]
    later(601)
    outbox_care.sweep()
    drain_now()

    assert sent(listener) == ["POST cdrs", "PUT sessions"]


@pytest.mark.req("HCI-19", "HCI-20", "REL-33")
def test_who_is_suspended_gets_no_state_and_its_cdr_waits_until_it_is_back(
    hub: Person, listener: Listener, document: Document
) -> None:
    tell(hub, document, "SUSPENDED")
    send()
    send("CDR")
    drain_now()
    later(3600)
    outbox_care.sweep()
    drain_now()

    assert listener.requests == []
    assert [(row.kind, row.state) for row in FinishedDelivery.objects.all()] == [("STATE", "DROPPED")]
    (waiting,) = Delivery.objects.all()
    assert (waiting.kind, waiting.state) == ("CDR", "PENDING")
    assert waiting.error.startswith("waits, DE*EMS is SUSPENDED behind ")
    assert Platform.objects.get(pk=hub.id).failures == 0

    tell(hub, document, "CONNECTED", 1)
    drain_now()
    assert sent(listener) == ["POST cdrs"]


@pytest.mark.req("HCI-19", "REL-33")
def test_after_seven_days_the_cdr_of_who_is_suspended_is_for_an_operator(
    hub: Person, listener: Listener, document: Document
) -> None:
    tell(hub, document, "SUSPENDED")
    send("CDR")
    drain_now()
    later(7 * 86400 + 3600)
    Delivery.objects.update(created_at=timezone.now() - timedelta(days=7, hours=1))
    drain_now()

    dead = FinishedDelivery.objects.get()
    kept.forget()
    assert (dead.kind, dead.state) == ("CDR", "DEAD")
    assert "DE*EMS is SUSPENDED" in dead.error
    assert "cdr_dead" in [alarm.name for alarm in alarms.current()]
    assert listener.requests == []


@pytest.mark.req("REL-33")
@pytest.mark.parametrize("columns", [{"connection": "SUSPENDED"}, {"connection": "OFFLINE"}, {"paused_reason": "x"}])
def test_a_cdr_waits_for_a_platform_that_nothing_is_sent_to_no_longer_than_others_are_tried(
    hub: Person, listener: Listener, document: Document, columns: dict[str, str]
) -> None:
    tell(hub, document, "CONNECTED")
    send("CDR")
    Platform.objects.filter(pk=hub.id).update(**columns)
    outbox_care.sweep()
    assert Delivery.objects.get().state == "PENDING"

    Delivery.objects.update(created_at=timezone.now() - timedelta(days=7, seconds=1))
    outbox_care.sweep()

    assert not Delivery.objects.exists()
    assert FinishedDelivery.objects.get().state == "DEAD"
    assert listener.requests == []


@pytest.mark.req("HCI-20")
def test_the_others_behind_the_hub_are_not_kept_waiting(hub: Person, listener: Listener, document: Document) -> None:
    tell(hub, document, "OFFLINE")
    add_party(hub.platform, "FR*MSX:EMSP", through_hub=True)
    for _ in range(3):
        send()
    send(to="FR*MSX")
    drain_now()

    assert [request.headers["ocpi-to-party-id"] for request in listener.requests] == ["MSX"]


@pytest.mark.req("HCI-20", "TOK-24")
@pytest.mark.parametrize("status", ["OFFLINE", "PLANNED", "SUSPENDED", "CONNECTED"])
def test_only_a_connected_emsp_is_asked_to_authorize(hub: Person, document: Document, status: str) -> None:
    tell(hub, document, status)

    assert authorization._connected(snapshot.current().platforms[hub.id], at("DE*EMS")) is (status == "CONNECTED")
    candidates = [found.address for found in authorization._everybody()]
    assert candidates == ([at("DE*EMS")] if status == "CONNECTED" else [])


@pytest.mark.req("HUB-86", "HUB-87")
@pytest.mark.parametrize("named_first", [True, False])
def test_a_direct_connection_wins_and_never_both(
    hub: Person, partner: Partner, document: Document, named_first: bool
) -> None:
    if named_first:
        tell(hub, document, "CONNECTED")
    direct = partner("DE*EMS:EMSP", endpoints=MODULES)
    if not named_first:
        tell(hub, document, "CONNECTED")

    (recipient,) = cpo_recipients.party(at("DE*EMS"), "sessions", at("NL*TNM"))

    assert recipient.platform_id == direct.id
    asked = cpo_recipients.asked(at("DE*EMS"), "tokens")
    assert asked is not None
    assert asked.id == direct.id
    assert [found.platform.id for found in authorization._everybody()] == [direct.id]


@pytest.mark.req("HUB-87", "HCI-20")
def test_of_two_hubs_the_one_behind_which_it_is_connected_is_taken(
    hub: Person, partner: Partner, document: Document
) -> None:
    other = partner("CH*HUC:HUB", endpoints=MODULES, speaks_for_all=False)
    tell(hub, document, "OFFLINE")
    tell(other, document, "CONNECTED")

    (recipient,) = cpo_recipients.party(at("DE*EMS"), "sessions", at("NL*TNM"))

    assert recipient.platform_id == other.id


class TestEmsp:
    @pytest.fixture
    def hub(self, emsp_side: None, partner: Partner) -> Person:
        return partner("BE*HUB:HUB", endpoints=MODULES, speaks_for_all=False)

    @pytest.mark.req("HCI-20", "HCI-17", "HCI-18", "HCI-19")
    @pytest.mark.parametrize("status", ["CONNECTED", "OFFLINE", "PLANNED", "SUSPENDED", ""])
    def test_only_a_connected_cpo_is_asked(self, hub: Person, document: Document, status: str) -> None:
        if status:
            assert hub.put("2.2.1/hubclientinfo/NL/TNM", document("client_info", status=status)).ok

        found = emsp_recipients.platform_for(at("NL*TNM"), "commands", "RECEIVER")

        assert (found.id if found else None) == (hub.id if status == "CONNECTED" else None)

    @pytest.mark.req("HCI-17", "HUB-78")
    def test_nobody_is_asked_behind_a_hub_that_is_away(self, hub: Person, document: Document) -> None:
        assert hub.put("2.2.1/hubclientinfo/NL/TNM", document("client_info")).ok
        Platform.objects.filter(pk=hub.id).update(connection="OFFLINE")
        snapshot.changed()

        assert emsp_recipients.platform_for(at("NL*TNM"), "commands", "RECEIVER") is None

    @pytest.mark.req("HUB-86", "HUB-87")
    @pytest.mark.parametrize("named_first", [True, False])
    def test_a_direct_connection_wins(
        self, hub: Person, partner: Partner, document: Document, named_first: bool
    ) -> None:
        info = document("client_info")
        if named_first:
            assert hub.put("2.2.1/hubclientinfo/NL/TNM", info).ok
        direct = partner("NL*TNM:CPO", endpoints=MODULES)
        if not named_first:
            assert hub.put("2.2.1/hubclientinfo/NL/TNM", info).ok

        found = emsp_recipients.platform_for(at("NL*TNM"), "commands", "RECEIVER")

        assert found is not None
        assert found.id == direct.id
