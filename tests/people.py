"""A connected platform as a test sees it: what it shows us, who it speaks for, and requests in its name."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from django.conf import settings
from django.test import Client

from ocpi import ours
from ocpi.headers import Address
from tests.answers import Asked, Ids, OcpiAnswer, assert_ocpi_answer

if TYPE_CHECKING:
    from ocpi.models import Platform


def door(client: Client) -> Any:
    """Return what requests go through: Django's test client, or what tests/front_doors.py puts in its place."""
    return client


class _Auto:
    """Says: the party that one would expect."""


AUTO = _Auto()
Party = str | Address | None | _Auto


@dataclass(slots=True)
class Person:
    """Somebody who sends requests to this instance with a token, registered or not."""

    token: str
    parties: tuple[Address, ...] = ()
    platform: Platform | None = None
    token_out: str = ""  # what we show it
    url: str = ""  # where it would be reached: base of its endpoints
    raw: bool = False  # shows its token without Base64 (TRN-006)
    client: Client = field(default_factory=Client, repr=False)

    @property
    def address(self) -> Address:
        return self.parties[0]

    @property
    def id(self) -> int:
        assert self.platform is not None
        return self.platform.id

    @property
    def authorization(self) -> str:
        return "Token " + (self.token if self.raw else base64.b64encode(self.token.encode()).decode())

    def get(self, path: str, **options: Any) -> OcpiAnswer:
        return self.request("GET", path, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> OcpiAnswer:
        return self.request("POST", path, body, **options)

    def put(self, path: str, body: Any = None, **options: Any) -> OcpiAnswer:
        return self.request("PUT", path, body, **options)

    def patch(self, path: str, body: Any = None, **options: Any) -> OcpiAnswer:
        return self.request("PATCH", path, body, **options)

    def delete(self, path: str, **options: Any) -> OcpiAnswer:
        return self.request("DELETE", path, **options)

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        to: Party = AUTO,
        sender: Party = AUTO,
        headers: Mapping[str, str | None] | None = None,
        query: Mapping[str, Any] | None = None,
        documented: bool = True,
    ) -> OcpiAnswer:
        """Send one request as this platform and return the answer, checked.

        `path` is below /ocpi/ ("cpo/2.2.1/locations"), starts with a slash, or is a URL of ours. A `body` that is no
        bytes is written as JSON. By default From is the first party of this platform and To the first of ours; None
        leaves them out, as do the Configuration Modules. A header given as None is left out. The answer must be one
        that our OpenAPI document has, unless `documented` is False: an object that was stored although it bends a rule.
        """
        path = _path(path)
        if query:
            path += ("&" if "?" in path else "?") + "&".join(f"{k}={quote(str(v), safe=':')}" for k, v in query.items())
        ids = Ids(str(uuid.uuid4()), str(uuid.uuid4()))
        sent: dict[str, str | None] = {
            "Authorization": self.authorization,
            "X-Request-ID": ids.request_id,
            "X-Correlation-ID": ids.correlation_id,
            **self._routing(path, to, sender),
            **(headers or {}),
        }
        content = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
        content_type = sent.pop("Content-Type", "application/json") or ""
        response = door(self.client).generic(
            method,
            path,
            content,
            content_type=content_type,
            headers={name: value for name, value in sent.items() if value is not None},
            RAW_URI=path,
        )
        echoed = Ids(sent.get("X-Request-ID") or "", sent.get("X-Correlation-ID") or "")
        return assert_ocpi_answer(
            http_status=response.status_code,
            headers=response.headers,
            body=response.content,
            ids=echoed,
            asked=Asked(method, path, tuple(settings.OCPI_SIDES)) if documented else None,
        )

    def _routing(self, path: str, to: Party, sender: Party) -> dict[str, str | None]:
        plain = any(word in path for word in ("/versions", "/credentials", "/hubclientinfo")) or path == "/ocpi/2.2.1"
        if isinstance(to, _Auto):
            to = None if plain or not ours.addresses() else ours.addresses()[0]
        if isinstance(sender, _Auto):
            sender = None if plain or not self.parties else self.parties[0]
        found: dict[str, str | None] = {}
        for direction, party in (("to", to), ("from", sender)):
            if party is not None:
                address = party if isinstance(party, Address) else at(party)
                found[f"OCPI-{direction}-country-code"] = address.country_code
                found[f"OCPI-{direction}-party-id"] = address.party_id
        return found


def at(text: str) -> Address:
    """Return the address in a text such as "NL*TNM" or "NL*TNM:CPO"."""
    country_code, _, party_id = text.partition(":")[0].partition("*")
    return Address(country_code, party_id)


def _path(path: str) -> str:
    base = settings.OCPI_BASE_URL
    if path.startswith(base + "/"):
        return path.removeprefix(base)
    assert "://" not in path, f"{path} is no URL of this instance"
    return path if path.startswith("/") else f"/ocpi/{path}"
