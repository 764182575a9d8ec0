"""FIG-07 from outside: any system that has given us a token. What is in its database only it knows; answers count.

Whom else it serves we do not know either, so foreign owners are drawn: none of them may be accepted, and each must look
as one of our own objects that is not there.
"""

from __future__ import annotations

import base64
import json
import random
import string
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import requests

from tests.figures.figure import Options, Report, say

_METHODS = ("GET", "PUT", "PATCH", "POST", "DELETE")
_OWNED = ("locations", "sessions", "tariffs", "tokens")
_TIMEOUT = 20  # seconds
_FULL, _SHORT = 5_000, 200


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    told: str  # without time
    accepted: bool


class _System:
    """The system under test, as one of its partners sees it."""

    def __init__(self, options: Options) -> None:
        self.token = options.ocpi_token
        self._http = requests.Session()
        self._http.trust_env = False
        versions = self._data(options.ocpi_url)
        details = self._data(next(each["url"] for each in versions if each["version"] == "2.2.1"))
        self.endpoints: list[Mapping[str, str]] = details["endpoints"]
        credentials = next(each["url"] for each in self.endpoints if each["identifier"] == "credentials")
        role = self._data(credentials)["roles"][0]
        self.to = (role["country_code"], role["party_id"])

    def ask(
        self, method: str, url: str, *, token: str | None, sender: tuple[str, str] | None = None, body: Any = None
    ) -> _Answer:
        headers = {
            "X-Request-ID": str(uuid.uuid4()), "X-Correlation-ID": str(uuid.uuid4()),
            "OCPI-to-country-code": self.to[0], "OCPI-to-party-id": self.to[1],
        }  # fmt: skip
        if sender is not None:
            headers |= {"OCPI-from-country-code": sender[0], "OCPI-from-party-id": sender[1]}
        if token is not None:
            headers["Authorization"] = "Token " + base64.b64encode(token.encode()).decode()
        answer = self._http.request(method, url, headers=headers, json=body, timeout=_TIMEOUT, allow_redirects=False)
        try:
            told = answer.json()
        except ValueError:
            told = {}
        told = told if isinstance(told, dict) else {}
        told.pop("timestamp", None)
        accepted = answer.ok and told.get("status_code") == 1000
        return _Answer(answer.status_code, json.dumps(told, sort_keys=True), accepted)

    def _data(self, url: str) -> Any:
        headers = {"Authorization": "Token " + base64.b64encode(self.token.encode()).decode()}
        answer = self._http.get(url, headers=headers, timeout=_TIMEOUT)
        answer.raise_for_status()
        return answer.json()["data"]


def run(options: Options, report: Report) -> Report:
    """Measure a system from outside; `--ocpi-url` is its versions URL, `--ocpi-token` our token C there."""
    system, draw = _System(options), random.Random(options.seed)
    wanted = _SHORT if options.short else _FULL
    let_in: list[str] = []
    apart: list[str] = []
    made = compared = 0
    for url, method, owned in _targets(system, draw):
        if made >= wanted:
            break
        for token in (None, "", "nobody", system.token[:-1], system.token + "x", system.token.swapcase()):
            answer = system.ask(method, url, token=token, body={} if method in ("PUT", "PATCH", "POST") else None)
            made += 1
            if answer.status not in (401, 429):
                let_in.append(f"{method} {url} with {'no' if token is None else 'a wrong'} token: {answer.status}")
        if not owned:
            continue
        other = url.rpartition("/")[0] + "/" + "".join(draw.choices(string.ascii_uppercase, k=12))
        for sender in (None, _party(draw)):
            body = {"last_updated": "2031-01-01T00:00:00Z"} if method in ("PUT", "PATCH") else None
            foreign = system.ask(method, url, token=system.token, sender=sender, body=body)
            absent = system.ask(method, other, token=system.token, sender=sender, body=body)
            made, compared = made + 1, compared + 1
            if foreign.accepted:
                let_in.append(f"{method} {url} from {sender}: {foreign.told[:200]}")
            plain = (
                foreign.told.replace(url.rpartition("/")[2], "•"),
                absent.told.replace(other.rpartition("/")[2], "•"),
            )
            if foreign.status != absent.status or plain[0] != plain[1]:
                apart.append(f"{method} {url}: {foreign.status} {plain[0][:200]} / {absent.status} {plain[1][:200]}")
    for text in (*let_in[:10], *apart[:10]):
        say(text)
    report.add("attempts", made, least=wanted)
    report.add("succeeded", len(let_in), most=0)
    report.add("compared with what is not there", compared)
    report.add("distinguishable", len(apart), most=0)
    return report


def _targets(system: _System, draw: random.Random) -> Iterator[tuple[str, str, bool]]:
    """Give URLs without end: endpoints, and below Receivers objects of owners that are not ours."""
    while True:
        for endpoint in system.endpoints:
            owned = endpoint["identifier"] in _OWNED and endpoint["role"] == "RECEIVER"
            for method in _METHODS:
                if owned:
                    yield f"{endpoint['url']}/{'/'.join(_party(draw))}/{draw.randrange(10**12)}", method, True
                elif endpoint["identifier"] != "credentials":
                    yield endpoint["url"], method, False


def _party(draw: random.Random) -> tuple[str, str]:
    return "".join(draw.choices(string.ascii_uppercase, k=2)), "".join(draw.choices(string.ascii_uppercase, k=3))
