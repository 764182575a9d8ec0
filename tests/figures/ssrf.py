"""FIG-08: every URL we take in, in every spelling of an address we must not call; no socket goes there.

All hosts are approved for the platform, so that only the address guard is in the way, and a canary listens on all of
loopback. One network is allowed, 127.66.0.0/24, where the partner of the figure lives.
"""

from __future__ import annotations

import ipaddress
import json
import socket
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from tests.figures.figure import Options, Report, say
from tests.figures.place import place
from tests.figures.ssrf_forms import HOME_NETWORK

FORMS, INTAKES = 60, 25


def run(options: Options) -> Report:
    """Run the figure."""
    report = Report("FIG-08", options)
    with place(short=options.short) as here, canary() as (port, reached):
        database = here.database("ssrf")
        env = {
            "DATABASE_URL": database,
            "OCPI_SIDES": "cpo,emsp",
            "OCPI_ALLOWED_NETWORKS": HOME_NETWORK,
            "OCPI_CONNECT_TIMEOUT": "1",
            "OCPI_SNAPSHOT_LISTEN": "false",
            "OCPI_EXCHANGES": "false",
            "OCPI_WAKE": "false",
            "OCPI_BASE_URL": "http://127.66.0.1:8000",
            "LOG_LEVEL": "ERROR",
            "DJANGO_SETTINGS_MODULE": "hub.settings",
        }
        own = [urlsplit(url).port for url in (database, here.environment({})["REDIS_URL"])]
        given = {"canary": port, "own": own, "short": options.short}
        command = [sys.executable, "-m", "tests.figures.ssrf_tries"]
        found = json.loads(here.run(command, env, given=json.dumps(given) + "\n"))
        tried: Counter[str] = Counter(found["tried"])
        for name, count in tried.items():
            say(f"{name}: {count} forms")
        for text in found["troubles"][:20]:
            say(text)
        report.add("forms", found["forms"], least=FORMS)
        report.add("intakes", len(tried), least=INTAKES)
        report.add("URLs taken in", tried.total(), least=FORMS * 5)
        for during, address in found["denied"][:20]:
            say(f"dialled {address} for {during}")
        report.add("connections begun to a denied address", len(found["denied"]), most=0)
        report.add("connections that reached the canary", len(reached), most=0)
        report.add("connections to the partner, which is allowed", found["allowed"], least=5)
        report.add("what nobody handled", len(found["troubles"]), most=0)
    return report


@contextmanager
def canary() -> Iterator[tuple[int, list[str]]]:
    """Listen on all of loopback, IPv4 and IPv6; note who comes."""
    reached: list[str] = []
    home = set(ipaddress.IPv4Network(HOME_NETWORK))  # a name may lead there: that is allowed
    listener = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64)

    def accept() -> None:
        while True:
            try:
                sock, address = listener.accept()
            except OSError:
                return
            if ipaddress.IPv6Address(sock.getsockname()[0]).ipv4_mapped not in home:
                reached.append(str(address))
            sock.close()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1], reached
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
