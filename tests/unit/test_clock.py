"""Due times and ages are the database's, on whichever host they are worked out (REL-52)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
import time_machine
from django.db import connection
from django.utils import timezone

from hub import callbacks
from hub.models import Callback
from ocpi import authentication, clock, snapshot, status
from ocpi.models import CredentialsToken
from tests.people import Person

pytestmark = [pytest.mark.django_db, pytest.mark.req("REL-52")]
HOME = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    yield
    clock.forget()


def _asking() -> Any:
    place = connection.get_connection_params()
    keep_only = {name: place[name] for name in ("dbname", "host", "port", "user", "password") if place.get(name)}
    return psycopg.connect(autocommit=True, **keep_only)


@pytest.mark.parametrize("minutes", [-7, 7])
def test_a_host_whose_clock_is_off_goes_by_the_databases(minutes: int) -> None:
    right = timezone.now()
    with _asking() as asking, time_machine.travel(right + timedelta(minutes=minutes), tick=True):
        assert abs(clock.now() - right) > timedelta(minutes=6)
        off = clock.measure(asking)

        assert abs(off - timedelta(minutes=minutes)) < timedelta(seconds=20)
        assert abs(clock.now() - right) < timedelta(seconds=20)
        assert abs(clock.seconds() - right.timestamp()) < 20


@pytest.mark.parametrize(("told", "ahead"), [(99.0, 1.0), (100.0, 0.0), (103.0, 0.0), (104.0, 0.0), (106.0, -2.0)])
def test_what_lies_between_question_and_answer_is_no_difference(
    monkeypatch: pytest.MonkeyPatch, told: float, ahead: float
) -> None:
    database = SimpleNamespace(execute=lambda _sql: SimpleNamespace(fetchone=lambda: (told,)))
    moments = iter((100.0, 104.0))
    with monkeypatch.context() as patched:
        patched.setattr(clock, "time", SimpleNamespace(time=lambda: next(moments)))

        assert clock.measure(database).total_seconds() == ahead


def test_a_token_ends_when_the_database_says_so(hub_side: None, cpo: Person) -> None:
    end = timezone.now() + timedelta(minutes=2)
    CredentialsToken.objects.filter(platform_id=cpo.id).update(purpose="OLD", expires_at=end)
    snapshot.changed()
    headers = {"Authorization": cpo.authorization}
    with _asking() as asking, time_machine.travel(timezone.now() + timedelta(minutes=7), tick=True):
        clock.measure(asking)

        assert authentication.authenticate(headers.get, snapshot.current()).platform.id == cpo.id

        clock.forget()
        with pytest.raises(status.AuthenticationFailed):
            authentication.authenticate(headers.get, snapshot.current())


def test_a_callback_of_a_fast_host_lives_as_long_as_any(hub_side: None, cpo: Person, emsp: Person) -> None:
    with _asking() as asking, time_machine.travel(timezone.now() - timedelta(hours=9), tick=True):
        clock.measure(asking)
        replaced = callbacks.replace_response_url(
            b'{"response_url":"https://a.example/x"}', "", module="commands",
            asker=snapshot.current().platforms[emsp.id],
            ends=callbacks.Ends(emsp.id, cpo.id, emsp.address, cpo.address), correlation_id="c",
        )  # fmt: skip

    assert replaced.callback is not None
    row = Callback.objects.get(pk=replaced.callback.pk)
    assert row.expires_at is not None
    assert row.expires_at > timezone.now() + timedelta(minutes=30)


# Where due times are made or compared in Python; documents, pages and measurements may ask the host.
_DUE = (
    "cpo/gateway/operations cpo/modules/authorization cpo/modules/chargingprofiles_installed "
    "cpo/modules/chargingprofiles_operations cpo/modules/chargingprofiles_plans cpo/modules/commands_asking "
    "cpo/modules/commands_limits cpo/modules/commands_operations cpo/modules/reservations_operations "
    "cpo/modules/reservations_results cpo/modules/sessions_operations cpo/modules/sessions_pending "
    "cpo/modules/transactions emsp/modules/asking emsp/modules/chargingprofiles_passing "
    "emsp/modules/chargingprofiles_results emsp/modules/chargingprofiles_sending emsp/modules/commands_results "
    "emsp/modules/commands_sending emsp/tasks hub/callbacks ocpi/authentication ocpi/modules/initiation "
    "ocpi/modules/registration ocpi/modules/renewal ocpi/snapshot"
)
_HOST = re.compile(r"timezone\.now\(\)|datetime\.now\(|time\.time\(\)")


@pytest.mark.parametrize("name", _DUE.split())
def test_what_keeps_due_times_does_not_ask_the_host(name: str) -> None:
    assert _HOST.findall((HOME / f"{name}.py").read_text()) == []


def test_sql_that_compares_due_times_asks_the_database() -> None:
    texts = "".join(file.read_text() for file in (HOME / "ocpi").glob("outbox*.py"))

    assert "statement_timestamp()" in texts
    assert not re.search(r"timezone\.now|time\.time\(", texts)
