"""Who takes part in a figure: a CPO that sends, and a platform for each receiver, with tokens that figures know."""

from __future__ import annotations

import contextlib
import http.client
import time
from collections.abc import Sequence
from typing import Any

from tests.figures.receivers import Receivers
from tests.load import registry

_NOBODY = "http://127.0.0.1:9"  # nothing is sent to the CPO


def platforms(receivers: Receivers) -> list[dict[str, Any]]:
    """Return the CPO and an eMSP for each receiver, for `Lab.seed`."""
    cpo = {"name": "cpo", "url": _NOBODY, "token": registry.CPO_TOKEN, "parties": [[*registry.CPO, "CPO"]]}
    return [cpo, *(_emsp(number, port) for number, port in enumerate(receivers.ports))]


def token_of(receiver: int) -> str:
    """Return the token that a receiver shows the hub."""
    return f"emsp-token-{receiver:030}"


def party_of(receiver: int) -> tuple[str, str]:
    return "DE", f"{receiver:03}"


def _emsp(number: int, port: int) -> dict[str, Any]:
    return {
        "name": f"emsp {number}",
        "url": f"http://127.0.0.1:{port}",
        "token": token_of(number),
        "parties": [[*party_of(number), "EMSP"]],
    }


def show_up(ports: Sequence[int], receiver: int, *, seconds: float = 60) -> None:
    """Have a receiver make its first request after it was away: it reads the hub's versions."""
    headers = registry.headers(token_of(receiver), party_of(receiver), registry.HUB)
    limit = time.monotonic() + seconds
    number = 0
    while time.monotonic() < limit:
        connection = http.client.HTTPConnection("127.0.0.1", ports[number % len(ports)], timeout=5)
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
            connection.request("GET", "/ocpi/versions", headers=headers)
            if connection.getresponse().status == 200:
                return
        number += 1
        time.sleep(0.05)
    raise RuntimeError(f"the hub did not answer receiver {receiver} within {seconds:.0f} s")
