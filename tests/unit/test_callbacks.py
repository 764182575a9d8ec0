"""How long a URL of the hub that stands for a partner's lives, and that nobody guesses it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from hub import callback_results, callbacks
from hub.models import Callback
from ocpi import snapshot, status
from tests.people import Person

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("hub_side")]


def ends(cpo: Person, emsp: Person) -> callbacks.Ends:
    return callbacks.Ends(emsp.id, cpo.id, emsp.address, cpo.address)


def kept(cpo: Person, emsp: Person, **body: object) -> Callback:
    body["response_url"] = "https://emsp.example/results/1"
    found = callbacks.replace_response_url(
        json.dumps(body).encode(), "", module="commands", asker=snapshot.current().platforms[emsp.id],
        ends=ends(cpo, emsp), correlation_id="c",
    ).callback  # fmt: skip
    assert found is not None
    return found


@pytest.mark.req("SEC-41", "REL-09")
def test_nobody_guesses_a_url_of_the_hub(cpo: Person, emsp: Person) -> None:
    keys = [kept(cpo, emsp).key for _ in range(50)]
    for kind in (Callback.Kind.LOCATION, Callback.Kind.LINK):
        url = callbacks.replace_url(
            kind, "https://emsp.example/1", module="cdrs", ends=ends(cpo, emsp), correlation_id="c"
        )
        keys.append(url.rpartition("/")[2])
    assert min(map(len, keys)) * 6 >= 128, "six bits a character"
    assert len(set(keys)) == len(keys)
    assert all(len({key[place] for key in keys}) > 5 for place in range(21)), "no part of it stays the same"


@pytest.mark.req("SEC-41", "HUB-72", "CMD-20")
@time_machine.travel(NOW, tick=False)
def test_a_url_of_the_hub_ends_with_what_it_is_for(cpo: Person, emsp: Person) -> None:
    assert kept(cpo, emsp).expires_at == NOW + timedelta(seconds=120) + HOUR, "until a timeout is announced"
    assert kept(cpo, emsp, expiry_date="2026-03-02T14:00:00Z").expires_at == NOW + 6 * HOUR, "a reservation"
    assert kept(cpo, emsp, expiry_date="9999-12-31T23:59:59Z").expires_at == NOW + timedelta(days=30) + HOUR
    assert kept(cpo, emsp, expiry_date="soon").expires_at == NOW + timedelta(seconds=120) + HOUR, (
        "its receiver's matter"
    )
    for kind, life in ((Callback.Kind.LINK, timedelta(hours=24)), (Callback.Kind.LOCATION, None)):
        callbacks.replace_url(kind, "https://emsp.example/1", module="cdrs", ends=ends(cpo, emsp), correlation_id="c")
        assert Callback.objects.get(kind=kind).expires_at == (life and NOW + life)
    for announced, seconds in ((600, 600), (10**9, 86_400), (30, 120), (-1, 120)):
        callback = kept(cpo, emsp)
        callbacks.extend(callback, announced)
        callback.refresh_from_db()
        assert callback.expires_at == NOW + timedelta(seconds=seconds) + HOUR


@pytest.mark.req("SEC-41", "SEC-39")
def test_an_ended_url_is_as_one_that_never_was(cpo: Person, emsp: Person) -> None:
    where = callbacks.url_of(kept(cpo, emsp))
    missing = cpo.post(where[:-1], {"result": "ACCEPTED"}, to="DE*EMS")
    assert (missing.codes, missing.message) == ((404, 2000), "There is nothing at this URL")
    assert cpo.get(where, to="DE*EMS").codes == (405, 2000), "while it is there"
    Callback.objects.update(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    for method in ("POST", "GET"):
        ended = cpo.request(method, where, {"result": "ACCEPTED"} if method == "POST" else None, to="DE*EMS")
        assert (ended.codes, ended.message) == (missing.codes, missing.message)


@pytest.mark.req("SEC-41", "CMD-20")
@pytest.mark.parametrize(("module", "taken"), [("commands", True), ("chargingprofiles", False)])
def test_only_a_reservation_has_a_second_result(cpo: Person, emsp: Person, module: str, taken: bool) -> None:
    callback = kept(cpo, emsp)
    callback.module = module
    first, second = b'{"result":"ACCEPTED"}', b'{"result":"CANCELED_RESERVATION"}'
    assert callback_results.begin(callback, first) is None
    callback_results.end(callback, first, (200, b"{}"))
    if taken:
        assert callback_results.begin(callback, second) is None
    else:
        with pytest.raises(status.InvalidParameters, match="was given already"):
            callback_results.begin(callback, second)
