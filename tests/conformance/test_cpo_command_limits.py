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

from cpo.models import Command
from tests.answers import OcpiAnswer
from tests.cpo_support import Point
from tests.cpo_support import emsp_fixture as emsp_fixture
from tests.cpo_support import point_fixture as point_fixture
from tests.fixtures import Document
from tests.people import Person

PATH = "cpo/2.2.1/commands"
pytestmark = [pytest.mark.usefixtures("cpo_side"), pytest.mark.django_db]


@pytest.fixture
def send(document: Document, emsp: Person, point: Point) -> Any:
    """Send a command, by default START_SESSION; each has a response_url of its own."""
    sent = iter(range(1, 1000))

    def command(name: str = "START_SESSION", **changes: Any) -> OcpiAnswer:
        url = f"{emsp.url}/results/{next(sent)}"
        body = document(name.lower(), **{"response_url": url, **changes})
        return emsp.post(f"{PATH}/{name}", body)

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
def test_many_at_once_get_no_more_than_one_after_the_other(send: Any, settings: Settings) -> None:
    settings.OCPI_STARTS_PER_TOKEN = 3

    def one(_number: int) -> OcpiAnswer:
        try:
            answer: OcpiAnswer = send()
            return answer
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(one, range(12)))

    assert sorted(results(answers)) == ["ACCEPTED"] * 3 + ["REJECTED"] * 9
