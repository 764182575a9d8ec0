"""Hostile clients in a process of their own: `python -m tests.figures.hijack_hostile PORT …` prints what came of them.

They come from many loopback addresses. Each kind is one way to get at another's identity, or to keep a node busy; the
last kind is a charge point that may connect and then misbehaves.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import json
import os
import random
from collections import Counter
from collections.abc import Awaitable, Callable

_ANSWER_SECONDS = 40.0
_KEY = base64.b64encode(b"sixteen octets!!").decode()
Kind = Callable[["Hostile"], Awaitable[str]]


class Hostile:
    """What one client knows: the port, an identity it wants, an identity of its own, and chance."""

    def __init__(self, port: int, victim: str, own: str, password: str, draw: random.Random) -> None:
        self.port, self.victim, self.own, self.password, self.draw = port, victim, own, password, draw

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        address = f"127.{self.draw.randrange(1, 250)}.{self.draw.randrange(250)}.{self.draw.randrange(1, 250)}"
        return await asyncio.open_connection("127.0.0.1", self.port, local_addr=(address, 0))

    async def handshake(
        self, path: str, *, user: str = "", password: str = "", protocol: str = "ocpp1.6", more: str = ""
    ) -> str:
        """Return the status line's code, or what else happened."""
        reader, writer = await self.open()
        try:
            writer.write(self.request(path, user=user, password=password, protocol=protocol, more=more))
            await writer.drain()
            return await _status(reader)
        finally:
            writer.transport.abort()

    def request(
        self, path: str, *, user: str = "", password: str = "", protocol: str = "ocpp1.6", more: str = ""
    ) -> bytes:
        lines = [f"GET {path} HTTP/1.1", "Host: gateway", "Upgrade: websocket", "Connection: Upgrade"]
        lines += [f"Sec-WebSocket-Key: {_KEY}", "Sec-WebSocket-Version: 13"]
        lines += [f"Sec-WebSocket-Protocol: {protocol}"] if protocol else []
        if user:
            lines.append(f"Authorization: Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}")
        return ("\r\n".join([*lines, *([more] if more else [])]) + "\r\n\r\n").encode()


async def _status(reader: asyncio.StreamReader) -> str:
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            line = await reader.readline()
    except TimeoutError:
        return "held"
    except OSError:
        return "closed"
    words = line.split()
    return words[1].decode(errors="replace") if len(words) > 1 and words[0].startswith(b"HTTP/") else "closed"


async def guessed_password(client: Hostile) -> str:
    return await client.handshake(f"/ocpp/{client.victim}", user=client.victim, password=f"{client.draw.random()}")


async def cloned_without_password(client: Hostile) -> str:
    return await client.handshake(f"/ocpp/{client.victim}")


async def cloned_in_other_case(client: Hostile) -> str:
    return await client.handshake(f"/ocpp/{client.victim.lower()}", user=client.victim.lower(), password="password")


async def cloned_with_own_password(client: Hostile) -> str:
    return await client.handshake(f"/ocpp/{client.victim}", user=client.own, password=client.password + "x")


async def cloned_behind_a_feigned_proxy(client: Hostile) -> str:
    more = f"X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Proto: https\r\nX-SSL-Client-S-DN: CN={client.victim},O=TNM"
    return await client.handshake(f"/ocpp/{client.victim}", more=more)


async def unknown_identity(client: Hostile) -> str:
    return await client.handshake(f"/ocpp/NOBODY-{client.draw.randrange(10**9)}", user="x", password="y")


async def wrong_path(client: Hostile) -> str:
    path = client.draw.choice(
        ["/", "/ocpp/", "/ocpp/%00", "/ocpp/a%20b", f"/ocpp/{'C' * 60}", "/admin/", "/ocpp/%ff%fe"]
    )
    return await client.handshake(path, user=client.victim, password="x")


async def wrong_protocol(client: Hostile) -> str:
    return await client.handshake(f"/ocpp/{client.victim}", user=client.victim, password="x", protocol="soap")


async def huge_headers(client: Hostile) -> str:
    more = client.draw.choice(
        ["X-Long: " + "x" * 60_000, "\r\n".join(f"X-{number}: y" for number in range(2000)), "X-Zero: \0\0"]
    )
    return await client.handshake(f"/ocpp/{client.victim}", more=more)


async def slow_loris(client: Hostile) -> str:
    reader, writer = await client.open()
    answer = asyncio.create_task(_status(reader))
    try:
        for octet in client.request(f"/ocpp/{client.victim}", more="X: " + "y" * 2000):
            if answer.done():
                break
            writer.write(bytes([octet]))
            await asyncio.wait({answer}, timeout=client.draw.uniform(0.2, 1))
        return await answer
    except OSError:
        return "closed"
    finally:
        answer.cancel()
        writer.transport.abort()


async def tls_junk(client: Hostile) -> str:
    reader, writer = await client.open()
    try:
        hello = bytes.fromhex("16030100c8010000c40303") + client.draw.randbytes(190)
        writer.write(
            client.draw.choice([hello, client.draw.randbytes(900), b"\0" * 400, b"\r\n\r\n", b"SSH-2.0-x\r\n"])
        )
        await writer.drain()
        return await _status(reader)
    finally:
        writer.transport.abort()


async def misbehaves_inside(client: Hostile) -> str:
    """Connect as a charge point of its own that may, and speak garbage and for others."""
    reader, writer = await client.open()
    try:
        writer.write(client.request(f"/ocpp/{client.own}", user=client.own, password=client.password))
        code = await _status(reader)
        if code != "101":
            return f"own {code}"
        draw = client.draw
        for _ in range(6):
            text = draw.choice(
                [
                    "[" * 5000, '[3,"1",{}]', '[4,"1","x","",{}]', "{}", "null", '[2,"a","Heartbeat",{}', "[2]",
                    json.dumps([2, "m", "StopTransaction", {"transactionId": draw.randrange(9), "meterStop": 1,
                                                           "timestamp": "2026-01-01T00:00:00Z"}]),
                    json.dumps([2, "m", "Nonsense", {"a": "b" * 900}]),
                ]
            )  # fmt: skip
            writer.write(_frame(text.encode(), draw, draw.choice([0x81, 0x81, 0x81, 0x82, 0xC1, 0x83, 0x01])))
        await writer.drain()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                while await reader.read(65_536):
                    pass
        return "own 101"
    finally:
        writer.transport.abort()


def _frame(payload: bytes, draw: random.Random, first: int) -> bytes:
    mask = draw.randbytes(4)
    size = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + len(payload).to_bytes(2, "big")
    return bytes([first]) + size + mask + bytes(octet ^ mask[place % 4] for place, octet in enumerate(payload))


KINDS: tuple[Kind, ...] = (
    guessed_password, cloned_without_password, cloned_in_other_case, cloned_with_own_password,
    cloned_behind_a_feigned_proxy, unknown_identity, wrong_path, wrong_protocol, huge_headers, slow_loris, tls_junk,
    misbehaves_inside,
)  # fmt: skip


async def attack(chosen: argparse.Namespace) -> Counter[str]:
    """Open so many connections, evenly over the time; count what became of each kind."""
    draw = random.Random(chosen.seed)
    found: Counter[str] = Counter()
    limit = asyncio.Semaphore(3000)

    async def one(kind: Kind, client: Hostile) -> None:
        try:
            async with limit:
                found[f"{kind.__name__} {await kind(client)}"] += 1
        except OSError:
            found[f"{kind.__name__} closed"] += 1

    loop = asyncio.get_running_loop()
    began = loop.time()
    tasks = []
    for number in range(chosen.count):
        await asyncio.sleep(max(0.0, began + chosen.seconds * number / chosen.count - loop.time()))
        victim, own = f"WORKING-{draw.randrange(chosen.victims):03}", f"EVIL-{draw.randrange(chosen.own):03}"
        client = Hostile(chosen.port, victim, own, chosen.password, random.Random(draw.random()))
        tasks.append(asyncio.create_task(one(KINDS[number % len(KINDS)], client)))
    await asyncio.gather(*tasks)
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    for name in ("count", "victims", "own", "seed"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--password", default=os.environ.get("HOSTILE_PASSWORD", ""))
    print(json.dumps(asyncio.run(attack(parser.parse_args()))))


if __name__ == "__main__":
    main()
