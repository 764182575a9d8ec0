"""The response format, and what becomes of exceptions."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from django.core.exceptions import RequestDataTooBig
from django.http import Http404, UnreadablePostError
from rest_framework.exceptions import ParseError

from ocpi import envelope, status


def classes(base: type[status.OcpiError] = status.OcpiError) -> list[type[status.OcpiError]]:
    return [found for below in base.__subclasses__() for found in (below, *classes(below))]


def read(answer: Any) -> Any:
    return json.loads(answer.content)


@pytest.mark.req("TRN-025", "TRN-026", "TRN-027", "PIT-26")
def test_an_answer_is_an_object_with_code_message_time_and_data() -> None:
    before = datetime.now(UTC).replace(microsecond=0)

    answer = envelope.response('{"id": "LOC1"}')

    found = read(answer)
    assert answer.headers["Content-Type"] == "application/json"
    assert set(found) == {"status_code", "status_message", "timestamp", "data"}
    assert found["status_code"] == 1000
    assert found["data"] == {"id": "LOC1"}
    assert found["timestamp"].endswith("Z")
    assert before <= datetime.fromisoformat(found["timestamp"]) <= datetime.now(UTC)


@pytest.mark.req("TRN-027")
def test_the_time_is_utc_to_the_second() -> None:
    noon = datetime(2026, 1, 31, 12, 0, 30, 999999, tzinfo=UTC)

    assert json.loads(envelope.compose(1000, at=noon))["timestamp"] == "2026-01-31T12:00:30Z"
    assert noon.astimezone(timezone(timedelta(hours=5))) == noon


@pytest.mark.req("TRN-028", "TRN-029", "TRN-030", "PIT-25")
@pytest.mark.parametrize("text", ["[]", "[1]", '{"a":1}', '"ACCEPTED"'])
def test_data_is_a_list_an_object_or_a_string_and_goes_out_as_it_is(text: str) -> None:
    assert read(envelope.response(text))["data"] == json.loads(text)
    assert text.encode() in envelope.response(text).content


@pytest.mark.req("TRN-033")
def test_without_data_there_is_no_member() -> None:
    assert "data" not in read(envelope.response())


@pytest.mark.req("TRN-026", "TRN-050")
def test_every_code_is_one_of_the_specifications_own() -> None:
    codes = {found.status_code for found in classes()}

    assert codes == {2000, 2001, 2002, 2003, 2004, 3000, 3001, 3002, 3003, 4000, 4001, 4002, 4003}


@pytest.mark.req("TRN-035", "TRN-038", "PIT-19")
@pytest.mark.parametrize("error", classes(), ids=lambda error: error.__name__)
def test_every_error_of_ours_is_an_envelope_with_its_code(error: type[status.OcpiError]) -> None:
    raised = error("field", "rule") if issubclass(error, status.InvalidParameters) else error("what happened")

    answer = envelope.error(raised)

    found = read(answer)
    assert answer.status_code == error.http_status
    assert found["status_code"] == error.status_code
    assert found["status_message"] in ("field: rule", "what happened")
    assert "data" not in found


@pytest.mark.req("TRN-038", "TRN-039", "PIT-19")
def test_a_good_request_with_bad_content_is_http_200() -> None:
    codes = (2001, 2002, 3001, 3002, 3003, 4000, 4001, 4002, 4003)
    exceptions = {"NotCapable"}  # HTTP 404 with 2001 for charging preferences (SES-36, PIT-30)

    found = {each.__name__: each.http_status for each in classes() if each.status_code in codes}

    assert {name for name, http_status in found.items() if http_status != 200} == exceptions


@pytest.mark.req("TRN-019", "TRN-040", "TRN-041", "SEC-48")
@pytest.mark.parametrize(
    ("raised", "http_status", "status_code"),
    [
        (ParseError("no json"), 400, 2000),
        (RequestDataTooBig(), 400, 2000),
        (UnreadablePostError(), 400, 2000),
        (status.NotJson(), 400, 2000),
        (Http404(), 404, 2000),
        (status.UnknownObject(), 404, 2000),
        (status.UnknownLocationObject(), 404, 2003),
        (status.UnknownTokenObject(), 404, 2004),
        (status.AuthenticationFailed(), 401, 2000),
        (status.UnsupportedMediaType(), 415, 2000),
    ],
    ids=repr,
)
def test_transport_problems_are_http_errors(raised: Exception, http_status: int, status_code: int) -> None:
    answer = envelope.error(raised)

    assert (answer.status_code, read(answer)["status_code"]) == (http_status, status_code)


@pytest.mark.req("TRN-049", "TRN-014")
def test_what_nobody_expected_is_logged_and_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        answer = envelope.error(ZeroDivisionError("secret-of-the-database"))

    assert (answer.status_code, read(answer)["status_code"]) == (500, 3000)
    assert b"secret-of-the-database" not in answer.content
    assert "secret-of-the-database" in caplog.text


def test_an_error_may_bring_data_and_headers() -> None:
    answer = envelope.error(status.UnknownToken("no", data='{"allowed":"BLOCKED"}', headers={"Allow": "GET"}))

    assert read(answer)["data"] == {"allowed": "BLOCKED"}
    assert answer.headers["Allow"] == "GET"


def test_messages_survive_whatever_they_quote() -> None:
    message = 'a "quote", a \\ and ümlaut\n'

    assert json.loads(envelope.compose(2001, message))["status_message"] == message
