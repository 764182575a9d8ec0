"""BENCH-01, 07, 10 and 12: what it costs to pass a request on, everything switched on; the exchange log's share of it;
an authorize; and receivers that are slow or hang.

All sides get the same 8 connections: so many requests to one platform the hub lets wait at once (REL-24).
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import psycopg

from tests.figures import forwards
from tests.figures.receivers import Receivers
from tests.load import registry
from tests.load.client import TIME
from tests.load.harness import Lab, Line, Measured, Process, free_port, http, say, trouble

# Passed on and no more. Of a Session's push the hub also keeps a version for its own list, which is a line by itself.
_PATH = "/ocpi/hub/2.2.1/sender/sessions/SESSION-1/charging_preferences"
_BODY = b'{"profile_type":"FAST","departure_time":"2026-01-01T12:00:00Z","energy_need":12.5}'
_PUSH = "/ocpi/hub/2.2.1/receiver/sessions/NL/TNM/SESSION-1"
_SESSION = f'{{"kwh":12.5,"status":"ACTIVE","last_updated":"{TIME}"}}'.encode()
_AUTHORIZE = "/ocpi/hub/2.2.1/sender/tokens/TOKEN-1/authorize?type=RFID"
_TOKEN = "/ocpi/hub/2.2.1/receiver/tokens/DE/EMS/TOKEN-1"
_NEW = 100_000
_NEW_TOKENS = """
INSERT INTO hub_knownobject (kind, key, owner, counterpart)
SELECT 'token', 'RFID/NEW-' || n, 'DE*EMS', '' FROM generate_series(1, %s) n
"""
_LOCATION = b'{"location_id":"LOC1","evse_uids":["EVSE1"]}'
_AT_ONCE = 8
_IN_FLIGHT, _DELAY, _WARM = 400, 0.2, 2.0
_HEADERS = registry.headers(registry.CPO_TOKEN, registry.CPO, registry.EMSP)

_NGINX = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/nginx-error.log warn;
events {{ worker_connections 1024; }}
http {{
  access_log off; map_hash_bucket_size 512; keepalive_requests 100000000; client_body_buffer_size 64k;
  client_body_temp_path {folder}/nginx-body; proxy_temp_path {folder}/nginx-proxy;
  fastcgi_temp_path {folder}/nginx-a; uwsgi_temp_path {folder}/nginx-b; scgi_temp_path {folder}/nginx-c;
  map $http_authorization $known {{ default 0; "{authorization}" 1; }}
  map "$http_ocpi_to_country_code*$http_ocpi_to_party_id" $receiver {{ default ""; "DE*EMS" emsp; }}
  upstream emsp {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=512;
    location / {{
      if ($known = 0) {{ return 401; }}
      if ($receiver = "") {{ return 404; }}
      proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Authorization "Token b3RoZXI=";
      proxy_pass http://$receiver;
    }}
  }}
}}
"""


def forward(lab: Lab) -> Iterable[Line]:
    """BENCH-01: a Direct request through the hub, beside nginx and beside a bare DRF view."""
    upstream, ports = lab.upstream()
    database = lab.database("forward")
    lab.seed(database, registry.platforms(ports))
    request = lab.requests([http("PUT", _PATH, _HEADERS, _BODY)])
    hub = lab.instance("hub", database)
    drf = lab.bare("drf_forward", env={"UPSTREAM": f"http://127.0.0.1:{ports[0]}"})
    pushes = lab.requests([http("PATCH", _PUSH, _HEADERS, _SESSION)])
    sides = {
        "hub": (hub, request),
        "a push that the hub keeps": (hub, pushes),
        "DRF view with requests": (drf, request),
    }
    sides["bare pass-through in Python"] = (_bare(lab, ports[0]), request)
    nginx = _nginx(lab, ports[0])
    if nginx:
        sides["nginx proxy_pass"] = (nginx, request)
    found = lab.compare(sides, connections=_AT_ONCE)
    lab.stop(*{process.port: process for process, _ in sides.values()}.values(), upstream)
    details = {name: side.details() for name, side in found.items()}
    limit = found.get("nginx proxy_pass", Measured())
    yield Line(
        "BENCH-01 Direct forward, beside nginx", found["hub"].per_cpu_second, "requests per CPU second",
        "nginx proxy_pass with token and route map", limit.per_cpu_second or None, goal=1 / 6, details=details,
        note=trouble(found) or ("" if nginx else "nginx is not installed here: apt-get install nginx"),
    )  # fmt: skip
    yield Line(
        "BENCH-01 Direct forward, beside DRF", found["hub"].per_cpu_second, "requests per CPU second",
        "bare DRF view with requests", found["DRF view with requests"].per_cpu_second, goal=8.0, details=details,
        note=trouble(found),
    )  # fmt: skip
    bare = found["bare pass-through in Python"]
    yield Line(
        "BENCH-01 Direct forward, beside a bare pass-through", found["hub"].per_cpu_second, "requests per CPU second",
        "uvloop and httptools on both sides, no rules, no log", bare.per_cpu_second, note=trouble(found),
    )  # fmt: skip
    yield Line(
        "BENCH-01 A bare pass-through in Python, beside nginx", bare.per_cpu_second, "requests per CPU second",
        "nginx proxy_pass with token and route map", limit.per_cpu_second or None, note=trouble(found),
    )  # fmt: skip
    yield _kept(found)


def _kept(found: Mapping[str, Measured]) -> Line:
    return Line(
        "BENCH-01 … of a push of which the hub keeps a version", found["a push that the hub keeps"].per_cpu_second,
        "requests per CPU second", "one that is only passed on", found["hub"].per_cpu_second, note=trouble(found),
    )  # fmt: skip


def exchange_log(lab: Lab) -> Iterable[Line]:
    """BENCH-07: the same with and without the exchange log, both started anew for each turn."""
    upstream, ports = lab.upstream()
    database = lab.database("exchange_log")
    lab.seed(database, registry.platforms(ports))
    request = lab.requests([http("PUT", _PATH, _HEADERS, _BODY)])
    found = lab.compare_anew(
        {
            "log on": lambda: lab.instance("hub-on", database),
            "log off": lambda: lab.instance("hub-off", database, {"OCPI_EXCHANGES": "0"}),
        },
        request, connections=_AT_ONCE,
    )  # fmt: skip
    lab.stop(upstream)
    cost, without = (found[name].cpu / max(found[name].count, 1) * 1e6 for name in ("log on", "log off"))
    yield Line(
        "BENCH-07 Share of the exchange log in a forward", cost, "µs of server CPU per request",
        "the same with OCPI_EXCHANGES=0", without, goal=1 / 0.85, lower_is_better=True,
        details={name: side.details() for name, side in found.items()},
        note=trouble(found) or f"the log is {100 * (1 - without / cost):.0f} % of a forward's CPU",
    )  # fmt: skip


def authorize(lab: Lab) -> Iterable[Line]:
    """BENCH-10: an authorize through the hub, its eMSP named or found by the hub, beside BENCH-01 on the same hub.

    One token is asked again and again; a line of its own has tokens of which no process has read yet.
    """
    upstream, ports = lab.upstream()
    database = lab.database("authorize")
    lab.seed(database, registry.platforms(ports))
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(_NEW_TOKENS, [_NEW])
    hub = lab.instance("hub", database)
    # The hub has seen whose the token is.
    told = registry.headers(registry.EMSP_TOKEN, registry.EMSP, registry.CPO)
    lab.load(hub, lab.requests([http("PUT", _TOKEN, told, b'{"uid":"TOKEN-1","type":"RFID"}')]), 0.2, connections=1)
    unnamed = {name: value for name, value in _HEADERS.items() if not name.startswith("OCPI-to")}
    requests = {
        "a forward": http("PUT", _PATH, _HEADERS, _BODY),
        "named": http("POST", _AUTHORIZE, _HEADERS, _LOCATION),
        "found by the hub": http("POST", _AUTHORIZE, unnamed, _LOCATION),
    }
    sides = {name: (hub, lab.requests([request])) for name, request in requests.items()}
    found = lab.compare(sides, connections=_AT_ONCE)
    new = lab.requests(
        http("POST", _AUTHORIZE.replace("TOKEN-1", f"NEW-{n}"), unnamed, _LOCATION) for n in range(1, _NEW + 1)
    )
    once = lab.load(hub, new, lab.options.seconds, connections=_AT_ONCE)
    lab.stop(hub, upstream)
    for name in ("named", "found by the hub"):
        yield Line(
            f"BENCH-10 Authorize through the hub, its eMSP {name}", found[name].per_cpu_second,
            "requests per CPU second", "BENCH-01 on the same hub", found["a forward"].per_cpu_second, goal=0.5,
            details={each: side.details() for each, side in found.items()}, note=trouble(found),
        )  # fmt: skip
    errors = f"{once['errors']} failed: {once['first_error'][:300]}" if once["errors"] else ""
    again = "; some were asked twice" if once["count"] > _NEW else ""
    yield Line(
        "BENCH-10 … found by the hub, each token asked for the first time", once["count"] / once["cpu"],
        "requests per CPU second", "BENCH-01 on the same hub", found["a forward"].per_cpu_second,
        details=once, note=errors + again,
    )  # fmt: skip


def slow_receivers(lab: Lab) -> Iterable[Line]:
    """BENCH-12: 100 receivers that need 200 ms, 400 requests in flight; then 10 of 100 that hang."""
    upstream, ports = lab.upstream(100, delay=_DELAY)
    database = lab.database("slow")
    platforms = registry.platforms(ports, receivers=100)
    lab.seed(database, platforms)
    hub = lab.instance("hub", database)
    request = lab.requests([_to(platform["parties"][0]) for platform in platforms[1:]])
    # 400 connections that are all made at once are what the first second is about, not how long receivers take.
    found = lab.load(hub, request, lab.options.seconds, connections=_IN_FLIGHT, warm=_WARM)
    lab.stop(hub, upstream)
    note = f"p99 of the first {_WARM:g} s, 400 connections made at once: {found['early_p99']:.0f} ms"
    if found["errors"]:
        note = f"{found['errors']} failed: {found['first_error'][:300]}; {note}"
    rate = found["in_time"] / lab.options.seconds
    yield Line(
        "BENCH-12 Forwards to receivers that need 200 ms, 400 in flight", rate, "requests per second",
        "the arithmetic ceiling", _IN_FLIGHT / _DELAY, goal=0.9, details=found, note=note,
    )  # fmt: skip
    yield Line(
        "BENCH-12 … their p99", found["p99"], "ms", "what the receivers need", _DELAY * 1000, goal=1.5,
        lower_is_better=True, details=found, note=note,
    )  # fmt: skip
    yield _hanging(lab)


def _hanging(lab: Lab) -> Line:
    receivers = Receivers(lab, 100, seed=1)
    database = lab.database("hanging")
    platforms = [*registry.platforms(receivers.ports, receivers=100)]
    lab.seed(database, platforms)
    hub = lab.instance("hub", database)
    requests = [_to(platform["parties"][0]) for platform in platforms[1:]]
    forwards.load(hub.port, requests, 4.0, 2.0)
    others = list(range(10, 100))
    quiet = forwards.load(hub.port, requests, 4.0, lab.options.seconds).percentile(others, 0.99) * 1000
    receivers.never_answer(range(10))
    judged = forwards.load(hub.port, requests, 4.0, lab.options.seconds)
    lab.stop(hub, receivers.process)
    failed = judged.failed(others)
    return Line(
        "BENCH-12 Healthy receivers' p99 while 10 of 100 hang", judged.percentile(others, 0.99) * 1000, "ms",
        "all 100 healthy, 400 requests per second", quiet, goal=2.0, lower_is_better=True,
        note=f"{failed} requests to healthy receivers failed" if failed else "",
    )  # fmt: skip


def _to(party: list[str]) -> bytes:
    return http("PUT", _PATH, registry.headers(registry.CPO_TOKEN, registry.CPO, (party[0], party[1])), _BODY)


def _bare(lab: Lab, upstream: int) -> Process:
    port = free_port()
    command = [sys.executable, "-m", "tests.load.baselines.pass_through", "--port", str(port)]
    command += ["--upstream", str(upstream), "--authorization", registry.authorization(registry.CPO_TOKEN)]
    return lab.start("bare", [*command, "--receiver", "*".join(registry.EMSP)], port=port)


def _nginx(lab: Lab, upstream: int) -> Process | None:
    program = shutil.which("nginx") or ("/usr/sbin/nginx" if Path("/usr/sbin/nginx").exists() else None)
    if program is None:
        say("nginx is not installed: BENCH-01 goes without its limit")
        return None
    port = free_port()
    configuration = lab.folder / "nginx.conf"
    configuration.write_text(
        _NGINX.format(
            folder=lab.folder, port=port, upstream=upstream, authorization=registry.authorization(registry.CPO_TOKEN)
        )
    )
    return lab.start("nginx", [program, "-p", str(lab.folder), "-c", str(configuration)], port=port)
