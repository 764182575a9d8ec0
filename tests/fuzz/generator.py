"""From a seed to requests: an operation of the document, taken as it should be, and then one or more things wrong."""

from __future__ import annotations

import base64
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from tests.fuzz import damage, examples
from tests.surface import Surface, SurfaceOperation


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks: a connected platform, and whom it asks."""

    token: str
    address: tuple[str, str]
    to: tuple[str, str]
    response_url: str = "http://127.0.0.1:1/ocpi/2.2.1/results/1"


@dataclass(slots=True)
class Attempt:
    """One request."""

    kind: str
    method: str
    target: str  # path and query, as they go out
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def __str__(self) -> str:
        return f"[{self.kind}] {self.method} {self.target} {self.headers} {self.body[:1500]!r}"


_SEGMENTS = [
    "NL", "TNM", "DE", "EMS", "nl", "tnm", "%23NA", "%2F", "a%2Fb", "%00", "a%00", "%FF", "%C3%28", "%ED%A0%80", "%",
    "%2",
    "%zz", "a" * 37, "a" * 300, "a" * 3000, "..", ".", "%2e%2e", "%27", "%22", "%25s", "%25", "%F0%9F%98%80", "*",
    "1", "-1",
    "%20", "%0d%0a", "%0aX-A:1", ";a=b", "a;b", "{id}", "%7B%7D", "null", "0", "true", "~", "@", ":", "START_SESSION",
    "START_SESSIO", "start_session", "%E2%80%AE", "a+b", "2.2.1", "versions", "credentials",
]  # fmt: skip
_QUERIES = [
    "limit=2", "limit=0", "limit=-1", "limit=1e3", "limit=" + "9" * 30, "limit=%F0", "limit=٣", "limit=",
    "limit=1&limit=2",
    "offset=9999999999", "offset=10000001", "offset=-1", "offset=x", "offset=0x10", "date_from=x", "date_from=",
    "date_from=2026-01-01T00:00:00Z", "date_from=2026-01-01T00:00:00Z&offset=3",
    "date_from=2026-01-01T00:00:00%2B02:00",
    "date_from=2026-01-01T00:00:00+02:00", "date_to=2026-01-01T00:00:00+99:99", "date_to=0000-00-00T00:00:00Z",
    "date_from=9999-12-31T23:59:59-23:59", "date_from=0001-01-01T00:00:00%2B23:59", "date_from=2026-02-30T00:00:00Z",
    "date_from=2027-01-01T00:00:00Z&date_to=2026-01-01T00:00:00Z", "date_from=%00", "date_from=" + "1" * 3000,
    "type=RFID", "type=APP_USER", "type=rfid", "type=%00", "type=X", "type=", "type=RFID&type=OTHER", "place=a.b.c.d",
    "place=:::", "place=1.1.0.:x", "timeout=x", "duration=-1", "duration=9999999999999", "duration=x", "duration=900",
    "response_url=javascript:x", "response_url=http://127.0.0.1:1/r", "response_url=", "response_url=http://[",
    "duration=900&response_url=http%3A%2F%2F127.0.0.1%3A1%2Fr",
    "duration=1.5&response_url=http://127.0.0.1:1/r?a=b&c=d",
    "&&&==", "=", "%", "%zz=%zz", "a=%FF", "%00=1", "a" * 2000, "a[]=1", "format=api", "a=1;b=2", "_method=DELETE",
    "&".join(f"p{number}=1" for number in range(300)),
]  # fmt: skip
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "FOO", "get", "Put"]
_TYPES = [
    "text/xml", "text/plain", "application/json; charset=utf-16", "application/json;", "application/jsonx", "", ";",
    "x",
    "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "application/merge-patch+json",
    "application/json; charset=no-such-charset", "APPLICATION/JSON", "a" * 3000, "application/json, text/html",
]  # fmt: skip
_VALUES = ["", " ", "N", "NLX", "n\xe9", "\xff\xfe", "ZZ", "a" * 300, "a" * 7000, "NL, DE", "'", "%4E%4C", "{}", "null",
           "\x7f", "0", "NL\tX"]  # fmt: skip
_NAMES = ["OCPI-to-country-code", "OCPI-to-party-id", "OCPI-from-country-code", "OCPI-from-party-id", "X-Request-ID",
          "X-Correlation-ID"]  # fmt: skip
_OTHERS: list[tuple[str, str]] = [
    ("Content-Encoding", "gzip"), ("Content-Encoding", "br"), ("Content-Encoding", "identity"), ("Accept", "text/html"),
    ("Accept", "*/*;q=x"), ("Accept-Encoding", "identity;q=0"), ("Range", "bytes=0-1"), ("If-None-Match", "*"),
    ("If-Modified-Since", "x"), ("Cookie", "sessionid=x; csrftoken=" + "y" * 3000), ("X-Forwarded-For", "a" * 500),
    ("X-Forwarded-Proto", "https"), ("X-HTTP-Method-Override", "DELETE"), ("Accept-Language", "x" * 500),
    ("Origin", "null"), ("Referer", "\xff"), ("User-Agent", "() { :;}; echo"), ("Forwarded", "for=x"), ("X-A",
    "b" * 6000),
]  # fmt: skip


class Generator:
    """Endless requests at one instance, the same for the same seed."""

    def __init__(self, document: Mapping[str, Any], actors: Sequence[Actor], seed: int | str) -> None:
        self.surface = Surface(document)
        self._actors = actors
        self._draw = random.Random(seed)
        # Credentials change who may ask: only `_credentials_wrong` is about them.
        self._operations = [each for each in self.surface.operations if each.told["x-ocpi-module"] != "credentials"]

    def attempts(self) -> Iterator[Attempt]:
        """Give requests, first every operation as it should be asked."""
        for actor in self._actors:
            for operation in self._operations:
                yield self._proper(actor, operation, "as it should be")
        while True:
            yield self._one()

    def _one(self) -> Attempt:
        draw = self._draw
        operation = draw.choice(self._operations)
        found = self._proper(draw.choice(self._actors), operation, "")
        chance = draw.random()
        has_body = bool(found.body) and found.body != b"null"
        if has_body and chance < 0.62:
            self._body_wrong(found, operation)
            if draw.random() < 0.12:
                self._query_wrong(found)
            if draw.random() < 0.08:
                self._header_wrong(found)
            return found
        wrong = draw.choices(
            [self._path_wrong, self._query_wrong, self._header_wrong, self._method_wrong, self._type_wrong,
             self._token_wrong, self._credentials_wrong],
            [30, 26, 20, 12, 6, 6, 2],
        )[0]  # fmt: skip
        wrong(found)
        return found

    def _proper(self, actor: Actor, operation: SurfaceOperation, kind: str) -> Attempt:
        path = operation.path
        for name, value in examples.ids(operation).items():
            path = path.replace(f"{{{name}}}", quote(value, safe=""))
        self._now = operation
        query = "&".join(
            f"{each['name']}={quote(self._parameter(each, actor), safe=':')}"
            for each in operation.told["parameters"]
            if each["required"] or self._draw.random() < 0.1
        )
        asked = examples.body(self.surface, operation, self._draw, response_url=actor.response_url)
        found = Attempt(kind, operation.method, f"/ocpi{path}" + (f"?{query}" if query else ""))
        found.headers = {
            "Authorization": "Token " + base64.b64encode(actor.token.encode()).decode(),
            "X-Request-ID": f"fuzz-{self._draw.getrandbits(40)}",
            "X-Correlation-ID": f"fuzz-{self._draw.getrandbits(40)}",
        }
        if operation.told["x-ocpi-module"] not in ("", "credentials", "hubclientinfo"):
            broadcast = operation.passed_on and self._draw.random() < 0.3
            pairs = (("from", actor.address),) if broadcast else (("to", actor.to), ("from", actor.address))
            for direction, (country_code, party_id) in pairs:
                found.headers[f"OCPI-{direction}-country-code"] = country_code
                found.headers[f"OCPI-{direction}-party-id"] = party_id
        if asked is not None:
            found.headers["Content-Type"] = "application/json"
            found.body = damage.text(asked)
            self._asked = asked
        return found

    def _parameter(self, parameter: Mapping[str, Any], actor: Actor) -> str:
        match parameter["name"]:
            case "date_from":
                return "2020-01-01T00:00:00Z"
            case "date_to":
                return "2099-01-01T00:00:00Z"
            case "response_url":
                return actor.response_url
            case "type":
                return self._draw.choice(["RFID", "APP_USER", "OTHER"])
            case _:
                return "1"

    # ---- what is wrong with it

    def _body_wrong(self, found: Attempt, operation: SurfaceOperation) -> None:
        way = self._draw.choices(list(damage.BODIES), list(damage.BODIES.values()))[0]
        found.kind = f"body: {way.__name__.replace('_', ' ')}"
        found.body = way(self._asked, self._draw)

    def _path_wrong(self, found: Attempt) -> None:
        found.kind = "path"
        path, _, query = found.target.partition("?")
        parts = path.split("/")
        place = self._draw.randrange(2, len(parts))
        chance = self._draw.random()
        if chance < 0.7:
            parts[place] = self._draw.choice(_SEGMENTS)
        elif chance < 0.8:
            parts.insert(place, self._draw.choice(_SEGMENTS))
        elif chance < 0.9:
            del parts[place:]
        else:
            parts.append("/" * self._draw.choice([1, 2, 40]))
        found.target = "/".join(parts) + (f"?{query}" if query else "")

    def _query_wrong(self, found: Attempt) -> None:
        found.kind = found.kind or "query"
        path, _, query = found.target.partition("?")
        added = "&".join(self._draw.sample(_QUERIES, k=self._draw.choice([1, 1, 2])))
        kept = query if self._draw.random() < 0.4 else ""
        found.target = f"{path}?{added}" + (f"&{kept}" if kept else "")

    def _header_wrong(self, found: Attempt) -> None:
        found.kind = found.kind or "headers"
        for _ in range(self._draw.choice([1, 1, 2, 3])):
            if self._draw.random() < 0.7:
                name = self._draw.choice(_NAMES)
                if self._draw.random() < 0.3:
                    found.headers.pop(name, None)
                else:
                    found.headers[name] = self._draw.choice(_VALUES)
            else:
                name, value = self._draw.choice(_OTHERS)
                found.headers[name] = value

    def _method_wrong(self, found: Attempt) -> None:
        found.kind = "method"
        found.method = self._draw.choice(_METHODS)

    def _type_wrong(self, found: Attempt) -> None:
        found.kind = "content type"
        found.headers["Content-Type"] = self._draw.choice(_TYPES)
        if self._draw.random() < 0.3:
            found.body = found.body.decode().encode(self._draw.choice(["utf-16", "utf-32", "utf-8-sig", "utf-7"]))

    def _token_wrong(self, found: Attempt) -> None:
        found.kind = "token"
        right = found.headers["Authorization"]
        found.headers["Authorization"] = self._draw.choice([
            "", "Token", "Token ", "Token  ", "Token !!!", "Token " + "A" * 4000, "Bearer x", "Basic dXNlcjpwYXNz",
            "token",
            "Token \xff", "Token " + base64.b64encode(b"\xff\xfe\x00").decode(), "Token dW5rbm93bg==", right.lower(),
            right + "=", right.replace(" ", "\t"), right.replace("Token", "Digest"), f"{right}, {right}", right[:-4],
            "Token " + base64.b64encode(b"x" * 65).decode(), "Token =", "Token dW5rbm93bg",
            "Token ü".encode().decode("latin-1"),
        ])  # fmt: skip

    def _credentials_wrong(self, found: Attempt) -> None:
        """Credentials that nobody can take: sent by somebody who is not known, or no object at all."""
        found.kind = "credentials"
        found.target = "/ocpi/2.2.1/credentials"
        found.method = self._draw.choice(["POST", "PUT", "PATCH", "GET"])
        found.headers["Content-Type"] = "application/json"
        if self._draw.random() < 0.5:
            found.headers["Authorization"] = "Token dW5rbm93bg=="
            found.body = damage.values(examples.EXAMPLES["Credentials"], self._draw)
        else:
            without = {**examples.EXAMPLES["Credentials"], "roles": self._draw.choice([None, [], {}, [{}], "x", 1])}
            found.body = damage.text(without)
