"""The partner of FIG-14: a platform that offers five lists and takes what it is sent; it has all of it in memory."""

from __future__ import annotations

import json
import random
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.load import objects

_DOCUMENTS = Path(__file__).parents[1] / "documents" / "2.2.1"
CPO, EMSP = ("BE", "CPB"), ("FR", "DRV")  # what the partner is
OURS = ("DE", "EMS")  # whose drivers charge there
TAG = "04C7A1E2B95D80"  # of a driver of the partner who charges at ours
_LONG_AGO = datetime(2025, 9, 1, tzinfo=UTC)
_PAGE = 50
_STATUSES = ("AVAILABLE", "CHARGING", "BLOCKED", "OUTOFORDER", "INOPERATIVE")


def text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _example(name: str, owner: tuple[str, str], **members: Any) -> dict[str, Any]:
    found = json.loads((_DOCUMENTS / f"{name}.json").read_text())
    return {**found, "country_code": owner[0], "party_id": owner[1], **members}


class Partner(ThreadingHTTPServer):
    """Its objects by module and id, and what it was sent by module."""

    daemon_threads = True

    def __init__(self, locations: int, others: int) -> None:
        self.objects: dict[str, dict[str, Any]] = {
            module: {} for module in ("locations", "tariffs", "sessions", "cdrs", "tokens")
        }
        self.sent: dict[str, dict[str, Any]] = {}
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        for number in range(locations):
            found = objects.location(number, stamp=text(_LONG_AGO))
            found |= {"country_code": CPO[0], "party_id": CPO[1]}
            self.objects["locations"][found["id"]] = found
        for number in range(others):
            self.add(number, _LONG_AGO)

    def add(self, number: int, moment: datetime) -> None:
        """Have one more Tariff, Session, CDR and Token, made at this moment."""
        stamp, token = text(moment), {"country_code": OURS[0], "party_id": OURS[1]}
        tariff = _example("tariff", CPO, id=f"T{number}", last_updated=stamp)
        session = _example("session", CPO, id=f"S{number}", status="COMPLETED", last_updated=stamp)
        running = _example("session", CPO, id=f"R{number}", last_updated=stamp)
        cdr = _example("cdr", CPO, id=f"C{number}", session_id=f"S{number}", last_updated=stamp)
        for found in (session, running, cdr):
            found["cdr_token"] = {**found["cdr_token"], **token}
        uid = TAG if number == 0 else f"{TAG[:-4]}{number:04}"
        for module, one in (
            ("tariffs", tariff), ("sessions", session), ("sessions", running), ("cdrs", cdr),
            ("tokens", _example("token_rfid", EMSP, uid=uid, last_updated=stamp)),
        ):  # fmt: skip
            self.objects[module][one.get("uid") or one["id"]] = one

    def work(self, choose: random.Random, since: datetime, until: datetime, *, changes: int, others: int) -> None:
        """Do what happens in some minutes: EVSEs change, Sessions and CDRs are made, Tariffs and Tokens change."""
        moments = sorted(since + choose.random() * (until - since) for _ in range(changes))
        for moment in moments:
            location = self.objects["locations"][choose.choice(list(self.objects["locations"]))]
            evse = choose.choice(location["evses"])
            evse["status"] = choose.choice([status for status in _STATUSES if status != evse["status"]])
            evse["last_updated"] = location["last_updated"] = text(moment)
        known = len(self.objects["cdrs"])
        for number in range(others):
            self.add(known + number, since + (number + 0.5) / others * (until - since))
        for number in range(others):  # and some that were there before are others now
            stamp = text(since + (number + 0.5) / others * (until - since))
            token = self.objects["tokens"][choose.choice(list(self.objects["tokens"])[1:known])]
            token |= {"valid": not token["valid"], "last_updated": stamp}
            session = self.objects["sessions"][f"R{choose.randrange(known)}"]
            session |= {"kwh": session["kwh"] + 1, "last_updated": stamp}

    def page(self, module: str, query: dict[str, list[str]]) -> tuple[list[Any], dict[str, str]]:
        """Return one page of a list and its headers."""
        since, offset = query.get("date_from", [""])[0], int(query.get("offset", ["0"])[0])
        found = sorted(self.objects[module].values(), key=lambda one: str(one["last_updated"]))
        found = [one for one in found if not since or one["last_updated"] >= since[:19] + "Z"]
        headers = {"X-Total-Count": str(len(found)), "X-Limit": str(_PAGE)}
        if offset + _PAGE < len(found):
            kept = {name: values[0] for name, values in query.items()}
            following = urlencode({**kept, "offset": offset + _PAGE, "limit": _PAGE})
            headers["Link"] = f'<{self.url}/ocpi/sender/{module}?{following}>; rel="next"'
        return found[offset : offset + _PAGE], headers


class _Handler(BaseHTTPRequestHandler):
    server: Partner
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        module = parts.path.rstrip("/").rpartition("/")[2]
        data, headers = self.server.page(module, parse_qs(parts.query)) if module in self.server.objects else ([], {})
        self._answer(200, data, headers)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.sent[str(body.get("id", ""))] = body
        self._answer(201, None, {"Location": f"{self.server.url}/ocpi/receiver/cdrs/{body.get('id', '')}"})

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer(200, None, {})

    do_PATCH = do_DELETE = do_PUT

    def _answer(self, status: int, data: Any, headers: dict[str, str]) -> None:
        stamp = text(datetime.now(UTC))
        body = json.dumps(
            {"status_code": 1000, "timestamp": stamp, **({} if data is None else {"data": data})}
        ).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""
