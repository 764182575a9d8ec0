"""What is odd in a message apart from the object in it: headers, paths, envelopes. Pure; `defects` counts it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ocpi import status
from ocpi.answers import Answer
from ocpi.headers import CORRELATION_ID, FROM_COUNTRY_CODE, REQUEST_ID, TO_COUNTRY_CODE, Getter, Ids

_INDEX = re.compile(r"\[[0-9]+\]")
_NULL = b"null"
_USUAL = (200, 201)


def of_request(get: Getter, ids: Ids, path: str, *, functional: bool) -> Iterator[str]:
    """Yield what is odd in a request that is served all the same."""
    for name in ids.missing:
        yield f"TRN-061 {name} missing"
    if "//" in path:
        yield "QRK-04 double slash in the path"
    if not functional and (get(TO_COUNTRY_CODE) or get(FROM_COUNTRY_CODE)):
        yield "PIT-88 routing headers on a Configuration Module"


def of_refusal(error: status.InvalidParameters) -> str:
    """Return what is counted for a request that was refused with 2001: which member of it (TRN-039)."""
    return f"TRN-039 refused: {_INDEX.sub('', error.field or 'body')}"


def of_answer(answer: Answer) -> Iterator[str]:
    """Yield what is odd in the answer to a request of ours, whether it says yes or no."""
    for name in (REQUEST_ID, CORRELATION_ID):
        sent = answer.sent.headers.get(name)
        if sent is not None and answer.headers.get(name.lower()) != sent:
            yield f"TRN-058 {name} not in the answer"
    envelope, status_code = answer.envelope, answer.status_code
    if envelope is None or status_code is None:
        yield "QRK-06 answer without an envelope"
        return
    if bytes(envelope.status_code)[:1] == b'"':
        yield "PIT-26 status_code as a string"
    if bytes(envelope.timestamp) in (b"", _NULL):
        yield "PIT-26 timestamp missing"
    if answer.http_status >= 400 and 1000 <= status_code <= 1999:
        yield f"QRK-06 HTTP {answer.http_status} with {status_code}"
    elif 200 <= answer.http_status < 300 and answer.http_status not in _USUAL:
        yield f"QRK-06 HTTP {answer.http_status}"
