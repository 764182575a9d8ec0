"""FIG-04 from outside: a running system whose partners are evil; what it answers, how fast, and whether it lives on."""

from __future__ import annotations

import base64
import json
import secrets
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests

from tests.figures.figure import Report, say
from tests.figures.place import Place

# Of the callbacks in a registration, ten seconds each; what the partner waits for is two of them.
_LIMIT = 20.0
_OVER = 1.0
_PATIENCE = 60.0
_STEPS = ("at-versions", "at-details")


def get_json(url: str) -> Any:
    """Return what a URL gives."""
    return json.loads(requests.get(url, timeout=10).content)


def measure(report: Report, here: Place, ports: dict[str, int]) -> None:
    """Run a hub of our own and measure it as any other system."""
    database = here.database("hostile_hub")
    hub = here.instance("hub", database, {"OCPI_SIDES": "hub", "OCPI_PARTIES": "NL*HUB:HUB"})
    command = [sys.executable, "manage.py", "invite_platform", "--name", "Evil", "--any-role", "--json"]
    env = {"DATABASE_URL": database, "OCPI_SIDES": "hub", "OCPI_PARTIES": "NL*HUB:HUB", "PORT": str(hub.port)}
    invited = json.loads(here.run(command, env).strip().splitlines()[-1])
    measure_at(report, f"http://127.0.0.1:{hub.port}/ocpi/versions", invited["token_a"], ports)
    report.add("the hub's process has ended", float(hub.popen.poll() is not None), most=0)
    here.stop(hub)


def measure_at(report: Report, url: str, token: str, ports: dict[str, int]) -> None:
    """Register at a system, or update our credentials there, with a versions URL at each evil server."""
    session = requests.Session()
    session.headers["Authorization"] = "Token " + base64.b64encode(token.encode()).decode()
    credentials = _credentials_url(session, url)
    registered = session.get(credentials, timeout=_PATIENCE).status_code == 200
    say(f"{'updating' if registered else 'registering'} at {credentials}")

    def attempt(case: tuple[str, str]) -> tuple[float, int, int | None]:
        kind, step = case
        scheme = "https" if kind.startswith("TLS") else "http"
        body = {
            "token": secrets.token_urlsafe(24),
            "url": f"{scheme}://127.0.0.1:{ports[kind]}/{step}/versions",
            "roles": [{"role": "CPO", "country_code": "XE", "party_id": "EVL", "business_details": {"name": "Evil"}}],
        }
        started = time.monotonic()
        answer = session.request("PUT" if registered else "POST", credentials, json=body, timeout=_PATIENCE)
        try:
            code = answer.json().get("status_code")
        except (ValueError, AttributeError):
            code = None
        return time.monotonic() - started, answer.status_code, code

    cases = [(kind, step) for kind in ports if kind not in ("good", "canary") for step in _STEPS]
    with ThreadPoolExecutor(1) as pool:  # one after the other: a platform has one handshake at a time
        found = list(pool.map(attempt, cases))
    for (kind, step), (seconds, http_status, code) in zip(cases, found, strict=True):
        say(f"{kind} {step}: {seconds:.1f} s, HTTP {http_status}, status_code {code}")
    report.add("registrations at evil servers", len(found), least=2 * 14)
    report.add("longest registration", max(seconds for seconds, _, _ in found), "s", most=_LIMIT + _OVER)
    report.add("registrations without an OCPI answer", sum(code is None for _, _, code in found), most=0)
    report.add("registrations that were accepted", sum(code == 1000 for _, _, code in found), most=0)
    report.add("answers HTTP 5xx", sum(http_status >= 500 for _, http_status, _ in found), most=0)
    alive = session.get(url, timeout=_PATIENCE)
    report.add("it answers afterwards", float(alive.status_code == 200), least=1)


def _credentials_url(session: requests.Session, versions_url: str) -> str:
    offered = session.get(versions_url, timeout=_PATIENCE).json()["data"]
    details_url = next(each["url"] for each in offered if each["version"] == "2.2.1")
    details = session.get(details_url, timeout=_PATIENCE).json()["data"]
    return str(next(each["url"] for each in details["endpoints"] if each["identifier"] == "credentials"))
