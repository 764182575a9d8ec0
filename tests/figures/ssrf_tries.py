"""Every place that takes a URL in, given every form; every socket that is opened meanwhile is looked at.

`python -m tests.figures.ssrf_tries` reads one JSON line and prints one. All hosts of all forms are approved for the
platform, so that nothing but the address guard stands between a form and its address.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import socket
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.figures.ssrf_forms import HOME, HOME_NETWORK, Resolver, forms

_LINE_BREAKS = re.compile(r"[\r\n]")


class Sockets:
    """Every connection that this process begins, by an audit hook: no library gets past it."""

    def __init__(self, own: set[int]) -> None:
        self._own = own  # ports of our database and broker
        self._home = ipaddress.ip_network(HOME_NETWORK)
        self.denied: list[tuple[str, str]] = []
        self.allowed = 0
        self.during = ""
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event != "socket.connect":
            return
        address = arguments[1]
        if not isinstance(address, tuple) or address[1] in self._own:
            return
        try:
            home = ipaddress.ip_address(str(address[0]).partition("%")[0]) in self._home
        except ValueError:  # a name: whoever connects by name lets somebody else decide
            home = False
        if home:
            self.allowed += 1
        else:
            self.denied.append((self.during, f"{address[0]}:{address[1]}"))


class Home(ThreadingHTTPServer):
    """The partner: good, but for the one place where each path says that a form is to stand."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        self.forms: list[str] = []
        super().__init__((HOME, 0), _Handler)
        self.base = f"http://{HOME}:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing."""


class _Handler(BaseHTTPRequestHandler):
    server: Home
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        _, intake, number, *rest = self.path.partition("?")[0].split("/")
        form = self.server.forms[int(number)] if number.isdigit() else ""
        base = f"{self.server.base}/{intake}/{number}"
        path = "/".join(rest)
        status, headers, data = 200, {}, self._data(intake, path, form, base)
        if intake == "redirect":
            status, headers = 302, {"Location": form}
        elif intake == "link":
            headers = {"Link": f'<{form}>; rel="next"', "X-Total-Count": "1000", "X-Limit": "1"}
        elif intake == "location":
            headers = {"Location": form}
        body = json.dumps(
            {"status_code": 1000, "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "data": data}
        ).encode()
        lines = [f"HTTP/1.1 {status} OK", f"Content-Length: {len(body)}", "Content-Type: application/json"]
        lines += [f"{name}: {_LINE_BREAKS.sub(' ', value)}" for name, value in headers.items()]
        self.wfile.write("\r\n".join(lines).encode("utf-8", "replace") + b"\r\n\r\n" + body)

    def _data(self, intake: str, path: str, form: str, base: str) -> Any:
        if path == "versions":
            return [{"version": "2.2.1", "url": form if intake == "details" else f"{base}/2.2.1"}]
        if path == "2.2.1":
            credentials = form if intake == "credentials" else f"{base}/2.2.1/credentials"
            modules = ("locations", "sessions", "cdrs", "tariffs", "tokens", "commands")
            listed = [
                {
                    "identifier": module,
                    "role": role,
                    "url": form if intake == "endpoints" else f"{base}/2.2.1/{role}/{module}",
                }
                for module in modules
                for role in ("SENDER", "RECEIVER")
            ]
            return {
                "version": "2.2.1",
                "endpoints": [{"identifier": "credentials", "role": "SENDER", "url": credentials}, *listed],
            }
        if path == "2.2.1/credentials":
            role = {"role": "CPO", "country_code": "XE", "party_id": "HOM", "business_details": {"name": "Home"}}
            url = form if intake == "answer" else f"{base}/versions"
            return {"token": os.urandom(16).hex(), "url": url, "roles": [role]}
        return []

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def run(given: dict[str, Any]) -> dict[str, Any]:
    """Try everything and return what was dialled."""
    from tests.figures import ssrf_intakes

    home = Home()
    home.forms = forms(given["canary"], home.server_address[1])
    resolver = Resolver()
    socket.getaddrinfo = resolver
    sockets = Sockets(set(given["own"]))
    tried: Counter[str] = Counter()
    troubles: list[str] = []
    for number_of, (name, intake) in enumerate(ssrf_intakes.of(home)):
        for number, form in enumerate(home.forms):
            if given["short"] and (number + number_of) % 6 and not name.startswith("door"):
                continue
            resolver.forget()
            sockets.during = f"{name}: {form!r}"
            tried[name] += 1
            try:
                intake(form, number)
            except ssrf_intakes.EXPECTED:
                pass
            except Exception as error:
                troubles.append(f"{sockets.during}: {type(error).__name__}: {error}"[:300])
    return {
        "forms": len(home.forms),
        "tried": dict(tried),
        "denied": sockets.denied,
        "allowed": sockets.allowed,
        "troubles": troubles,
    }


if __name__ == "__main__":
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")
    django.setup()
    print(json.dumps(run(json.loads(sys.stdin.readline()))), flush=True)
