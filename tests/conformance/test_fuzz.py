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
# Where each document belongs: module, what follows its Receiver endpoint, method.
PLACES = {
    "location": ("locations", "/NL/TNM/LOC-UTR-0042", "PUT"),
    "evse": ("locations", "/NL/TNM/LOC-UTR-0042/TNM-UTR-0042-1", "PUT"),
    "connector": ("locations", "/NL/TNM/LOC-UTR-0042/TNM-UTR-0042-1/1", "PUT"),
    "session": ("sessions", "/NL/TNM/SES-20250912-0042", "PUT"),
    "cdr": ("cdrs", "", "POST"),
    "tariff": ("tariffs", "/NL/TNM/TNM-FLEX", "PUT"),
    "token_rfid": ("tokens", "/DE/EMS/04C7A1E2B95D80", "PUT"),
    "start_session": ("commands", "/START_SESSION", "POST"),
    "reserve_now": ("commands", "/RESERVE_NOW", "POST"),
    "cancel_reservation": ("commands", "/CANCEL_RESERVATION", "POST"),
    "stop_session": ("commands", "/STOP_SESSION", "POST"),
    "unlock_connector": ("commands", "/UNLOCK_CONNECTOR", "POST"),
    "client_info": ("hubclientinfo", "/NL/TNM", "PUT"),
}
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
    documents = {file.stem: json.loads(file.read_text()) for file in sorted(DOCUMENTS.glob("*.json"))}
    receivers = {str(entry.module): entry.path for entry in endpoints.served() if entry.role == "RECEIVER"}
    fitting = [name for name, (module, _, _) in PLACES.items() if module in receivers]

    for number in range(REQUESTS):
        if number < len(fitting):  # first each as it is, so that there is something to change
            name, draw_damage = fitting[number], False
        else:
            name, draw_damage = draw.choice(fitting), draw.random() < 0.9
        body = damaged(documents[name], draw) if draw_damage else documents[name]
        module, tail, method = PLACES[name]
        path = f"/ocpi/{receivers[module]}{tail}"
        headers: dict[str, str | None] = {}
        if number >= len(fitting):
            method = draw.choice([method, method, method.replace("PUT", "PATCH"), "GET"])
            headers = draw.choice(HEADERS)
            if draw.random() < 0.3:
                path = "/ocpi" + draw.choice(list(paths(endpoints._tree((chosen,)), draw)))
            if draw.random() < 0.4:
                path += draw.choice(QUERIES)
        asked = f"{method} {path} {headers} {json.dumps(body)[:1500]}"
        with caplog.at_level(logging.ERROR):
            answer = person.request(method, path, None if method == "GET" else body, headers=headers)
        failed = answer.http_status >= 500 or 3000 <= answer.status_code < 4000
        assert not failed, f"{asked}\n{answer.text}\n{caplog.text[-3000:]}"
        assert not [record for record in caplog.records if record.exc_info], f"{asked}\n{caplog.text[-3000:]}"
