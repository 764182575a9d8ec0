"""An eMSP that notes when which EVSE's status came: `python -m tests.load.gateway_receiver PORT`; GET /noted tells."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time

import uvloop

_OK = b'{"status_code":1000,"timestamp":"2026-01-01T00:00:00Z"}'
_noted: list[tuple[float, str, str]] = []  # when, last segment of the path, status


def _answer(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def _note(path: str, body: bytes) -> None:
    now = time.time()
    with contextlib.suppress(ValueError):
        found = json.loads(body)
        for evse in found.get("evses", [found]):
            uid = evse.get("uid") or path.rpartition("/")[2]
            if "status" in evse:
                _noted.append((now, uid, evse["status"]))


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            line, *headers = head.split("\r\n")
            sizes = [int(each.partition(":")[2]) for each in headers if each.lower().startswith("content-length:")]
            body = await reader.readexactly(sizes[0]) if sizes else b""
            path = line.split()[1].partition("?")[0]
            if path == "/noted":
                writer.write(_answer(json.dumps(_noted).encode()))
            else:
                _note(path, body)
                writer.write(_answer(_OK))
            await writer.drain()
    writer.close()


async def _run(port: int) -> None:
    async with await asyncio.start_server(_serve, "127.0.0.1", port):
        await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(int(sys.argv[1])))
