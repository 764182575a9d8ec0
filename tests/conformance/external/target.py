"""The platform under test as anybody sees it: its versions URL, a token, and what it answers. Plain HTTP."""

from __future__ import annotations

import base64
import json
import re
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlencode

import requests

CONFIGURATION = frozenset({"versions", "credentials", "hubclientinfo"})
IDS = ("X-Request-ID", "X-Correlation-ID")
ROUTING = ("OCPI-to-country-code", "OCPI-to-party-id", "OCPI-from-country-code", "OCPI-from-party-id")
_OWNER_SENDS = frozenset({"locations", "sessions", "cdrs", "tariffs"})
_TOKEN = re.compile(r'("token"\s*:\s*")[^"]*')
_CLOCK_SECONDS = 300
_TIMEOUT_SECONDS = 30
Interface = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Party:
    """A party with a role, from a text such as "DE*EMS:EMSP"; without a role it stands for any."""

    country_code: str
    party_id: str
    role: str = ""

    @classmethod
    def read(cls, text: str) -> Party:
        address, _, role = text.partition(":")
        country_code, _, party_id = address.partition("*")
        if len(country_code) != 2 or not 1 <= len(party_id) <= 3:
            raise ValueError(f"{text!r} is no party such as NL*TNM or NL*TNM:CPO")
        return cls(country_code, party_id, role.upper())

    def __str__(self) -> str:
        return f"{self.country_code}*{self.party_id}"


@dataclass(slots=True)
class Answer:
    """What came back, and what was odd about it whatever had been asked (by requirement)."""

    http: int
    headers: Mapping[str, str]
    text: str
    json: Any = None
    odd: dict[str, str] = field(default_factory=dict)

    @property
    def code(self) -> Any:
        return self.json.get("status_code") if isinstance(self.json, dict) else None

    @property
    def data(self) -> Any:
        return self.json.get("data") if isinstance(self.json, dict) else None

    @property
    def shown(self) -> str:
        """Return it for a report; no token of anybody's is in there."""
        return f"HTTP {self.http}: " + _TOKEN.sub(r"\1…", self.text)[:400]


@dataclass(slots=True)
class Target:
    """One platform, and the platform that tests it."""

    versions_url: str
    token: str
    parties: list[Party]
    to: list[Party]
    raw_token: bool = False
    version: str = "2.2.1"
    write: bool = False
    callback: str = ""
    details_url: str = ""
    endpoints: dict[Interface, str] = field(default_factory=dict)
    roles: list[Party] = field(default_factory=list)  # of the platform under test
    in_passing: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    http: requests.Session = field(default_factory=requests.Session)

    def discover(self) -> None:
        """Find the endpoints from the versions URL, and the parties behind them from the credentials.

        :raises LookupError: if that fails: nothing else can be tested then.
        """
        versions = self.get(self.versions_url)
        found = [each for each in versions.data or [] if isinstance(each, dict) and each.get("version") == self.version]
        if not found:
            raise LookupError(f"GET {self.versions_url} offers no version {self.version}: {versions.shown}")
        self.details_url = str(found[0]["url"])
        details = self.get(self.details_url)
        listed = details.data[0] if isinstance(details.data, list) and details.data else details.data
        if not isinstance(listed, dict) or not isinstance(listed.get("endpoints"), list):
            raise LookupError(f"GET {self.details_url} lists no endpoints: {details.shown}")
        self.endpoints = {(each["identifier"], each["role"]): each["url"] for each in listed["endpoints"]}
        credentials = self.get(self.credentials_url)
        for role in (credentials.data or {}).get("roles") or [] if isinstance(credentials.data, dict) else []:
            self.roles.append(Party(role["country_code"], role["party_id"], role["role"]))

    @property
    def credentials_url(self) -> str:
        return next((url for (identifier, _), url in self.endpoints.items() if identifier == "credentials"), "")

    # ---- who

    def receiver_of(self, interface: Interface) -> Party | None:
        """Return whom a request is for: as was said on the command line, else who has the role."""
        role = self.callee_role(interface)
        known = [*self.to, *self.roles]
        for wanted in (role, "HUB", ""):
            for party in known:
                if party.role == wanted:
                    return party
        return None

    def callee_role(self, interface: Interface) -> str:
        module, side = interface
        return "CPO" if (module in _OWNER_SENDS) == (side == "SENDER") else "EMSP"

    def caller_of(self, interface: Interface) -> Party | None:
        """Return in whose name we call an interface."""
        return self.party("EMSP" if self.callee_role(interface) == "CPO" else "CPO")

    def party(self, role: str) -> Party | None:
        return next((party for party in self.parties if party.role in (role, "")), None)

    # ---- what is sent

    @property
    def authorization(self) -> str:
        return "Token " + (self.token if self.raw_token else base64.b64encode(self.token.encode()).decode())

    def get(self, url: str, **options: Any) -> Answer:
        return self.request("GET", url, **options)

    def request(
        self,
        method: str,
        url: str,
        body: Any = None,
        *,
        interface: Interface | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str | None] | None = None,
    ) -> Answer:
        """Send one request and return its answer. A header given as None is left out; bytes are sent as they are."""
        sent: dict[str, str | None] = {"Authorization": self.authorization, **{name: str(uuid.uuid4()) for name in IDS}}
        if interface is not None and interface[0] not in CONFIGURATION:
            sent |= self.routing(interface)
        content = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        if content is not None:
            sent["Content-Type"] = "application/json"
        sent |= headers or {}
        kept = {name: value for name, value in sent.items() if value is not None}
        if query:
            url += ("&" if "?" in url else "?") + urlencode(query, quote_via=quote)
        got = self.http.request(
            method, url, data=content, headers=kept, timeout=_TIMEOUT_SECONDS, allow_redirects=False
        )
        answer = Answer(got.status_code, got.headers, got.content.decode("utf-8", "replace"))
        functional = any(url.startswith(each) for (module, _), each in self.endpoints.items()
                         if module not in CONFIGURATION)  # fmt: skip
        answer.odd = _odd(answer, kept, functional=functional)
        for number, what in answer.odd.items():
            self.in_passing[number] += 1
            self.examples.setdefault(number, f"{method} {url.partition('?')[0]}: {what}")
        return answer

    def routing(self, interface: Interface) -> dict[str, str | None]:
        found: dict[str, str | None] = {}
        for direction, party in (("to", self.receiver_of(interface)), ("from", self.caller_of(interface))):
            if party is not None:
                found[f"OCPI-{direction}-country-code"] = party.country_code
                found[f"OCPI-{direction}-party-id"] = party.party_id
        return found


def _odd(answer: Answer, sent: Mapping[str, str], *, functional: bool) -> dict[str, str]:
    """Return what no answer may be, whatever was asked: by requirement."""
    odd: dict[str, str] = {}
    try:
        answer.json = json.loads(answer.text, parse_float=Decimal)
    except ValueError:
        return {"TRN-025": f"the body is not JSON: {answer.text[:80]!r}"}
    if not answer.headers.get("Content-Type", "").startswith("application/json"):
        odd["TRN-025"] = f"Content-Type is {answer.headers.get('Content-Type')}"
    code = answer.code
    if isinstance(code, bool) or not isinstance(code, int):
        odd["TRN-025"] = f"status_code is {code!r}"
    elif not 1000 <= code <= 4999:
        odd["TRN-026"] = f"status_code is {code}"
    timestamp = answer.json.get("timestamp") if isinstance(answer.json, dict) else None
    if not _is_now(timestamp):
        odd["TRN-027"] = f"timestamp is {timestamp!r}"
    for name, number in zip(IDS, ("TRN-056", "TRN-057"), strict=True):
        if name in sent and answer.headers.get(name) != sent[name]:
            odd[number] = f"{name} is {answer.headers.get(name)!r}"
    if functional and "OCPI-from-country-code" in sent and "OCPI-from-party-id" in sent:
        for name in ("country-code", "party-id"):
            shown = answer.headers.get(f"OCPI-to-{name}", "")
            if shown.upper() != sent[f"OCPI-from-{name}"].upper():
                odd["HUB-08"] = f"OCPI-to-{name} is {shown!r}"
    elif not functional and any(answer.headers.get(name) for name in ROUTING):
        odd["HUB-01"] = "there are routing headers where none were sent"
    return odd


def _is_now(text: Any) -> bool:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return False
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return abs(moment.timestamp() - time.time()) < _CLOCK_SECONDS


def join(url: str, path: str) -> str:
    """Return a path below a published URL, joined with one slash; a query that is there stays."""
    base, mark, query = url.partition("?")
    below = f"{base.rstrip('/')}/{path.lstrip('/')}" if path else base
    return below + mark + query
