"""BENCH-01 and BENCH-07: what it costs to pass a request on, everything switched on, and the exchange log's share."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from tests.load import registry
from tests.load.client import TIME
from tests.load.harness import Lab, Line, Measured, Process, free_port, http, say, trouble

_PATH = "/ocpi/hub/2.2.1/receiver/sessions/NL/TNM/SESSION-1"
_BODY = f'{{"kwh":12.5,"status":"ACTIVE","last_updated":"{TIME}"}}'.encode()
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
    request = lab.requests([http("PATCH", _PATH, _HEADERS, _BODY)])
    hub = lab.instance("hub", database)
    drf = lab.bare("drf_forward", env={"UPSTREAM": f"http://127.0.0.1:{ports[0]}"})
    sides = {"hub": (hub, request), "DRF view with requests": (drf, request)}
    nginx = _nginx(lab, ports[0])
    if nginx:
        sides["nginx proxy_pass"] = (nginx, request)
    found = lab.compare(sides)
    lab.stop(*(process for process, _ in sides.values()), upstream)
    details = {name: side.details() for name, side in found.items()}
    limit = found.get("nginx proxy_pass", Measured())
    yield Line(
        "BENCH-01 Direct forward, beside nginx", found["hub"].per_cpu_second, "requests per CPU second",
        "nginx proxy_pass with token and route map", limit.per_cpu_second or None, goal=1 / 25, details=details,
        note=trouble(found) or ("" if nginx else "nginx is not installed here: apt-get install nginx"),
    )  # fmt: skip
    yield Line(
        "BENCH-01 Direct forward, beside DRF", found["hub"].per_cpu_second, "requests per CPU second",
        "bare DRF view with requests", found["DRF view with requests"].per_cpu_second, goal=2.0, details=details,
        note=trouble(found),
    )  # fmt: skip


def exchange_log(lab: Lab) -> Iterable[Line]:
    """BENCH-07: the same with and without the exchange log."""
    upstream, ports = lab.upstream()
    database = lab.database("exchange_log")
    lab.seed(database, registry.platforms(ports))
    request = lab.requests([http("PATCH", _PATH, _HEADERS, _BODY)])
    kept = lab.instance("hub-on", database)
    off = lab.instance("hub-off", database, {"OCPI_EXCHANGES": "0"})
    found = lab.compare({"log on": (kept, request), "log off": (off, request)})
    lab.stop(kept, off, upstream)
    cost, without = (found[name].cpu / max(found[name].count, 1) * 1e6 for name in ("log on", "log off"))
    yield Line(
        "BENCH-07 Share of the exchange log in a forward", cost, "µs of server CPU per request",
        "the same with OCPI_EXCHANGES=0", without, goal=1 / 0.85, lower_is_better=True,
        details={name: side.details() for name, side in found.items()},
        note=trouble(found) or f"the log is {100 * (1 - without / cost):.0f} % of a forward's CPU",
    )  # fmt: skip


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
