"""Results on their way back through the hub: one for each response_url (HUB-72, REL-47)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta

import pytest
from django.utils import timezone

from hub.models import Callback
from tests.fixtures import Document, Partner
from tests.people import Person
from tests.platforms import Listener

COMMAND = "hub/2.2.1/receiver/commands/RESERVE_NOW"
ACCEPTED, CANCELED = {"result": "ACCEPTED"}, {"result": "CANCELED_RESERVATION"}
pytestmark = pytest.mark.usefixtures("hub_side", "front_door")


@pytest.fixture
def requester() -> Iterator[Listener]:
    with Listener() as found:
        yield found


@pytest.fixture
def far_cpo(partner: Partner, listener: Listener) -> Person:
    listener.reply("POST", "/", data={"result": "ACCEPTED", "timeout": 30})
    return partner("NL*TNM:CPO", listener=listener)


@pytest.fixture
def url(far_cpo: Person, partner: Partner, listener: Listener, requester: Listener, document: Document) -> str:
    """Return where the CPO is to post the result of a reservation."""
    emsp = partner("DE*EMS:EMSP", listener=requester)
    emsp.post(COMMAND, document("reserve_now", response_url=f"{requester.url}/results/42"), to="NL*TNM")
    return str(listener.received("POST")[0].json["response_url"])


def _give(cpo: Person, url: str, result: Mapping[str, object]) -> tuple[int, int]:
    return cpo.post(url, dict(result), to="DE*EMS").codes


@pytest.mark.req("HUB-72", "REL-47", "SEC-41")
def test_the_same_result_once_more_is_answered_as_before_and_another_is_refused(
    far_cpo: Person, url: str, requester: Listener
) -> None:
    requester.reply("POST", "/results", data={"seen": 1})
    first = far_cpo.post(url, ACCEPTED, to="DE*EMS")

    again = far_cpo.post(url, b'{ "result" : "ACCEPTED" }', to="DE*EMS")
    other = far_cpo.post(url, {"result": "FAILED"}, to="DE*EMS")

    assert (first.codes, again.codes) == ((200, 1000), (200, 1000))
    assert first.data == again.data == {"seen": 1}
    assert again.headers["OCPI-from-party-id"] == "EMS"
    assert other.codes == (200, 2001)
    assert "given already" in str(other.message)
    assert [got.json for got in requester.received("POST")] == [ACCEPTED]


@pytest.mark.req("HUB-72", "SEC-41", "CMD-20")
def test_a_reservation_that_is_canceled_later_has_a_second_result_and_no_third(
    far_cpo: Person, url: str, requester: Listener
) -> None:
    codes = [_give(far_cpo, url, result) for result in (ACCEPTED, CANCELED, CANCELED, {**CANCELED, "message": []},
                                                        {"result": "FAILED"})]  # fmt: skip

    assert codes == [(200, 1000), (200, 1000), (200, 1000), (200, 2001), (200, 2001)]
    assert [got.json for got in requester.received("POST")] == [ACCEPTED, CANCELED]


@pytest.mark.req("HUB-72", "REL-47")
def test_a_result_that_was_not_taken_may_come_again(far_cpo: Person, url: str, requester: Listener) -> None:
    requester.reply("POST", "/results", status=503, code=3000, times=1)
    assert _give(far_cpo, url, ACCEPTED) == (503, 3000)
    requester.reply("POST", "/results", close=True, times=1)
    assert _give(far_cpo, url, ACCEPTED)[1] in (4002, 4003)

    assert _give(far_cpo, url, {"result": "FAILED"}) == (200, 1000)
    assert Callback.objects.get().used_at is not None


@pytest.mark.req("HUB-72", "REL-47")
def test_while_a_result_is_on_its_way_no_other_is_passed_on(far_cpo: Person, url: str, requester: Listener) -> None:
    Callback.objects.update(passing_until=timezone.now() + timedelta(seconds=20))
    assert _give(far_cpo, url, ACCEPTED) == (200, 4000)
    assert requester.received("POST") == []

    Callback.objects.update(passing_until=timezone.now() - timedelta(seconds=1))  # whoever held it is gone
    assert _give(far_cpo, url, ACCEPTED) == (200, 1000)
