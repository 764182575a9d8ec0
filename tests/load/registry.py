"""The platforms of the benchmarks, and the headers with which they speak."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

HUB = ("NL", "HUB")
CPO = ("NL", "TNM")
EMSP = ("DE", "EMS")
CPO_TOKEN = "cpo-token-of-the-benchmarks-0123456789"
EMSP_TOKEN = "emsp-token-of-the-benchmarks-0123456789"


def platforms(ports: Sequence[int], *, receivers: int = 1) -> list[dict[str, Any]]:
    """Return a CPO and some eMSPs, for `seed`; the first eMSP is EMSP."""
    found: list[dict[str, Any]] = [
        {"name": "cpo", "url": f"http://127.0.0.1:{ports[0]}", "token": CPO_TOKEN, "parties": [[*CPO, "CPO"]]}
    ]
    for number in range(receivers):
        party = EMSP if number == 0 else ("DE", f"{number:03}")
        found.append(
            {
                "name": f"emsp {number}",
                "url": f"http://127.0.0.1:{ports[number % len(ports)]}",
                "token": EMSP_TOKEN if number == 0 else f"emsp-token-{number:030}",
                "parties": [[*party, "EMSP"]],
            }
        )
    return found


def authorization(token: str) -> str:
    """Return the Authorization header of OCPI 2.2.1."""
    return "Token " + base64.b64encode(token.encode()).decode()


def headers(token: str, sender: tuple[str, str], to: tuple[str, str]) -> dict[str, str]:
    """Return the headers every partner sends."""
    return {
        "Authorization": authorization(token),
        "X-Request-ID": "2f2f6b0e-53b7-4bb4-8a20-6a4d1a1b6c11",
        "X-Correlation-ID": "9a3c2f40-2b1e-4c7f-8d50-0f6f1f1f7d22",
        "OCPI-from-country-code": sender[0],
        "OCPI-from-party-id": sender[1],
        "OCPI-to-country-code": to[0],
        "OCPI-to-party-id": to[1],
    }
