"""Paths that are no text lead nowhere, however a server hands them over (SEC-47)."""

from __future__ import annotations

import pytest
from django.test import RequestFactory

from ocpi import endpoints
from tests.people import Person

pytestmark = pytest.mark.req("SEC-47")


@pytest.mark.parametrize("part", ["a\x00b", "a\x7f", "\x85", "a\nb", "%00", "%7f", "%ff", "%c2%85"])
def test_no_segments_are_read_from_what_is_no_text(part: str) -> None:
    assert endpoints.segments_of(f"/ocpi/hub/{part}") is None


def test_what_is_text_is_read_with_its_escapes() -> None:
    assert endpoints.segments_of("//ocpi/a%2Fb/%C3%A4/x") == ["ocpi", "a/b", "ä", "x"]


@pytest.mark.parametrize("part", ["%00", "a%7f", "%c2%85"])
def test_nor_where_a_server_gives_the_decoded_path_alone(emsp_side: None, cpo: Person, part: str) -> None:
    headers = {"Authorization": cpo.authorization, "X-Request-ID": "1", "X-Correlation-ID": "1"}
    path = "/ocpi/emsp/2.2.1/tariffs/NL/TNM/"
    answers = [
        endpoints.entrance(RequestFactory().put(path + tail, b"{}", "application/json", headers=headers))
        for tail in (part, "T1")
    ]

    assert [answer.status_code for answer in answers] == [404, 200]
