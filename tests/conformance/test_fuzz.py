"""Nothing a partner sends makes us fail: broken documents, odd ids and queries at every URL, from a fixed seed."""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Iterator
from typing import Any

import pytest

from ocpi import endpoints
from tests.fixtures import DOCUMENTS, Partner, Side

REQUESTS = 250
NASTY: list[Any] = [
    None, True, 0, -1, 1.5, 1e308, 10**31, "", " ", "x" * 5000, "#NA", "ü", "\u0000", "\ud800", "2026-13-45T99:99:99Z",
    "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "'; DROP TABLE ocpi_platform; --", "%s", "{}", "<script>", [], {},
    [None], [[]], [{}], {"a": {"b": []}}, ["x"] * 200, "NL", "TNM",
]  # fmt: skip
SEGMENTS = [
    "NL", "TNM", "DE", "EMS", "nl", "LOC-UTR-0042", "04C7A1E2B95D80", "SES-20250912-0042", "START_SESSION", "%23NA",
    "%2F", "%00", "%FF", "a" * 300, "..", "%27", "%25s", "%F0%9F%98%80", "*", "1", "%20",
]  # fmt: skip
QUERIES = ["", "?limit=2", "?offset=9999999999", "?date_from=x", "?date_to=2026-01-01T00:00:00+99:99", "?type=RFID",
           "?type=%00", "?limit=%F0", "?place=a.b.c.d", "?date_from=2026-01-01T00:00:00Z&offset=3", "?timeout=x",
           "?duration=-1&response_url=javascript:x", "?&&&==", "?limit=1&limit=2"]  # fmt: skip
HEADERS: list[dict[str, str | None]] = [
    {}, {}, {}, {"OCPI-to-party-id": None}, {"OCPI-to-country-code": "ZZ"}, {"OCPI-from-party-id": "\xff\xfe"},
    {"X-Request-ID": "y" * 255}, {"Content-Type": "text/xml"}, {"Content-Encoding": "br"}, {"Accept": "text/html"},
]  # fmt: skip


def paths(tree: dict[str, Any], draw: random.Random, path: str = "") -> Iterator[str]:
    """Give every URL, each with ids of its own."""
    if "view" in tree and "credentials" not in path:  # those call back, and have tests of their own
        yield path
    for part, node in tree["below"].items():
        yield from paths(node, draw, f"{path}/{draw.choice(SEGMENTS) if part == '{}' else part}")


def damaged(document: Any, draw: random.Random) -> Any:
    """Return a document with one member, at any depth, gone or replaced."""
    if isinstance(document, dict) and document:
        name = draw.choice(list(document))
        value = document[name]
        if isinstance(value, dict | list) and draw.random() < 0.6:
            return {**document, name: damaged(value, draw)}
        if draw.random() < 0.2:
            return {member: entry for member, entry in document.items() if member != name}
        return {**document, name: draw.choice(NASTY)}
    if isinstance(document, list) and document:
        index = draw.randrange(len(document))
        return [*document[:index], damaged(document[index], draw), *document[index + 1 :]]
    return draw.choice(NASTY)


@pytest.mark.req("SEC-48", "TRN-038", "TRN-009", "SEC-33")
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(
    ("chosen", "ours", "theirs"),
    [("cpo", "NL*TNM:CPO", "DE*EMS:EMSP"), ("emsp", "DE*EMS:EMSP", "NL*TNM:CPO"), ("hub", "NL*HUB:HUB", "NL*TNM:CPO"),
     ("emsp", "DE*EMS:EMSP", "BE*HUB:HUB")],
)  # fmt: skip
def test_nothing_that_comes_in_breaks_us(
    side: Side, partner: Partner, caplog: pytest.LogCaptureFixture, chosen: str, ours: str, theirs: str, seed: int
) -> None:
    draw = random.Random(seed)
    side(chosen, parties=[ours])
    person = partner(theirs)
    documents = [json.loads(file.read_text()) for file in sorted(DOCUMENTS.glob("*.json"))]

    for _ in range(REQUESTS):
        path = "/ocpi" + draw.choice(list(paths(endpoints._tree((chosen,)), draw))) + draw.choice(QUERIES)
        method = draw.choice(["GET", "PUT", "PUT", "PATCH", "POST"])
        document = draw.choice(documents)
        body = damaged(document, draw) if draw.random() < 0.8 else document
        asked = f"{method} {path} {json.dumps(body)[:1500]}"
        with caplog.at_level(logging.ERROR):
            answer = person.request(method, path, None if method == "GET" else body, headers=draw.choice(HEADERS))
        failed = answer.http_status >= 500 or 3000 <= answer.status_code < 3001
        assert not failed, f"{asked}\n{answer.text}\n{caplog.text[-3000:]}"
        assert not [record for record in caplog.records if record.exc_info], f"{asked}\n{caplog.text[-3000:]}"
