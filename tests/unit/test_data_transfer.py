"""DataTransfer of charge points: whoever understands it answers, and all of it is kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cpo.models import DataTransfer, InboxMessage
from cpo.modules import data_transfer
from cpo.modules.data_transfer import Answer
from tests.devices_support import add_device

pytestmark = [pytest.mark.usefixtures("cpo_side"), pytest.mark.django_db]


@pytest.fixture
def acme(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A vendor of which two messages are understood; returns what they brought."""
    heard: list[Any] = []

    def greet(message: InboxMessage, data: Any) -> Answer:
        heard.append(data)
        return Answer("Accepted", f"hello {data}")

    def refuse(message: InboxMessage, data: Any) -> Answer:
        return Answer("Rejected")

    monkeypatch.setattr(data_transfer, "HANDLERS", {("com.acme", "greet"): greet, ("com.acme", ""): refuse})
    return heard


@pytest.mark.req("OCPP-86")
@pytest.mark.parametrize("protocol", ["1.6", "2.0.1"])
@pytest.mark.parametrize(
    ("vendor", "message", "answer"),
    [
        ("com.acme", "greet", {"status": "Accepted", "data": "hello you"}),
        ("com.acme", None, {"status": "Rejected"}),
        ("com.acme", "shout", {"status": "UnknownMessageId"}),
        ("com.other", "greet", {"status": "UnknownVendorId"}),
        ("COM.ACME", "greet", {"status": "UnknownVendorId"}),
    ],
)
def test_whoever_is_registered_answers_and_it_is_kept(
    protocol: str, vendor: str, message: str | None, answer: dict[str, str], acme: list[Any]
) -> None:
    payload = {"vendorId": vendor, "data": "you"} | ({} if message is None else {"messageId": message})

    given = add_device(protocol=protocol).says("DataTransfer", payload, protocol=protocol)

    row = DataTransfer.objects.get()
    assert given == answer
    assert (row.vendor_id, row.message_id, row.data) == (vendor, message or "", "you")
    assert (row.status, row.answer) == (answer["status"], answer)
    assert acme == (["you"] if answer["status"] == "Accepted" else [])


@pytest.mark.req("OCPP-86", "OCPP-19")
def test_data_are_kept_as_they_came() -> None:
    data = {"Mixed": [1, {"null": None}], "text": "a\x00b"}

    add_device().says("DataTransfer", {"vendorId": "v\x00", "data": data})

    row = DataTransfer.objects.get()
    assert row.data == {"Mixed": [1, {"null": None}], "text": "ab"}
    assert row.vendor_id == "v"


@pytest.mark.req("OCPP-86")
def test_what_the_gateway_answered_in_our_stead_is_not_done_as_well(acme: list[Any]) -> None:
    point = add_device()
    point.says("DataTransfer", {"vendorId": "com.acme", "messageId": "greet"}, answer='{"status":"Rejected"}',
               apply=False)  # fmt: skip
    InboxMessage.objects.update(gave_up=True)

    point.says("DataTransfer", {"vendorId": "com.other"})

    assert acme == []
    assert list(DataTransfer.objects.order_by("id").values_list("status", flat=True)) == ["Rejected", "UnknownVendorId"]


def test_old_ones_are_forgotten() -> None:
    point = add_device()
    point.says("DataTransfer", {"vendorId": "old"}, at=datetime.now(UTC) - timedelta(days=91))
    point.says("DataTransfer", {"vendorId": "new"}, at=datetime.now(UTC) - timedelta(days=89))

    assert data_transfer.forget_old() == 1
    assert DataTransfer.objects.get().vendor_id == "new"
