"""A CPO and an eMSP that know OCPI and nothing of this project: they register with a hub and do business through it.

    python independent_client.py --versions-url http://127.0.0.1:8000/ocpi/versions --cpo-token A --emsp-token B

The tokens are two token A of the hub, for parties of any role (`manage.py invite_platform --name … --any-role --json`).
Needs `requests` only. Prints one JSON object with what each step saw; exits with 1 at the first step that fails.
"""

from __future__ import annotations

import argparse
import base64
import json
import sys
import threading
import time
import uuid
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import requests

VERSION = "2.2.1"
HUB = ("NL", "HUB")
CPO = ("NL", "ICP")
EMSP = ("DE", "IEM")
MOMENT = "2026-01-31T08:00:00Z"
Json = Any
Handler = Callable[[str, str, Json], Json]


class Platform:
    """One party with a web server of its own, registered with the hub."""

    def __init__(self, address: tuple[str, str], role: str, modules: list[tuple[str, str]], handle: Handler) -> None:
        self.address, self.role, self.modules, self.handle = address, role, modules, handle
        self.token_in = uuid.uuid4().hex  # what the hub shows us
        self.token_out = ""  # what we show the hub
        self.hub: dict[tuple[str, str], str] = {}
        self.seen: list[tuple[str, str, Json]] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def register(self, versions_url: str, token_a: str) -> None:
        """Play the handshake with the hub."""
        self.token_out = token_a
        versions = self.call("GET", versions_url)
        details = self.call("GET", next(entry["url"] for entry in versions if entry["version"] == VERSION))
        self.hub = {(entry["identifier"], entry["role"]): entry["url"] for entry in details["endpoints"]}
        credentials_url = next(url for (identifier, _), url in self.hub.items() if identifier == "credentials")
        country_code, party_id = self.address
        role = {"role": self.role, "country_code": country_code, "party_id": party_id,
                "business_details": {"name": f"Independent {self.role}"}}  # fmt: skip
        mine = {"token": self.token_in, "url": f"{self.url}/versions", "roles": [role]}
        self.token_out = self.call("POST", credentials_url, mine)["token"]

    def call(self, method: str, url: str, body: Json = None, to: tuple[str, str] | None = None) -> Json:
        """Send a request and return its data."""
        headers = {
            "Authorization": "Token " + base64.b64encode(self.token_out.encode()).decode(),
            "X-Request-ID": str(uuid.uuid4()),
            "X-Correlation-ID": str(uuid.uuid4()),
        }
        if to:
            headers["OCPI-to-country-code"], headers["OCPI-to-party-id"] = to
            headers["OCPI-from-country-code"], headers["OCPI-from-party-id"] = self.address
        answer = requests.request(method, url, json=body, headers=headers, timeout=30)
        envelope = answer.json()
        if not answer.ok or envelope["status_code"] != 1000:
            raise SystemExit(f"{method} {url}: HTTP {answer.status_code}, {envelope}")
        assert answer.headers["X-Request-ID"] == headers["X-Request-ID"]
        assert answer.headers["X-Correlation-ID"] == headers["X-Correlation-ID"]
        return envelope.get("data")

    def wait_for(self, method: str, part: str, seconds: float = 20) -> Json:
        """Return the body of the first request of this kind that the hub has sent us."""
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            for seen_method, path, body in list(self.seen):
                if seen_method == method and part in path:
                    return body
            time.sleep(0.05)
        raise SystemExit(f"{self.role}: no {method} {part} came; seen: {[entry[:2] for entry in self.seen]}")

    def _answer(self, method: str, path: str, body: Json) -> Json:
        if path == "/versions":
            return [{"version": VERSION, "url": f"{self.url}/details"}]
        if path == "/details":
            listed = [("credentials", "RECEIVER"), *self.modules]
            endpoints = [{"identifier": i, "role": r, "url": f"{self.url}/{r}/{i}"} for i, r in listed]
            return {"version": VERSION, "endpoints": endpoints}
        self.seen.append((method, path, body))
        return self.handle(method, path, body)

    def _handler(platform) -> type[BaseHTTPRequestHandler]:
        class OcpiHandler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                octets = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                shown = base64.b64decode(self.headers["Authorization"].split()[1]).decode()
                assert shown == platform.token_in, "the hub shows the wrong token"
                data = platform._answer(self.command, self.path.partition("?")[0], json.loads(octets or b"null"))
                envelope = {"status_code": 1000, "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
                body = json.dumps(envelope if data is None else {**envelope, "data": data}).encode()
                self.send_response(200)
                for name in ("X-Request-ID", "X-Correlation-ID"):
                    self.send_header(name, self.headers[name])
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        return OcpiHandler


LOCATION = {
    "country_code": CPO[0], "party_id": CPO[1], "id": "IND-1", "publish": True, "address": "Kade 1", "city": "Utrecht",
    "country": "NLD", "coordinates": {"latitude": "52.0891", "longitude": "5.1102"}, "time_zone": "Europe/Amsterdam",
    "evses": [{
        "uid": "IND-1-1", "status": "AVAILABLE", "last_updated": MOMENT,
        "connectors": [{"id": "1", "standard": "IEC_62196_T2", "format": "SOCKET", "power_type": "AC_3_PHASE",
                        "max_voltage": 230, "max_amperage": 16, "last_updated": MOMENT}],
    }],
    "last_updated": MOMENT, "x_own_field": {"kept": 4.50},
}  # fmt: skip
TOKEN = {
    "country_code": EMSP[0], "party_id": EMSP[1], "uid": "04AABBCCDD", "type": "RFID", "contract_id": "DE-IEM-C1",
    "issuer": "Independent eMSP", "valid": True, "whitelist": "NEVER", "last_updated": MOMENT,
}  # fmt: skip


def cpo_answer(method: str, path: str, body: Json) -> Json:
    if method == "POST" and path.startswith("/RECEIVER/commands/"):
        return {"result": "ACCEPTED", "timeout": 30}
    return [] if method == "GET" else None


def emsp_answer(method: str, path: str, body: Json) -> Json:
    if path.endswith("/authorize"):
        return {"allowed": "ALLOWED", "token": TOKEN, "authorization_reference": "AUTH-1"}
    return [] if method == "GET" else None


def play(versions_url: str, cpo_token: str, emsp_token: str) -> dict[str, Json]:
    """Do everything once and return what each step saw."""
    cpo = Platform(CPO, "CPO", [("locations", "SENDER"), ("tokens", "RECEIVER"), ("commands", "RECEIVER")], cpo_answer)
    emsp = Platform(
        EMSP, "EMSP", [("locations", "RECEIVER"), ("tokens", "SENDER"), ("commands", "SENDER")], emsp_answer
    )
    cpo.register(versions_url, cpo_token)
    emsp.register(versions_url, emsp_token)

    cpo.call("PUT", cpo.hub[("locations", "RECEIVER")] + "/NL/ICP/IND-1", LOCATION, to=HUB)
    broadcast = emsp.wait_for("PUT", "/locations/NL/ICP/IND-1")
    listed = emsp.call("GET", emsp.hub[("locations", "SENDER")], to=HUB)

    authorize_url = cpo.hub[("tokens", "SENDER")] + "/04AABBCCDD/authorize?type=RFID"
    authorized = cpo.call("POST", authorize_url, {"location_id": "IND-1"}, to=EMSP)

    command = {"response_url": f"{emsp.url}/results/42", "token": TOKEN, "location_id": "IND-1", "evse_uid": "IND-1-1"}
    accepted = emsp.call("POST", emsp.hub[("commands", "RECEIVER")] + "/START_SESSION", command, to=CPO)
    received = cpo.wait_for("POST", "/commands/START_SESSION")
    cpo.call("POST", received["response_url"], {"result": "ACCEPTED"}, to=EMSP)
    return {
        "broadcast": broadcast,
        "listed": [entry["id"] for entry in listed],
        "authorized": authorized["allowed"],
        "command": accepted["result"],
        "response_url_hidden": received["response_url"] != command["response_url"],
        "result": emsp.wait_for("POST", "/results/42"),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="An independent CPO and eMSP at a hub")
    parser.add_argument("--versions-url", required=True)
    parser.add_argument("--cpo-token", required=True)
    parser.add_argument("--emsp-token", required=True)
    options = parser.parse_args()
    print(json.dumps(play(options.versions_url, options.cpo_token, options.emsp_token)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
