"""The way of a message: who stands where, in which order, what failed and why, and what is still on its way."""

from __future__ import annotations

import html
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django.fixtures import Settings

from ocpi import exchange_message, exchange_search, exchanges
from ocpi.exchange_objects import result_id
from ocpi.exchange_picture import Leg, Waiting, draw
from ocpi.models import Delivery, Exchange, FinishedDelivery, Platform
from tests.admin_world import operator_fixture as operator_fixture
from tests.admin_world import viewer_fixture as viewer_fixture
from tests.admin_world import world_fixture as world_fixture
from tests.fixtures import Document, Partner
from tests.platforms import Listener

START = datetime.now(UTC).replace(microsecond=0)
CALLBACK = "https://hub.example/ocpi/hub/2.2.1/callbacks/" + "k" * 43


def leg(who: str, ms: float, *, out: bool = False, took: float = 5.0, key: int = 0, **columns: Any) -> Leg:
    given: dict[str, Any] = {"party": "", "what": "PUT x", "answer": "200 / 1000", "milliseconds": took, **columns}
    return Leg(key, START + timedelta(milliseconds=ms), who, outgoing=out, **given)


def test_a_direct_request_goes_from_left_to_right_and_its_answer_comes_back_inside_the_other() -> None:
    picture = draw([leg("eMSP", 0, took=60), leg("CPO", 4, out=True, took=50)], [], us="Hub", our_party="NL*HUB")

    left, hub, right = picture.columns
    assert (left.name, hub.name, right.name) == ("eMSP", "Hub", "CPO")
    assert hub.ours
    arrows = [(line.start, line.end, line.kind) for line in picture.lines]
    assert arrows == [
        (left.x, hub.x, "asks"), (hub.x, right.x, "asks"), (right.x, hub.x, "answers"), (hub.x, left.x, "answers"),
    ]  # fmt: skip
    assert [line.time for line in picture.lines] == ["0.000 s", "0.004 s", "0.054 s", "0.060 s"]
    outer, inner = picture.bars
    assert outer.y < inner.y < inner.y + inner.height < outer.y + outer.height


def test_the_result_of_a_command_comes_back_over_the_same_columns() -> None:
    legs = [leg("eMSP", 0), leg("CPO", 1, out=True, took=2), leg("CPO", 900), leg("eMSP", 901, out=True, took=1)]

    picture = draw(legs, [], us="Hub", our_party="")

    assert [column.name for column in picture.columns] == ["eMSP", "Hub", "CPO"]
    assert [line.start > line.end for line in picture.lines] == [False, False, True, True, True, True, False, False]


@pytest.mark.parametrize(("receivers", "columns"), [(1, 3), (3, 5), (4, 3), (100, 3)])
def test_many_receivers_share_a_column_and_each_has_a_line(receivers: int, columns: int) -> None:
    legs = [leg("CPO", 0)] + [leg(f"E{n}", 10 + n, out=True, party=f"DE*{n:03}") for n in range(receivers)]

    picture = draw(legs, [], us="Hub", our_party="")

    shared = receivers > 3
    assert len(picture.columns) == columns
    assert len(picture.lines) == 2 + receivers * (1 if shared else 2)
    assert len({line.y for line in picture.lines}) == len(picture.lines)
    if shared:
        assert picture.columns[-1].name == f"{receivers} receivers"
        assert picture.lines[-1].beside == f"E{receivers - 1} DE*{receivers - 1:03}"
        assert picture.lines[-1].result == "200 / 1000 in 5.0 ms"
        assert [line.words for line in picture.lines[2:]] == ["PUT x", *[""] * (receivers - 1)]


def test_no_answer_is_a_cross_and_what_waits_is_at_the_end() -> None:
    silent = leg("E1", 1, out=True, answer="NoAnswer", answered=False, good=False, reason="timed out")
    waits = Waiting("E2", "DE*E02", "locations/LOC1", "PENDING")

    picture = draw([leg("CPO", 0), silent], [waits], us="Hub", our_party="")

    assert [line.kind for line in picture.lines] == ["asks", "asks", "answers", "fails", "waits"]
    failed = picture.lines[3]
    assert (failed.words, failed.note, failed.good) == ("NoAnswer in 5.0 ms", "timed out", False)
    assert picture.lines[-1].time == "PENDING"


def test_an_empty_picture_has_only_us() -> None:
    picture = draw([], [], us="Hub", our_party="")

    assert [column.name for column in picture.columns] == ["Hub"]
    assert picture.height > 0


# ---------------------------------------------------------------- what is read


def exchange(platform: Platform | None, ms: int, direction: str = "IN", **columns: Any) -> Exchange:
    at = START + timedelta(milliseconds=ms)
    given: dict[str, Any] = {
        "method": "PATCH", "url": "/ocpi/hub/2.2.1/locations/NL/TNM/LOC1", "module": "locations", "http_status": 200,
        "object_path": "NL/TNM/LOC1", "status_code": 1000, "milliseconds": 4.0, "correlation_id": "message-7",
        **columns,
    }  # fmt: skip
    number = (int(at.timestamp() * 1000) << 22) + Exchange.objects.count()
    return Exchange.objects.create(id=number, at=at, direction=direction, platform=platform, **given)


def delivery(model: type[Delivery | FinishedDelivery], platform: Any, **columns: Any) -> None:
    given: dict[str, Any] = {
        "kind": "STATE", "order_key": "x", "slot": 0, "module": "locations", "path": "NL/TNM/LOC1",
        "correlation_id": "message-7", "to_country_code": "DE", "to_party_id": "EMS", **columns,
    }  # fmt: skip
    model._default_manager.create(platform=platform, **given)


@pytest.fixture
def broadcast(partner: Partner) -> list[Exchange]:
    """A push to three receivers: one took it, one refused it, one is still to get it."""
    owner, glad, picky, away = (partner(f"NL*{name}:EMSP").platform for name in ("TNM", "GLA", "PIC", "AWA"))
    rows = [
        exchange(owner, 0),
        exchange(glad, 5, "OUT", to_party="NL*GLA"),
        exchange(picky, 6, "OUT", status_code=2001, response_body='{"status_message":"<b>not</b> known here"}'),
    ]
    delivery(FinishedDelivery, glad, state="DELIVERED", attempts=1, http_status=200, status_code=1000)
    delivery(FinishedDelivery, picky, state="REFUSED", attempts=1, status_code=2001, error="<b>not</b> known here")
    delivery(Delivery, away, state="MARKED", attempts=5)
    exchange(owner, 1, correlation_id="another")
    return rows


def _page(client: Client, correlation_id: str) -> str:
    answer = client.get("/admin/ocpi/exchange/message/", {"id": correlation_id})
    assert answer.status_code == 200
    assert "unsafe-inline" not in answer.headers["Content-Security-Policy"].partition("style-src")[0]
    return answer.content.decode()


def test_the_page_shows_both_legs_the_reasons_and_what_still_waits(operator: Client, broadcast: list[Exchange]) -> None:
    content = _page(operator, "message-7")

    for row in broadcast:
        assert f"/admin/ocpi/exchange/{row.pk}/change/" in content
    words = html.unescape(content)
    assert "<b>not</b> known here" in words
    assert "<b>not</b>" not in content  # SEC-55
    for state in ("DELIVERED", "REFUSED", "MARKED"):
        assert state in content
    assert f"/admin/ocpi/delivery/{Delivery.objects.get().pk}/change/" in content
    assert "<strong>1</strong> failed" in content
    # Nothing of ours that the CSP would have to be opened for.
    card = content[content.index("o-legs") : content.rindex("</table>")]
    assert not re.search(r"\sstyle=|<script|\son[a-z]+=", card)


def test_a_hundred_receivers_cost_no_more_queries_than_one(
    operator: Client, broadcast: list[Exchange], partner: Partner
) -> None:
    _page(operator, "message-7")
    with CaptureQueriesContext(connection) as few:
        _page(operator, "message-7")
    for number in range(40):
        platform = partner(f"FR*{number:03}:EMSP").platform
        exchange(platform, 10 + number, "OUT", status_code=2001, response_body='{"status_message":"no"}')
        delivery(FinishedDelivery, platform, state="REFUSED")

    with CaptureQueriesContext(connection) as many:
        content = _page(operator, "message-7")

    assert len(many) == len(few)
    assert "43 receivers" in content


def test_a_result_is_part_of_the_message_that_asked_for_it(db: None, partner: Partner) -> None:
    drivers, owner = partner("DE*EMS:EMSP").platform, partner("NL*TNM:CPO").platform
    asked: dict[str, Any] = {"method": "POST", "module": "commands", "object_path": "START_SESSION"}
    exchange(drivers, 0, **asked)
    exchange(owner, 2, "OUT", **asked, request_body=json.dumps({"response_url": CALLBACK, "token": {"uid": "…"}}))
    exchange(owner, 900, method="POST", module="", correlation_id="its own", object_id=result_id(CALLBACK))
    exchange(owner, 950, method="POST", module="", correlation_id="stranger", object_id=result_id(CALLBACK + "x"))

    found = exchange_message.read("message-7")

    assert [row.correlation_id for row in found.rows] == ["message-7", "message-7", "its own"]


@pytest.mark.django_db
def test_nobody_who_may_not_see_exchanges_sees_a_message(viewer: Client) -> None:
    assert viewer.get("/admin/ocpi/exchange/message/", {"id": "message-7"}).status_code == 403
    assert Client().get("/admin/ocpi/exchange/message/", {"id": "message-7"}).status_code == 302


def test_a_message_that_is_not_found_in_time_is_not_said_to_be_gone(
    operator: Client, broadcast: list[Exchange], monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_off = exchange_search.Found([], "place", START)
    monkeypatch.setattr(exchange_search, "search", lambda *_, **__: cut_off)

    answer = operator.get("/admin/ocpi/exchange/message/", {"id": broadcast[0].correlation_id}).content.decode()

    assert "Looking took too long" in answer
    assert "Nothing is kept" not in answer
    assert "nothing is kept" not in answer


def test_an_unknown_message_says_so(operator: Client, broadcast: list[Exchange]) -> None:
    assert "Nothing is kept of this message" in _page(operator, "nobody knows")
    assert "Nothing is kept of this message" in _page(operator, "")


@pytest.mark.parametrize(
    ("page", "target"),
    [
        ("/admin/ocpi/delivery/{delivery}/change/", "/admin/ocpi/exchange/message/?id=message-7"),
        ("/admin/ocpi/finisheddelivery/{finished}/change/", "/admin/ocpi/exchange/message/?id=message-7"),
        ("/admin/ocpi/exchange/{exchange}/change/", "/admin/ocpi/exchange/message/?id=message-7"),
        ("/admin/ocpi/exchange/", "/admin/ocpi/exchange/message/?id=message-7"),
    ],
)
def test_pages_lead_to_the_message(operator: Client, broadcast: list[Exchange], page: str, target: str) -> None:
    ids = {
        "delivery": Delivery.objects.get().pk,
        "finished": FinishedDelivery.objects.order_by("pk")[0].pk,
        "exchange": broadcast[0].pk,
    }

    assert target in operator.get(page.format(**ids)).content.decode()


@pytest.mark.parametrize(
    ("model", "target"),
    [
        ("cpo/command", "exchange/message/?id=message-2"),
        ("emsp/command", "exchange/message/?id="),
        ("cpo/session", "exchange/?object=S1&module=sessions"),
        ("cpo/cdr", "exchange/?object=C1&module=cdrs"),
        ("cpo/location", "exchange/?object=LOC1&module=locations"),
        ("emsp/session", "&module=sessions"),
        ("emsp/cdr", "&module=cdrs"),
        ("hub/sharedobject", "exchange/?object=LOC1&module=locations"),
        ("hub/callback", "exchange/message/?id=message-1"),
    ],
)
def test_what_the_platform_keeps_leads_to_its_messages(
    operator: Client, world: dict[str, Any], model: str, target: str
) -> None:
    listed = operator.get(f"/admin/{model}/").content.decode()
    [page, *_] = re.findall(rf"/admin/{model}/\d+/change/", listed)

    assert target in html.unescape(operator.get(page).content.decode())


def test_a_command_through_the_hub_and_its_result_are_one_picture(
    hub_side: None, listener: Listener, partner: Partner, settings: Settings, document: Document
) -> None:
    settings.OCPI_EXCHANGES = True
    exchanges._waiting.forget()
    owner = partner("NL*TNM:CPO", listener=listener, name="Owner")
    drivers = partner("DE*EMS:EMSP", listener=listener, name="Drivers")
    listener.reply("POST", "/ocpi/2.2.1/receiver/commands", data={"result": "ACCEPTED", "timeout": 30})
    body = {
        "response_url": f"{listener.url}/ocpi/emsp/2.2.1/commands/START_SESSION/1234567890",
        "token": document("token_rfid"), "location_id": "LOC1",
    }  # fmt: skip

    asked = drivers.post("hub/2.2.1/receiver/commands/START_SESSION", body, to="NL*TNM")
    assert asked.codes == (200, 1000)
    [passed_on] = listener.received("POST", "/ocpi/2.2.1/receiver/commands")
    told = owner.post(passed_on.json["response_url"], {"result": "ACCEPTED"}, to="DE*EMS")  # with an id of its own
    assert told.codes == (200, 1000)
    exchanges.flush()

    correlation_id = Exchange.objects.filter(direction="OUT").order_by("id")[0].correlation_id
    found = exchange_message.read(correlation_id)
    assert [(row.direction, row.platform.name if row.platform else "") for row in found.rows] == [
        ("IN", "Drivers"), ("OUT", "Owner"), ("IN", "Owner"), ("OUT", "Drivers"),
    ]  # fmt: skip
    assert found.rows[1].object_id == "LOC1"
