"""Registration, Sessions and deliveries as machines: any order of events, and after each what must then hold.

MACHINE_EXAMPLES says how many walks of each are tried; more than the usual few are drawn anew each time.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ocpi.models import Delivery, Platform
from ocpi.modules import initiation
from ocpi.outbox_engine import drain_now
from ocpi.v2_2_1.types import format_datetime
from tests.conformance.handshakes import CREDENTIALS, LOCATIONS
from tests.outbox_support import SOURCE, Recorder, Says, add_object, add_platform, change, later, mark, recorder
from tests.people import Person, at
from tests.platforms import Listener

WALKS = int(os.environ.get("MACHINE_EXAMPLES", "4"))
MANY = WALKS > 4
usual = settings(
    max_examples=WALKS,
    stateful_step_count=14,
    derandomize=not MANY,
    database=None,
    deadline=None,
    phases=[Phase.generate, *([Phase.shrink] if MANY else [])],
    suppress_health_check=list(HealthCheck),
)
_walks = count(1)


def walk(machine: type[RuleBasedStateMachine], **given: Any) -> None:
    """Walk through a machine that has these attributes."""
    run_state_machine_as_test(type(machine.__name__, (machine,), given), settings=usual)


# ---------------------------------------------------------------- registration


class Registration(RuleBasedStateMachine):
    """One platform; `invitation` and `current` are the only tokens that mean anything."""

    listener: Listener

    @initialize()
    def invite(self) -> None:
        number = next(_walks)
        self.name, self.party = f"walk {number}", f"DE*{number:03}"
        self.old: list[Person] = []
        self.replaced: list[Person] = []  # good for a minute more (CRED-37)
        self.current: Person | None = None
        self.invitation: Person | None = self._invited()

    def _invited(self) -> Person:
        return Person(token=initiation.invite(name=self.name, any_role=True).token_a, parties=(at(self.party),))

    def _credentials(self) -> Any:
        return self.listener.credentials(f"token-B-{next(_walks)}", roles=[f"{self.party}:EMSP"])

    @precondition(lambda self: self.invitation is None and self.current is None)
    @rule()
    def invite_again(self) -> None:
        self.invitation = self._invited()

    @precondition(lambda self: self.invitation is not None)
    @rule()
    def register(self) -> None:
        assert self.invitation is not None
        answer = self.invitation.post(CREDENTIALS, self._credentials())
        assert answer.codes == (200, 1000), answer.message
        self.old.append(self.invitation)
        self.invitation = None
        self.current = Person(token=answer.data["token"], parties=(at(self.party),))

    @precondition(lambda self: self.invitation is not None)
    @rule(method=st.sampled_from(["PUT", "DELETE"]))
    def change_before_registering(self, method: str) -> None:
        assert self.invitation is not None
        assert self.invitation.request(method, CREDENTIALS, self._credentials()).codes == (405, 2000)

    @precondition(lambda self: self.current is not None)
    @rule()
    def register_twice(self) -> None:
        assert self.current is not None
        assert self.current.post(CREDENTIALS, self._credentials()).codes == (405, 2000)

    @precondition(lambda self: self.current is not None)
    @rule()
    def update(self) -> None:
        assert self.current is not None
        answer = self.current.put(CREDENTIALS, self._credentials())
        assert answer.codes == (200, 1000), answer.message
        assert answer.data["token"] != self.current.token
        self.replaced.append(self.current)
        self.current = Person(token=answer.data["token"], parties=(at(self.party),))

    @precondition(lambda self: self.current is not None)
    @rule(broken=st.sampled_from([{"roles": []}, {"url": "x"}, {"token": ""}]))
    def update_badly(self, broken: dict[str, Any]) -> None:
        assert self.current is not None
        answer = self.current.put(CREDENTIALS, {**self._credentials(), **broken})
        assert answer.codes == (200, 2001), answer.message

    @precondition(lambda self: self.current is not None)
    @rule()
    def unregister(self) -> None:
        assert self.current is not None
        assert self.current.delete(CREDENTIALS).codes == (200, 1000)
        self.old += [*self.replaced, self.current]
        self.replaced, self.current = [], None

    @invariant()
    def only_the_right_token_opens(self) -> None:
        if self.current is not None:
            assert self.current.get(CREDENTIALS).data["token"] == self.current.token
            assert self.current.get(LOCATIONS).codes == (200, 1000)
        if self.invitation is not None:
            assert self.invitation.get("versions").codes == (200, 1000)
            assert self.invitation.get(LOCATIONS).codes == (401, 2000)
        for gone in self.old[-3:]:
            assert gone.get(LOCATIONS).http_status == 401
            assert gone.get("versions").http_status == 401


@pytest.mark.req("CRED-11", "CRED-19", "CRED-34", "CRED-40", "TRN-010")
def test_whatever_is_done_in_whatever_order_only_the_right_token_opens(
    hub_side: None, invited: Person, listener: Listener
) -> None:
    walk(Registration, listener=listener)


# ---------------------------------------------------------------- Sessions at their Receiver

SESSION = "emsp/2.2.1/sessions/NL/TNM"
START = datetime(2026, 3, 2, 8, tzinfo=UTC)


def period(minute: int, volume: int) -> dict[str, Any]:
    moment = format_datetime(START + timedelta(minutes=minute))
    return {"start_date_time": moment, "dimensions": [{"type": "ENERGY", "volume": volume}]}


class Sessions(RuleBasedStateMachine):
    """One Session; `stored` is what must be there, None before the first PUT."""

    cpo: Person
    document: Callable[..., Any]

    @initialize()
    def begin(self) -> None:
        self.id = f"S{next(_walks)}"
        self.url = f"{SESSION}/{self.id}"
        self.stored: dict[str, Any] | None = None
        self.minute = 0

    def _moment(self, minutes: int) -> str:
        return format_datetime(START + timedelta(minutes=minutes))

    @rule(
        kwh=st.integers(0, 90),
        status=st.sampled_from(["ACTIVE", "PENDING", "COMPLETED"]),
        on=st.integers(0, 3),
        periods=st.dictionaries(st.integers(0, 5), st.integers(0, 9), max_size=2),
    )
    def put(self, kwh: int, status: str, on: int, periods: dict[int, int]) -> None:
        self.minute += on
        sent = self.document("session", id=self.id, kwh=kwh, status=status, last_updated=self._moment(self.minute))
        sent["charging_periods"] = [period(*found) for found in sorted({3: 1, **periods}.items())]
        expected = 200 if self.stored else 201
        assert self.cpo.put(self.url, sent).codes == (expected, 1000)
        if self.stored and self.stored["status"] == "COMPLETED":
            sent["status"] = "COMPLETED"  # an end is the end (QRK-27)
        self.stored = sent

    @rule(kwh=st.integers(0, 90), on=st.integers(0, 3))
    def patch(self, kwh: int, on: int) -> None:
        self.minute += on if self.stored else 0
        changes = {"kwh": kwh, "meter_id": None, "last_updated": self._moment(self.minute)}
        answer = self.cpo.patch(self.url, changes)
        if self.stored is None:
            assert answer.codes == (404, 2000)
            return
        assert answer.codes == (200, 1000)
        self.stored = {**self.stored, **changes}
        del self.stored["meter_id"]

    @precondition(lambda self: self.stored is not None)
    @rule(minute=st.integers(0, 5), volume=st.integers(0, 9))
    def add_period(self, minute: int, volume: int) -> None:
        assert self.stored is not None
        added, moment = period(minute, volume), self._moment(self.minute)
        assert self.cpo.patch(self.url, {"charging_periods": [added], "last_updated": moment}).codes == (200, 1000)
        by_start = {found["start_date_time"]: found for found in [*self.stored["charging_periods"], added]}
        periods = [by_start[start] for start in sorted(by_start)]
        self.stored = {**self.stored, "charging_periods": periods, "last_updated": moment}

    @precondition(lambda self: self.stored is not None)
    @rule(changes=st.sampled_from([
        {"kwh": "1"}, {"status": "DONE"}, {"kwh": 1, "last_updated": None}, {"kwh": None}, {"id": "OTHER"},
        {"charging_periods": [{}]}, {"kwh": 1, "last_updated": "2020-01-01T00:00:00Z"}, {"party_id": "XXX"},
    ]))  # fmt: skip
    def patch_badly(self, changes: dict[str, Any]) -> None:
        sent = {"last_updated": self._moment(self.minute + 1), **changes}
        sent = {name: value for name, value in sent.items() if name != "last_updated" or value is not None}
        assert self.cpo.patch(self.url, sent).codes == (200, 2001)

    @precondition(lambda self: self.stored is not None and self.minute > 0)
    @rule(before=st.integers(1, 60))
    def put_what_is_older(self, before: int) -> None:
        sent = copy.deepcopy(self.stored)
        assert sent is not None
        sent |= {"kwh": 99, "last_updated": self._moment(self.minute - before)}
        assert self.cpo.put(self.url, sent).codes == (200, 2001)

    @invariant()
    def it_is_what_was_accepted(self) -> None:
        answer = self.cpo.get(self.url)
        if self.stored is None:
            assert answer.codes == (404, 2000)
        else:
            assert answer.data == self.stored


@pytest.mark.req("SES-28", "SES-29", "SES-32", "TRN-091")
def test_a_session_is_what_its_accepted_messages_say(
    emsp_side: None, cpo: Person, document: Callable[..., Any]
) -> None:
    walk(Sessions, cpo=cpo, document=staticmethod(document))


# ---------------------------------------------------------------- deliveries


class Deliveries(RuleBasedStateMachine):
    """Two objects that change, and a receiver that is there, away, or answers nonsense."""

    server: Recorder
    platform: Platform

    @initialize()
    def begin(self) -> None:
        Delivery.objects.all().delete()
        self.server.got.clear()
        self.server.always = lambda _got: None
        walk_number = next(_walks)
        self.rows = [add_object(f"T{walk_number}-{letter}", module="tariffs") for letter in "ab"]
        self.versions = {row.path: 0 for row in self.rows}
        self.accepted: dict[str, list[int]] = {row.path: [] for row in self.rows}
        self.good = True

    @rule(which=st.integers(0, 1))
    def change_an_object(self, which: int) -> None:
        row = self.rows[which]
        self.versions[row.path] += 1
        change(row, version=self.versions[row.path])
        mark(row, self.platform)

    @rule(says=st.sampled_from([Says(503), Says(hangs_up=True), Says(200, 3000), Says(body=b"<html>")]))
    def go_away(self, says: Says) -> None:
        self.good = False
        self.server.always = lambda _got: says

    @rule()
    def come_back(self) -> None:
        self.good = True
        self.server.always = lambda _got: None

    @rule(seconds=st.sampled_from([1, 5, 30]))
    def work(self, seconds: int) -> None:
        later(seconds)
        before = len(self.server.got)
        drain_now(self.platform.pk)
        if self.good:
            for got in self.server.got[before:]:
                self.accepted[got.path.rpartition("/")[2]].append(got.document.get("version", 0))

    @invariant()
    def nothing_older_comes_later(self) -> None:
        for seen in self.accepted.values():
            assert seen == sorted(seen)
        for row in self.rows:
            assert Delivery.objects.filter(platform=self.platform, source=SOURCE, source_id=row.pk).count() <= 1

    def teardown(self) -> None:
        self.come_back()
        for _ in range(12):
            later(60)
            drain_now(self.platform.pk)
        latest = {got.path.rpartition("/")[2]: got.document.get("version", 0) for got in self.server.got}
        waiting = {
            json.loads(row.document)["id"]: row
            for row in self.rows
            if Delivery.objects.filter(platform=self.platform, source_id=row.pk).exists()
        }
        for path, version in self.versions.items():
            # Delivered, or a mark is left for the pull or the next PUT: nothing is forgotten.
            assert version == 0 or path in waiting or latest.get(path) == version


@pytest.mark.django_db
def test_in_the_end_a_platform_has_what_is_current_and_never_anything_older() -> None:
    with recorder() as server:
        platform = add_platform("eMSP", server.url)

        walk(Deliveries, server=server, platform=platform)
