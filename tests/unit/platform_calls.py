"""Calls of a platform that lives on a hostile server."""

from collections.abc import Iterator
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from ocpi import client, wire
from tests.unit.hostile_server import HostileServer

TOKEN = "example-token-of-some-length"
ENCODED = "ZXhhbXBsZS10b2tlbi1vZi1zb21lLWxlbmd0aA=="


def target(*hosts: str, **changes: Any) -> client.Target:
    given: dict[str, Any] = {"platform_id": 1, "name": "NL*CPO", "token": TOKEN, "base64_token": True} | changes
    return client.Target(hosts=frozenset(hosts or ("127.0.0.1",)), **given)


def send(server: HostileServer, method: str = "GET", path: str = "/x", **options: Any) -> client.Answer:
    to = options.pop("to", target())
    return client.send(to, method, server.url + path, **({"timeout": 0.4} | options))


def header(request: bytes, name: str) -> str | None:
    head = request.partition(b"\r\n\r\n")[0].decode("latin-1")
    values = [
        line.partition(": ")[2] for line in head.split("\r\n")[1:] if line.partition(":")[0].lower() == name.lower()
    ]
    assert len(values) <= 1, f"{name} is there twice"
    return values[0] if values else None


@pytest.fixture(name="_loopback", autouse=True)
def loopback_fixture(settings: Settings) -> Iterator[None]:
    """Let every test of a module that imports this call servers of this machine, on connections of its own."""
    settings.OCPI_ALLOWED_NETWORKS = ["127.0.0.0/8", "::1/128"]
    settings.OCPI_TLS_REQUIRED = False
    settings.OCPI_CONNECT_TIMEOUT = 0.4
    wire.pool.clear()
    yield
    wire.pool.clear()
