"""An eMSP from another code base: a script that speaks plain OCPI with `requests` and keeps what it gets in SQLite.

    python -m tests.figures.script_emsp --store emsp.sqlite --port 9000 --versions-url … --token A --party FR*SCR

It registers once, serves what an eMSP serves, and whenever it starts it pulls what it may have missed. It may be killed
at any moment: what it has answered is stored.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import sqlite3
import threading
import uuid
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlencode

import requests

_RECEIVED = ("locations", "tariffs", "sessions", "cdrs", "hubclientinfo")
_SERVED = [(module, "RECEIVER") for module in _RECEIVED] + [("tokens", "SENDER"), ("commands", "SENDER")]
_TABLES = """
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT);
CREATE TABLE IF NOT EXISTS object (module TEXT, path TEXT, document TEXT, times INTEGER DEFAULT 1,
                                   PRIMARY KEY (module, path));
"""
Json = Any


class Store:
    """What the script knows, on disk before it is answered."""

    def __init__(self, path: str) -> None:
        self._lock = threading.RLock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.executescript(_TABLES)

    def setting(self, name: str, value: str | None = None) -> str:
        with self._lock:
            if value is not None:
                self._db.execute("INSERT OR REPLACE INTO setting VALUES (?, ?)", (name, value))
            row = self._db.execute("SELECT value FROM setting WHERE name = ?", (name,)).fetchone()
            return str(row[0]) if row else ""

    def get(self, module: str, path: str) -> Json:
        with self._lock:
            found = self._db.execute(
                "SELECT document FROM object WHERE module = ? AND path = ?", (module, path)
            ).fetchone()
        return json.loads(found[0]) if found else None

    def put(self, module: str, path: str, document: Json) -> None:
        with self._lock:
            self._db.execute(
                "INSERT INTO object (module, path, document) VALUES (?, ?, ?) ON CONFLICT (module, path) "
                "DO UPDATE SET document = excluded.document, times = times + 1",
                (module, path, json.dumps(document)),
            )

    def delete(self, module: str, path: str) -> None:
        with self._lock:
            self._db.execute("DELETE FROM object WHERE module = ? AND path = ?", (module, path))

    def locked(self) -> threading.RLock:
        return self._lock


class Emsp:
    """One party, connected to one platform, the hub."""

    def __init__(self, store: Store, url: str, party: tuple[str, str]) -> None:
        self.store, self.url, self.party = store, url, party
        self.token_in = store.setting("token_in") or store.setting("token_in", uuid.uuid4().hex)

    # ------------------------------------------------------------ what it asks

    def register(self, versions_url: str, token_a: str) -> None:
        """Play the handshake, unless that is done."""
        if self.store.setting("token_out"):
            return
        versions = self._call("GET", versions_url, token=token_a)
        details = self._call("GET", next(v["url"] for v in versions if v["version"] == "2.2.1"), token=token_a)
        endpoints = {f"{e['identifier']} {e['role']}": e["url"] for e in details["endpoints"]}
        self.store.setting("endpoints", json.dumps(endpoints))
        role = {"role": "EMSP", "country_code": self.party[0], "party_id": self.party[1],
                "business_details": {"name": "Script"}}  # fmt: skip
        mine = {"token": self.token_in, "url": f"{self.url}/versions", "roles": [role]}
        credentials = endpoints.get("credentials RECEIVER") or endpoints["credentials SENDER"]
        given = self._call("POST", credentials, mine, token=token_a)
        self.store.setting("hub", json.dumps([given["roles"][0]["country_code"], given["roles"][0]["party_id"]]))
        self.store.setting("token_out", given["token"])

    def offer(self, token: Json) -> None:
        """Broadcast one Token."""
        owner = f"{self.party[0]}/{self.party[1]}"
        path = f"{self._endpoint('tokens RECEIVER')}/{owner}/{token['uid']}?type={token['type']}"
        self._call("PUT", path, token, to=self._hub())
        self.store.put("own tokens", token["uid"], token)

    def catch_up(self) -> None:
        """Pull what changed since it was last alive, less five minutes."""
        since = self.store.setting("alive_at")
        query = urlencode({"date_from": _text(datetime.fromisoformat(since) - timedelta(minutes=5))}) if since else ""
        for module in ("locations", "tariffs"):
            url = f"{self._endpoint(f'{module} SENDER')}?{query}"
            while url:
                answer = self._answer("GET", url, None, self._hub(), self.store.setting("token_out"))
                for document in _data(answer):
                    path = "/".join([document["country_code"], document["party_id"], document["id"]])
                    with self.store.locked():
                        known = self.store.get(module, path)
                        if known is None or known["last_updated"] <= document["last_updated"]:
                            self.store.put(module, path, document)
                following = re.search(r'<([^>]+)>; *rel="?next', answer.headers.get("Link", ""))
                url = following[1] if following else ""

    def alive(self) -> None:
        self.store.setting("alive_at", datetime.now(UTC).isoformat())

    def _endpoint(self, name: str) -> str:
        return str(json.loads(self.store.setting("endpoints"))[name])

    def _hub(self) -> tuple[str, str]:
        country_code, party_id = json.loads(self.store.setting("hub"))
        return country_code, party_id

    def _call(
        self, method: str, url: str, body: Json = None, *, to: tuple[str, str] | None = None, token: str = ""
    ) -> Json:
        return _data(self._answer(method, url, body, to, token or self.store.setting("token_out")))

    def _answer(self, method: str, url: str, body: Json, to: tuple[str, str] | None, token: str) -> requests.Response:
        headers = {
            "Authorization": "Token " + base64.b64encode(token.encode()).decode(),
            "X-Request-ID": str(uuid.uuid4()),
            "X-Correlation-ID": str(uuid.uuid4()),
        }
        if to:
            headers["OCPI-to-country-code"], headers["OCPI-to-party-id"] = to
            headers["OCPI-from-country-code"], headers["OCPI-from-party-id"] = self.party
        return requests.request(method, url, json=body, headers=headers, timeout=30)

    # ------------------------------------------------------------ what it is asked

    def answer(self, method: str, path: str, body: Json) -> tuple[int, int, Json]:
        """Return HTTP status, status_code and data."""
        if path == "/versions":
            return 200, 1000, [{"version": "2.2.1", "url": f"{self.url}/2.2.1"}]
        if path == "/2.2.1":
            listed = [("credentials", "RECEIVER"), *_SERVED]
            endpoints = [{"identifier": i, "role": r, "url": f"{self.url}/{r}/{i}"} for i, r in listed]
            return 200, 1000, {"version": "2.2.1", "endpoints": endpoints}
        module, *rest = [unquote(part) for part in path.strip("/").split("/")[1:]]
        if module == "tokens":
            return self._tokens(rest)
        with self.store.locked():
            if module == "cdrs":
                return self._cdrs(method, rest, body)
            if method == "GET":
                found = self.store.get(module, "/".join(rest[:3]))
                return (200, 1000, found) if found else (404, 2003, None)
            if method == "DELETE":
                self.store.delete(module, "/".join(rest[:3]))
                return 200, 1000, None
            return self._write(module, method, rest, body)

    def _tokens(self, rest: list[str]) -> tuple[int, int, Json]:
        if rest and rest[-1] == "authorize":
            token = self.store.get("own tokens", rest[0])
            if token is None:
                return 404, 2004, None
            return 200, 1000, {"allowed": "ALLOWED", "token": token}
        return 200, 1000, []

    def _cdrs(self, method: str, rest: list[str], body: Json) -> tuple[int, int, Json]:
        if method == "GET":
            found = self.store.get("cdrs", "/".join(rest))
            return (200, 1000, found) if found else (404, 2000, None)
        path = "/".join([body["country_code"], body["party_id"], body["id"]])
        known = self.store.get("cdrs", path)
        if known is not None and known != body:
            return 200, 2001, None
        self.store.put("cdrs", path, body)
        return 200, 1000, path

    def _write(self, module: str, method: str, rest: list[str], body: Json) -> tuple[int, int, Json]:
        path = "/".join(rest[:3])
        if method == "PUT" and len(rest) <= 3:
            self.store.put(module, path, body)
            return 200, 1000, None
        whole = self.store.get(module, path)
        part, holder = whole, None
        for name, key, wanted in zip(("evses", "connectors"), ("uid", "id"), rest[3:], strict=False):
            if part is None:
                break
            holder = part.setdefault(name, [])
            part = next((each for each in holder if each[key] == wanted), None)
            if part is None and method == "PUT":
                holder.append(part := {})
        if whole is None or part is None:
            return 404, 2003, None
        if method == "PUT":
            part.clear()
        part.update(body)
        for above in _above(whole, rest[3:]):
            above["last_updated"] = max(above["last_updated"], body["last_updated"])
        self.store.put(module, path, whole)
        return 200, 1000, None


def _above(whole: Json, below: list[str]) -> list[Json]:
    """Return the objects that a part lies in: their last_updated moves with it."""
    if not below:
        return []
    if len(below) == 1:
        return [whole]
    return [whole, next(evse for evse in whole["evses"] if evse["uid"] == below[0])]


def _data(answer: requests.Response) -> Json:
    envelope = answer.json()
    if not answer.ok or envelope["status_code"] != 1000:
        raise RuntimeError(f"{answer.request.method} {answer.url}: HTTP {answer.status_code}, {envelope}")
    return envelope.get("data")


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def handler(emsp: Emsp) -> type[BaseHTTPRequestHandler]:
    """Return the HTTP side of it."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            octets = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            shown = base64.b64decode(self.headers.get("Authorization", "").partition(" ")[2]).decode()
            if shown != emsp.token_in:
                self._send(401, {"status_code": 2000, "timestamp": _text(datetime.now(UTC))})
                return
            path = self.path.partition("?")[0]
            status, code, data = emsp.answer(self.command, path, json.loads(octets or b"null"))
            envelope = {"status_code": code, "timestamp": _text(datetime.now(UTC))}
            location = f"{emsp.url}/RECEIVER/cdrs/{data}" if "/cdrs" in path and self.command == "POST" else ""
            self._send(status, envelope if data is None or location else {**envelope, "data": data}, location)

        def _send(self, status: int, envelope: Json, location: str = "") -> None:
            body = json.dumps(envelope).encode()
            self.send_response(status)
            for name in ("X-Request-ID", "X-Correlation-ID"):
                self.send_header(name, self.headers.get(name, ""))
            for end, other in (("to", "from"), ("from", "to")):  # an answer swaps the pair
                for what in ("country-code", "party-id"):
                    if value := self.headers.get(f"OCPI-{other}-{what}"):
                        self.send_header(f"OCPI-{end}-{what}", value)
            if location:
                self.send_header("Location", location)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description="an eMSP of another code base")
    parser.add_argument("--store", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--versions-url", required=True)
    parser.add_argument("--token", required=True, help="token A")
    parser.add_argument("--party", required=True)
    parser.add_argument("--tokens", type=Path, help="a JSON array of Tokens to broadcast at the first start")
    chosen = parser.parse_args()
    country_code, _, party_id = chosen.party.partition("*")
    emsp = Emsp(Store(chosen.store), f"http://127.0.0.1:{chosen.port}", (country_code, party_id))
    server = _Server(("127.0.0.1", chosen.port), handler(emsp))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    pause = threading.Event()
    started = False
    while True:
        try:
            if not started:
                emsp.register(chosen.versions_url, chosen.token)
                if chosen.tokens and not emsp.store.setting("offered"):
                    for token in json.loads(chosen.tokens.read_text()):
                        emsp.offer(token)
                    emsp.store.setting("offered", "yes")
                emsp.catch_up()
                started = True
            emsp.alive()
        except (requests.RequestException, RuntimeError, ValueError) as error:  # the hub is away: once more
            print(error, flush=True)
        pause.wait(1)


if __name__ == "__main__":
    main()
