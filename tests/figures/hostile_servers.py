"""A process with one server for each kind of evil answer, and one that is good.

`python -m tests.figures.hostile_servers` prints its ports as one JSON line. The first segment of a path says where a
server turns evil: `/at-versions/…`, `/at-details/…`, `/at-credentials/…` are good before that step of the handshake;
everything else is evil at once. `/counts` at the good server tells how many requests came, per kind.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import secrets
import socket
import ssl
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.unit.hostile_server import Authority

GOOD = "good"
MODULES = ("locations", "sessions", "cdrs", "tariffs", "tokens", "commands", "chargingprofiles", "hubclientinfo")
_DRIP_SECONDS = 0.02
_GIGABYTE = 1 << 30
_DEPTH = 200_000

Evil = Callable[[asyncio.StreamWriter], Awaitable[None]]


def _ok(data: object) -> bytes:
    return json.dumps(
        {"status_code": 1000, "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "data": data}
    ).encode()


def _whole(body: bytes, *headers: str, status: str = "200 OK", kind: str = "application/json") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def _drip(writer: asyncio.StreamWriter, octets: bytes) -> None:
    for octet in octets:
        writer.write(bytes([octet]))
        await writer.drain()
        await asyncio.sleep(_DRIP_SECONDS)


async def dripping_header(writer: asyncio.StreamWriter) -> None:
    await _drip(writer, b"HTTP/1.1 200 OK\r\n" + b"X-Drip: drop\r\n" * 100_000)


async def dripping_body(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n")
    await _drip(writer, b" " * 900_000)


async def endless_100(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(_DRIP_SECONDS)


async def endless_chunks(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    some = b"2\r\n[ \r\n" * 500
    while True:
        writer.write(some)
        await writer.drain()


async def one_gigabyte(writer: asyncio.StreamWriter) -> None:
    """Send it without saying so before: a Content-Length would be refused at once."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
    some = b" " * 65536
    for _ in range(_GIGABYTE // len(some)):
        writer.write(some)
        await writer.drain()


_BOMB = gzip.compress(bytes(100 << 20))


async def gzip_bomb(writer: asyncio.StreamWriter) -> None:
    writer.write(_whole(_BOMB, "Content-Encoding: gzip"))


async def html(writer: asyncio.StreamWriter) -> None:
    writer.write(_whole(b"<html><body><h1>It works!</h1></body></html>" * 50, kind="text/html"))


async def cut_json(writer: asyncio.StreamWriter) -> None:
    writer.write(_whole(_ok([{"id": "LOC1"}] * 20)[:-30]))


async def wrong_envelope(writer: asyncio.StreamWriter) -> None:
    writer.write(_whole(b'{"result":"ok","status_code":"fine","data":{"timestamp":[[]]},"timestamp":7}'))


async def deep_json(writer: asyncio.StreamWriter) -> None:
    writer.write(_whole(b'{"status_code":1000,"data":' + b"[" * _DEPTH + b"]" * _DEPTH + b"}"))


async def reset(writer: asyncio.StreamWriter) -> None:
    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    writer.transport.abort()


async def silence(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3600)


async def good(writer: asyncio.StreamWriter) -> None:
    writer.write(_whole(_ok([]), "X-Total-Count: 0", "X-Limit: 100"))


async def tls_wrong_name(writer: asyncio.StreamWriter) -> None:
    """Is behind a certificate for another name, so that nobody should ever get here."""
    writer.write(_whole(_ok([])))


class Servers:
    """All of them, in one event loop."""

    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        self.counts: Counter[str] = Counter()
        self.ports: dict[str, int] = {}
        self._redirects = 0

    async def start(self) -> None:
        canary = await self._listen("canary", good)
        self.ports["canary"] = canary

        async def redirect(writer: asyncio.StreamWriter) -> None:
            self._redirects += 1
            host = ("127.0.0.1", "localhost", "[::1]", "0x7f000001", "2130706433")[self._redirects % 5]
            writer.write(_whole(b"", f"Location: http://{host}:{canary}/secret", status="307 Temporary Redirect"))

        kinds: dict[str, Evil] = {
            "dripping header": dripping_header, "dripping body": dripping_body, "endless 100": endless_100,
            "endless chunks": endless_chunks, "1 GB": one_gigabyte, "gzip bomb": gzip_bomb, "HTML": html,
            "cut JSON": cut_json, "wrong envelope": wrong_envelope, "deep JSON": deep_json,
            "redirect to loopback": redirect, "reset": reset, "TLS name wrong": tls_wrong_name, "silence": silence,
            GOOD: good,
        }  # fmt: skip
        for kind, evil in kinds.items():
            self.ports[kind] = await self._listen(kind, evil, tls=kind.startswith("TLS"))

    async def _listen(self, kind: str, evil: Evil, *, tls: bool = False) -> int:
        context: ssl.SSLContext | None = self.authority.server_context("elsewhere.example") if tls else None

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                while await self._answer(kind, evil, reader, writer):
                    pass
            with contextlib.suppress(OSError, RuntimeError):
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context, backlog=512)
        port: int = server.sockets[0].getsockname()[1]
        return port

    async def _answer(self, kind: str, evil: Evil, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        line = head.split(b"\r\n", 1)[0].decode("latin-1")
        length = next(
            (int(each.split(b":")[1]) for each in head.lower().split(b"\r\n") if each.startswith(b"content-length:")), 0
        )
        await reader.readexactly(length)
        method, path = line.split(" ")[:2]
        if path == "/counts":
            writer.write(_whole(json.dumps(self.counts).encode()))
            await writer.drain()
            return True
        self.counts[kind] += 1
        before = self._before(kind, method, path)
        if before is None:
            await evil(writer)
        else:
            writer.write(_whole(before))
        await writer.drain()
        return kind in (GOOD, "canary") or before is not None

    def _before(self, kind: str, method: str, path: str) -> bytes | None:
        """Return what is answered before the step at which it turns evil, or nothing if this is the step."""
        turns, _, rest = path.partition("?")[0].strip("/").partition("/")
        step = {"versions": "at-versions", "2.2.1": "at-details", "2.2.1/credentials": "at-credentials"}.get(rest)
        if step is None or (turns == step and kind != GOOD):
            return None
        base = f"{'https' if kind.startswith('TLS') else 'http'}://127.0.0.1:{self.ports[kind]}/{turns}"
        if step == "at-versions":
            return _ok([{"version": "2.2.1", "url": f"{base}/2.2.1"}])
        if step == "at-details":
            listed = [{"identifier": "credentials", "role": "SENDER", "url": f"{base}/2.2.1/credentials"}]
            listed += [
                {"identifier": module, "role": role, "url": f"{base}/2.2.1/{role.lower()}/{module}"}
                for module in MODULES
                for role in ("SENDER", "RECEIVER")
            ]
            return _ok({"version": "2.2.1", "endpoints": listed})
        role = {"role": "CPO", "country_code": "XX", "party_id": secrets.token_hex(2)[:3].upper()}
        roles = [{**role, "business_details": {"name": "Evil"}}]
        return _ok({"token": secrets.token_urlsafe(24), "url": f"{base}/versions", "roles": roles})


async def _main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        authority = Authority(Path(folder))
        servers = Servers(authority)
        await servers.start()
        print(json.dumps({"ports": servers.ports, "authority": authority.pem}), flush=True)
        await asyncio.to_thread(sys.stdin.read)  # until whoever started us is gone


if __name__ == "__main__":
    asyncio.run(_main())
