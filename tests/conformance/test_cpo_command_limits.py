"""How often a driver's token may start, and an EVSE be commanded (SEC-43)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.utils import timezone
from pytest_django.fixtures import Settings

from cpo.models import EVSE, ChargePoint, Command
from tests.answers import OcpiAnswer
from tests.cpo_support import SECOND_EVSE_UID, Point
from tests.cpo_support import emsp_fixture as emsp_fixture
from tests.cpo_support import point_fixture as point_fixture
from tests.fixtures import Document
from tests.people import Person
from tests.reservations_support import configured

PATH = "cpo/2.2.1/commands"
pytestmark = [pytest.mark.usefixtures("cpo_side"), pytest.mark.django_db]


@pytest.fixture
def send(document: Document, emsp: Person, point: Point) -> Any:
    """Send a command, by default START_SESSION; each has a response_url of its own."""
    sent = iter(range(1, 1000))

    def command(name: str = "START_SESSION", sender: str = "DE*EMS", **changes: Any) -> OcpiAnswer:
        url = f"{emsp.url}/results/{next(sent)}"
        body = document(name.lower(), **{"response_url": url, **changes})
        return emsp.post(f"{PATH}/{name}", body, sender=sender)

    return command


def results(answers: list[OcpiAnswer]) -> list[str]:
    return [answer.data["result"] for answer in answers]


@pytest.mark.req("SEC-43")
def test_a_token_starts_so_often_in_ten_minutes_and_then_is_rejected(send: Any, settings: Settings) -> None:
    settings.OCPI_STARTS_PER_TOKEN = 3

    answers = [send() for _ in range(5)]

    assert results(answers) == ["ACCEPTED"] * 3 + ["REJECTED"] * 2
    assert "This Token has started 3 sessions" in answers[-1].data["message"][0]["text"]
    assert answers[-1].data["timeout"] == 0
    assert Command.objects.filter(state="REFUSED").count() == 2


@pytest.mark.req("SEC-43")
def test_another_token_and_a_later_time_have_their_own_share(send: Any, settings: Settings, document: Document) -> None:
    settings.OCPI_STARTS_PER_TOKEN = 1
    other = {**document("start_session")["token"], "uid": "0123456789"}

    assert results([send(), send(), send(token=other)]) == ["ACCEPTED", "REJECTED", "ACCEPTED"]
    with time_machine.travel(timezone.now() + timedelta(minutes=10, seconds=1), tick=False):
        assert results([send()]) == ["ACCEPTED"]


@pytest.mark.req("SEC-43")
def test_the_spelling_of_a_token_gives_no_second_share(send: Any, settings: Settings, document: Document) -> None:
    settings.OCPI_STARTS_PER_TOKEN = 1
    token = document("start_session")["token"]
    assert token["uid"] != token["uid"].lower()

    assert results([send(), send(token={**token, "uid": token["uid"].lower()})]) == ["ACCEPTED", "REJECTED"]


@pytest.mark.req("SEC-43")
def test_nor_does_the_spelling_of_who_asks(send: Any, settings: Settings) -> None:
    settings.OCPI_STARTS_PER_TOKEN = 1

    assert results([send(), send(sender="de*ems")]) == ["ACCEPTED", "REJECTED"]


@pytest.mark.req("SEC-43", "TOK-18")
def test_a_long_token_has_one_share_whatever_its_name_at_the_charge_point(
    send: Any, settings: Settings, document: Document, point: Point
) -> None:
    settings.OCPI_STARTS_PER_TOKEN = 2
    token = {**document("start_session")["token"], "uid": "A-TOKEN-OF-THIRTY-SIX-CHARACTERS-XYZ"}
    point.row.protocol = "2.0.1"
    point.row.save()
    first = send(token=token)
    point.row.protocol = "1.6"
    point.row.save()

    answers = [first, send(token=token), send(token=token)]

    assert len(set(Command.objects.filter(state="WAITING").values_list("id_tag", flat=True))) == 2
    assert results(answers) == ["ACCEPTED", "ACCEPTED", "REJECTED"]


@pytest.mark.req("SEC-43", "TOK-18")
def test_nor_does_the_spelling_of_a_long_token(send: Any, settings: Settings, document: Document, point: Point) -> None:
    settings.OCPI_STARTS_PER_TOKEN = 1
    point.row.protocol = "2.0.1"
    point.row.save()
    token = {**document("start_session")["token"], "uid": "A-TOKEN-OF-THIRTY-SIX-CHARACTERS-XYZ"}

    answers = [send(token=token), send(token={**token, "uid": token["uid"].lower()})]

    assert results(answers) == ["ACCEPTED", "REJECTED"]


@pytest.mark.req("SEC-43")
def test_a_token_that_has_started_so_often_may_reserve_all_the_same(send: Any, settings: Settings) -> None:
    settings.OCPI_STARTS_PER_TOKEN = 1

    assert results([send(), send(), send("RESERVE_NOW")]) == ["ACCEPTED", "REJECTED", "ACCEPTED"]


@pytest.mark.req("SEC-43")
def test_a_reservation_is_no_start(send: Any, settings: Settings) -> None:
    settings.OCPI_STARTS_PER_TOKEN = 1

    assert results([send("RESERVE_NOW"), send()]) == ["ACCEPTED", "ACCEPTED"]


@pytest.mark.req("SEC-43")
def test_the_shares_are_of_ten_minutes_and_of_one_and_what_was_refused_is_in_none(
    send: Any, settings: Settings
) -> None:
    settings.OCPI_STARTS_PER_TOKEN = settings.OCPI_COMMANDS_PER_EVSE = 1
    begin = timezone.now()

    def later(seconds: int, *command: str) -> str:
        with time_machine.travel(begin + timedelta(seconds=seconds), tick=False):
            return str(send(*command).data["result"])

    assert later(0) == "ACCEPTED"
    assert later(59, "UNLOCK_CONNECTOR") == "REJECTED", "the EVSE has had its command"
    assert later(61, "UNLOCK_CONNECTOR") == "ACCEPTED"
    assert later(599) == "REJECTED", "the Token has started"
    assert later(601) == "ACCEPTED"


@pytest.mark.req("SEC-43")
def test_each_evse_and_what_is_asked_without_one_has_a_share_of_its_own(send: Any, settings: Settings) -> None:
    settings.OCPI_COMMANDS_PER_EVSE = 1
    row = EVSE.objects.get(uid=SECOND_EVSE_UID)
    row.charge_point, row.connector_id = ChargePoint.objects.get(), 2
    row.save()

    assert results([send(), send(evse_uid=SECOND_EVSE_UID), send()]) == ["ACCEPTED", "ACCEPTED", "REJECTED"]
    Command.objects.update(evse=None)
    assert results([send(), send()]) == ["ACCEPTED", "REJECTED"]


@pytest.mark.req("SEC-43")
@pytest.mark.parametrize("other", [{"country_code": "NL"}, {"party_id": "MSX"}])
def test_what_another_emsp_started_with_a_token_of_the_same_uid_is_not_of_this_share(
    send: Any, settings: Settings, other: dict[str, str]
) -> None:
    settings.OCPI_STARTS_PER_TOKEN = 1

    first = send()
    Command.objects.update(**other)

    assert results([first, send(), send()]) == ["ACCEPTED", "ACCEPTED", "REJECTED"]


@pytest.mark.req("SEC-43")
def test_what_names_no_evse_has_a_share_at_each_charge_point(send: Any, settings: Settings, point: Point) -> None:
    settings.OCPI_COMMANDS_PER_EVSE = 1
    configured(point, "true")
    point.status("Available")

    first = send("RESERVE_NOW", evse_uid=None, reservation_id="1")
    other = ChargePoint.objects.get()
    other.pk, other.identity = None, "OTHER"
    other.save()
    Command.objects.update(charge_point=other)

    assert Command.objects.get().evse is None
    answers = [send("RESERVE_NOW", evse_uid=None, reservation_id=name) for name in ("2", "3")]
    assert results([first, *answers]) == ["ACCEPTED", "ACCEPTED", "REJECTED"]


@pytest.mark.req("SEC-43")
def test_an_evse_is_commanded_so_often_in_a_minute(send: Any, settings: Settings) -> None:
    settings.OCPI_COMMANDS_PER_EVSE = 2

    answers = [send(), send("UNLOCK_CONNECTOR"), send("UNLOCK_CONNECTOR"), send()]

    assert results(answers) == ["ACCEPTED", "ACCEPTED", "REJECTED", "REJECTED"]
    assert "This EVSE has had 2 commands" in answers[-1].data["message"][0]["text"]
    with time_machine.travel(timezone.now() + timedelta(minutes=1, seconds=1), tick=False):
        assert results([send("UNLOCK_CONNECTOR")]) == ["ACCEPTED"]


@pytest.mark.req("SEC-43")
def test_the_limits_are_ten_and_six_unless_set(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    from hub import settings as module

    monkeypatch.delenv("OCPI_STARTS_PER_TOKEN")
    monkeypatch.delenv("OCPI_COMMANDS_PER_EVSE")

    fresh = importlib.reload(module)

    assert (fresh.OCPI_STARTS_PER_TOKEN, fresh.OCPI_COMMANDS_PER_EVSE) == (10, 6)


@pytest.mark.req("SEC-43")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("limit", ["OCPI_STARTS_PER_TOKEN", "OCPI_COMMANDS_PER_EVSE"])
def test_many_at_once_get_no_more_than_one_after_the_other(
    send: Any, settings: Settings, document: Document, limit: str
) -> None:
    setattr(settings, limit, 3)
    token = document("start_session")["token"]
    spellings = (token["uid"], token["uid"].lower())

    def one(number: int) -> OcpiAnswer:
        try:
            answer: OcpiAnswer = send(token={**token, "uid": spellings[number % 2]})
            return answer
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(one, range(12)))

    assert sorted(results(answers)) == ["ACCEPTED"] * 3 + ["REJECTED"] * 9
