"""A PATCH that is refused: is the object there at all? Who says no on GET gets the whole object."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ocpi.models import FinishedDelivery, Platform
from ocpi.outbox_engine import drain_now
from tests.outbox_support import Recorder, Says, add_object, add_platform, mark, pending, recorder

pytestmark = pytest.mark.django_db


@pytest.fixture
def emsp_server() -> Iterator[Recorder]:
    with recorder() as server:
        yield server


@pytest.fixture
def emsp_platform(emsp_server: Recorder) -> Platform:
    return add_platform("eMSP", emsp_server.url)


@pytest.mark.req("TRN-086", "TRN-087")
def test_who_does_not_have_the_object_but_only_refuses_its_patch_gets_all_of_it(
    emsp_server: Recorder, emsp_platform: Platform
) -> None:
    mark(add_object(), emsp_platform, fields=["status"])
    emsp_server.answers = [Says(200, 2001), Says(404, 2000)]

    drain_now()

    assert emsp_server.lines == [f"{method} /locations/NL/TNM/LOC1" for method in ("PATCH", "GET", "PUT")]
    assert emsp_server.got[2].document["id"] == "LOC1"
    assert pending() == []
    assert FinishedDelivery.objects.get().state == "DELIVERED"


@pytest.mark.req("TRN-086")
def test_who_has_the_object_and_refuses_its_patch_is_not_sent_it_again(
    emsp_server: Recorder, emsp_platform: Platform
) -> None:
    mark(add_object(), emsp_platform, fields=["status"])
    emsp_server.answers = [Says(200, 2001), Says(200, 1000)]

    drain_now()

    assert [got.method for got in emsp_server.got] == ["PATCH", "GET"]
    assert FinishedDelivery.objects.get().state == "REFUSED"
    assert "2001" in FinishedDelivery.objects.get().error


@pytest.mark.req("TRN-086")
@pytest.mark.parametrize("answer", [Says(401, 2000), Says(503, 3000), Says(429, 2000)])
def test_nobody_is_asked_about_an_object_after_a_failure_of_another_kind(
    emsp_server: Recorder, emsp_platform: Platform, answer: Says
) -> None:
    mark(add_object(), emsp_platform, fields=["status"])
    emsp_server.answers = [answer]

    drain_now()

    assert [got.method for got in emsp_server.got] == ["PATCH"]
