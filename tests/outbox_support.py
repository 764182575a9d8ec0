"""Platforms that only record what they are sent, and objects to send them: for tests of the outbox."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from django.db import connection, transaction

from hub.models import SharedObject
from ocpi import health, outbox, secrets, snapshot, targets
from ocpi.headers import Address
from ocpi.models import Delivery, Endpoint, Platform

SOURCE = "hub.SharedObject"
MODULES = ("locations", "tariffs", "sessions", "cdrs", "tokens", "commands")


@dataclass(frozen=True)
class Got:
    """A request as the platform got it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Says:
    """What the platform answers."""

    http_status: int = 200
    status_code: int | None = 1000
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    after: float = 0.0
    hangs_up: bool = False

    def content(self) -> bytes:
        if self.body is not None:
            return self.body
        return json.dumps({"status_code": self.status_code, "timestamp": "2026-01-01T00:00:00Z"}).encode()


OK = Says()


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_args: Any) -> None:
        """Somebody hung up on us: tests do that."""


class Recorder:
    """A platform's HTTP server: records, and answers what it was told to, then OK."""

    def __init__(self) -> None:
        self.got: list[Got] = []
        self.answers: list[Says] = []
        self.always: Callable[[Got], Says | None] = lambda _got: None
        self._guard = threading.Lock()
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                says = recorder.take(Got(self.command, self.path, headers, body))
                time.sleep(says.after)
                if says.hangs_up:
                    self.close_connection = True
                    return
                content = says.content()
                self.send_response(says.http_status)
                for name, value in says.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _any

            def log_message(self, *_args: Any) -> None:
                pass

        self.server = _QuietServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def take(self, got: Got) -> Says:
        with self._guard:
            self.got.append(got)
            return self.always(got) or (self.answers.pop(0) if self.answers else OK)

    @property
    def lines(self) -> list[str]:
        """What came, as "PUT /locations/NL/TNM/LOC1"."""
        return [f"{got.method} {got.path}" for got in self.got]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@contextmanager
def recorder() -> Iterator[Recorder]:
    found = Recorder()
    try:
        yield found
    finally:
        found.close()


def add_platform(name: str, url: str, **columns: Any) -> Platform:
    """A registered platform whose receiver endpoints are below a URL; known to answer well."""
    columns = {"state": "REGISTERED", "connection": "CONNECTED", "average_ms": 5.0, **columns}
    platform = Platform.objects.create(
        name=name, version="2.2.1", versions_url=f"{url}/versions", hosts=["127.0.0.1"], **columns
    )
    platform.token_out = secrets.encrypt("token-out-0123456789", context=targets.token_context(platform.pk))
    platform.save(update_fields=["token_out"])
    Endpoint.objects.bulk_create(
        Endpoint(platform=platform, identifier=module, role="RECEIVER", url=f"{url}/{module}") for module in MODULES
    )
    snapshot.changed()
    health.forget_written()
    return platform


def add_object(path: str = "LOC1", *, module: str = "locations", parent: SharedObject | None = None,
               **members: Any) -> SharedObject:  # fmt: skip
    document = {"id": path, "status": "AVAILABLE", "last_updated": "2026-01-01T00:00:00Z", **members}
    if parent is None and module == "locations":
        document["evses"] = []
    return SharedObject.objects.create(
        platform=Platform.objects.order_by("pk")[0], module=module, country_code="NL", party_id="TNM", path=path,
        container=parent, last_updated=datetime(2026, 1, 1, tzinfo=UTC), document=json.dumps(document),
    )  # fmt: skip


def change(row: SharedObject, **members: Any) -> None:
    """Change members of a stored document, as an operation would."""
    document = {**json.loads(SharedObject.objects.get(pk=row.pk).document), **members}
    SharedObject.objects.filter(pk=row.pk).update(document=json.dumps(document))


def mark(row: SharedObject, *platforms: Platform, order_key: str | None = None, **arguments: Any) -> None:
    """Mark an object for platforms, in a transaction of its own."""
    with transaction.atomic():
        outbox.mark(
            [outbox.Recipient(found.pk, Address("DE", "EMS"), Address("NL", "TNM")) for found in platforms],
            module=row.module, source=SOURCE, source_id=row.pk,
            path="" if arguments.get("kind") == "CDR" else f"NL/TNM/{row.path}",
            order_key=order_key or row.path.partition("/")[0], **arguments,
        )  # fmt: skip


def later(seconds: float, *, platform: Platform | None = None) -> None:
    """Let time pass for deliveries and back-offs: the clock is the database's, so the times move instead."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE ocpi_delivery SET due_at = due_at - passed, created_at = created_at - passed, "
            "changed_at = changed_at - passed, deadline_at = deadline_at - passed "
            "FROM make_interval(secs => %(by)s) passed WHERE %(id)s::bigint IS NULL OR platform_id = %(id)s",
            {"by": seconds, "id": platform.pk if platform else None},
        )
        cursor.execute("UPDATE ocpi_platform SET backoff_until = backoff_until - make_interval(secs => %s)", [seconds])


def pending() -> list[Delivery]:
    return list(Delivery.objects.order_by("pk"))


def eventually(condition: Callable[[], Any], *, seconds: float = 60.0) -> Any:
    """Wait until something holds, and return it."""
    until = time.monotonic() + seconds
    while True:
        if found := condition():
            return found
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.02)
