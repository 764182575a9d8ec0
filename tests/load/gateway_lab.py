"""Gateway nodes under load, their charge points, and what both cost."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg

from cpo.gateway import passwords
from tests.load.harness import PROJECT, Lab, Process, free_port

PASSWORD = passwords.new_password()
PREFIX = "BENCH-"


def environment(lab: Lab, database: str) -> dict[str, str]:
    """Return what a node is told."""
    return {
        "DATABASE_URL": database, "OCPI_SIDES": "cpo", "OCPI_PARTIES": "NL*TNM:CPO", "OCPP_HEARTBEAT": "60",
        "OCPP_DRAIN_SECONDS": "0.1", "OCPI_BASE_URL": "http://127.0.0.1:9", "REDIS_URL": lab.servers.redis_url,
    }  # fmt: skip


def node(lab: Lab, database: str, more: Mapping[str, str] | None = None, name: str = "gateway") -> Process:
    """Start a node."""
    port = free_port()
    command = [sys.executable, "-m", "cpo.gateway", "--host", "127.0.0.1", "--port", str(port)]
    return lab.start(name, command, {**environment(lab, database), **(more or {})}, port=port)


def stock(lab: Lab) -> Process:
    """Start the `ocpp` package's own loop."""
    port = free_port()
    command = [sys.executable, "-m", "tests.load.baselines.stock_ocpp", "--port", str(port)]
    return lab.start("stock", command, {}, port=port)


def add_points(lab: Lab, database: str, count: int) -> None:
    """Add charge points that belong to no Location."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            """INSERT INTO cpo_chargepoint (identity, country_code, party_id, password_digest, security_profile,
                   protocols, boot_data)
               SELECT %s::text || to_char(number, 'FM00000'), 'NL', 'TNM', %s, 1, '["ocpp1.6"]', '{}'
               FROM generate_series(0, %s - 1) AS number""",
            (PREFIX, passwords.digest(PASSWORD, lab.secrets["SECRET_KEY"]), count),
        )
        connection.execute("ANALYZE cpo_chargepoint")


class Fleet:
    """Charge points in a process of their own."""

    def __init__(self, lab: Lab, port: int, count: int, *, at_once: int = 100, tls: bool = False) -> None:
        command = [sys.executable, "-m", "tests.load.gateway_client", "--port", str(port), "--count", str(count)]
        command += ["--password", PASSWORD, "--prefix", PREFIX, "--at-once", str(at_once), *(["--tls"] if tls else [])]
        self._popen = subprocess.Popen(
            command, cwd=PROJECT, env=lab.environment({}), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.opening = self._line()

    def _line(self) -> dict[str, Any]:
        assert self._popen.stdout is not None
        line = self._popen.stdout.readline()
        if not line:
            raise RuntimeError(f"the charge points have ended with {self._popen.wait()}")
        found: dict[str, Any] = json.loads(line)
        return found

    def begin(self, what: str, **how: Any) -> None:
        assert self._popen.stdin is not None
        self._popen.stdin.write(json.dumps({"do": what, **how}) + "\n")
        self._popen.stdin.flush()

    def end(self) -> dict[str, Any]:
        return self._line()

    def do(self, what: str, **how: Any) -> dict[str, Any]:
        """Have something done and return what came of it."""
        self.begin(what, **how)
        return self.end()

    def close(self) -> None:
        assert self._popen.stdin is not None
        self._popen.stdin.close()
        try:
            self._popen.wait(30)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
        assert self._popen.stdout is not None
        self._popen.stdout.close()


def rss(process: Process) -> float:
    """Return the memory of a process (MiB)."""
    for line in Path(f"/proc/{process.popen.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


__all__ = ["Fleet", "add_points", "environment", "node", "rss", "stock"]
