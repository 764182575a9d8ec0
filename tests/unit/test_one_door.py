"""There is one door out, and nothing beside it (SEC-20)."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
PRODUCT = ("hub", "ocpi", "cpo", "emsp")
CLIENTS = (
    "http.client", "urllib.request", "urllib3", "requests", "httpx", "aiohttp", "pycurl", "ftplib", "smtplib", "poplib",
    "imaplib", "telnetlib", "xmlrpc", "websocket", "websockets.client", "websockets.sync", "websockets.asyncio.client",
)  # fmt: skip
# Who dials at all, and why that is no call to a partner.
DIALS = {
    "ocpi/wire.py": "the door itself",
    "ocpi/client_async.py": "the same door for an event loop",
    "ocpi/wire_async.py": "the same door for an event loop",
    "ocpi/dial_async.py": "the same door for an event loop",
    "cpo/simulator/link.py": "charge points that are simulated call our own gateway",
    "cpo/simulator/files.py": "charge points that are simulated fetch and leave files where they are told to",
    "hub/embedded_keeper.py": "a server that was just started is waited for",
    "hub/demo/story.py": "the demo waits for its own ports",
    "cpo/management/commands/simulate_charge_points.py": "charge points that are simulated call our own gateway",
}
_DIALLING = frozenset(("create_connection", "open_connection", "connect", "connect_ex", "sock_connect", "urlopen"))
# PostgreSQL, and signals of Django and Celery.
_NO_SOCKET = re.compile(
    r"psycopg\.(AsyncConnection\.)?connect|claims\.connect|worker_\w+\.connect|(audit_accounts|transaction_limits)\.connect"
    r"|(user_\w+|post_save|post_delete|m2m_changed|connection_created)\.connect"
)


@lru_cache(maxsize=1)
def texts() -> tuple[tuple[str, str], ...]:
    """Return all files of the product."""
    files = [file for app in PRODUCT for file in sorted((PROJECT / app).rglob("*.py"))]
    return tuple((file.relative_to(PROJECT).as_posix(), file.read_text()) for file in files)


@lru_cache(maxsize=1)
def sources() -> tuple[tuple[str, ast.Module], ...]:
    """Return all modules of the product, parsed once for all tests here."""
    return tuple((file, ast.parse(text)) for file, text in texts())


def imported(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def dialled(module: ast.Module) -> Iterator[str]:
    """Yield the calls that open a connection to somewhere, by the name of what is called."""
    for node in ast.walk(module):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in _DIALLING and not _NO_SOCKET.fullmatch(ast.unparse(node.func)):
                yield ast.unparse(node.func)


@pytest.mark.req("SEC-20")
def test_no_other_client_is_imported() -> None:
    found = [
        (file, name)
        for file, module in sources()
        for name in imported(module)
        if any(name == client or name.startswith(client + ".") for client in CLIENTS) and file not in DIALS
    ]

    assert found == []


@pytest.mark.req("SEC-20")
def test_nobody_else_opens_a_connection() -> None:
    found = [(file, name) for file, module in sources() for name in dialled(module) if file not in DIALS]

    assert found == []


@pytest.mark.req("SEC-04")
def test_sealed_tokens_are_opened_for_the_client_for_a_comparison_and_for_a_new_key_only() -> None:
    calls = re.compile(r"secrets\.decrypt\(")
    # Written in the one way that the expression knows: only where the name stands at all, for that takes long.
    named = ((file, text) for file, text in texts() if "decrypt" in text)
    users = {file for file, text in named if calls.search(ast.unparse(ast.parse(text)))}

    assert {file for file in users if file.startswith(("ocpi/", "hub/", "emsp/"))} == {
        "ocpi/targets.py",  # what the client needs to know of a platform
        "ocpi/modules/claims.py",
        "ocpi/modules/sealing.py",
    }


@pytest.mark.req("SEC-20")
def test_an_import_contract_forbids_other_clients() -> None:
    contracts = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    wanted = {"requests", "urllib3", "httpx", "aiohttp"}

    assert [
        contract["name"]
        for contract in contracts
        if contract["type"] == "forbidden"
        and set(PRODUCT) <= set(contract["source_modules"])
        and wanted <= set(contract["forbidden_modules"])
        and not contract.get("ignore_imports")
    ]


@pytest.mark.req("SEC-20")
@pytest.mark.parametrize(
    "text",
    [
        "import http.client",
        "from http import client",
        "from urllib import request as r",
        "from urllib.request import urlopen",
        "def f():\n    import requests",
    ],
)
def test_the_rule_sees_every_way_to_import_one(text: str) -> None:
    names = list(imported(ast.parse(text)))

    assert any(name == client or name.startswith(client + ".") for name in names for client in CLIENTS)


@pytest.mark.req("SEC-20")
@pytest.mark.parametrize(
    ("module", "users"),
    [
        ("ocpi.wire", {"ocpi/attempts.py", "ocpi/client.py", "ocpi/client_async.py", "ocpi/wire_async.py"}),
        ("ocpi.wire_async", {"ocpi/client_async.py", "hub/fast_doors.py", "hub/fast_pass.py", "hub/fast_ways.py"}),
        ("ocpi.dial_async", {"ocpi/wire_async.py"}),
    ],
)
def test_only_the_client_uses_the_wire(module: str, users: set[str]) -> None:
    found = {file for file, tree in sources() if any(f"{each}.".startswith(f"{module}.") for each in imported(tree))}

    assert found
    assert found <= users
