"""FIG-09: every secret of five running instances is searched for in all that they let out.

The world of `together`: a hub, two CPOs with charge points and an eMSP register with each other and charge, logging at
DEBUG. Strangers and clumsy partners show live tokens and passwords where they do not belong: in paths, queries, bodies,
wrong headers. Somebody logs in, well and badly, and looks at every page. Then logs, pages, metrics, everything that
Redis was told (task arguments among it) and every row of every database are searched for each secret, as it is, in
Base64, hexadecimal and URL form. Two columns are left out, and named: `django_session.session_key` and
`otp_totp_totpdevice.key` hold a live cookie and a seed as Django and django-otp keep them.

The short form has one CPO, and its eMSP is the script; what a fork does there, a process of its own does in the long.
"""

from __future__ import annotations

import base64
import http.client
import json
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

import psycopg
import redis
from psycopg import sql

from hub import embedded
from hub.processes import die_with_parent
from tests import command_server
from tests.figures.figure import Options, Report, say
from tests.figures.place import place
from tests.figures.secrets_search import SHORTEST, Search
from tests.figures.together_cars import Cars
from tests.figures.together_world import ROOT, SIDES, Member, World, build, build_small

_IDS = ("x-request-id", "x-correlation-id")
_KINDS = ("logs", "pages", "Redis", "rows", "answers")
_PAGES = "tests.figures.secrets_pages"
_LEFT_OUT = {"django_session": {"session_key"}, "otp_totp_totpdevice": {"key"}}
_TALKATIVE = {"LOG_LEVEL": "DEBUG", "OCPI_RATE_STRANGERS": "0"}


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything, at least."""

    seconds: float  # of charging
    pages: int  # of one instance, at most
    sessions: int
    secrets: int
    asked: int
    looked: int
    exchanges: int
    tasks: int


FULL = Size(40.0, 250, 1, 25, 150, 400, 200, 100)
SHORT = Size(1.0, 15, 0, 10, 50, 10, 5, 5)


def run(options: Options) -> Report:
    """Run the figure."""
    report = Report("FIG-09 secrets", options)
    with _small() if options.short else _large() as world:
        _all(report, world, SHORT if options.short else FULL)
    return report


@contextmanager
def _large() -> Iterator[World]:
    folder = Path(tempfile.mkdtemp(prefix="ocpi-secrets-"))
    try:
        servers = embedded.ensure(folder / "servers", durable=False, remove=True)
        with _watched(servers.redis_url, folder / "redis.told"):
            world = build(folder, servers, _TALKATIVE)
            try:
                yield world
            finally:
                world.close()
    finally:
        embedded.stop(folder / "servers")
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _small() -> Iterator[World]:
    with place(short=True) as found, _watched(found.broker.url, found.folder / "redis.told"):
        stores = {"DATABASE_URL": found.database("secrets"), "REDIS_URL": found.broker.url}
        world = build_small(found.folder, {"cpo1": stores}, _TALKATIVE)
        try:
            yield world
        finally:
            world.close()


def _all(report: Report, world: World, size: Size) -> None:
    known = _secrets(world)
    with Cars(world.points, world.cards, random.Random(report.options.seed)) as cars:
        began = time.monotonic()
        with ThreadPoolExecutor(1) as beside:
            looking = beside.submit(_people, world, size.pages, _visit_forked if report.options.short else _visit)
            answers = _clumsy(world, known)
            given = {what: secret for secrets in looking.result() for what, secret in secrets.items()}
        answers += _clumsy(world, given)
        say(f"{len(answers)} requests have shown a secret in the wrong place")
        while time.monotonic() < began + size.seconds:
            time.sleep(0.5)
        sessions = cars.finished()
    time.sleep(2)  # what is written behind the answers
    search = Search({what: secret for what, secret in {**known, **given}.items() if len(secret) >= SHORTEST})
    for asked, answer in answers:
        search.look("answers", asked, answer)
    counts = _search(world, search)
    for kind, where, name, around in search.hits[:30]:
        say(f"HIT in {kind}, {where}: {name}, after {around!r}")
    report.add("secrets", len(search.secrets), least=size.secrets)
    report.add("planted secrets that the search misses", search.misses(), most=0)
    report.add("sessions charged meanwhile", sessions, least=size.sessions)
    report.add("requests with a secret in the wrong place", len(answers), least=size.asked)
    report.add("pages looked at", counts["pages"], least=size.looked)
    report.add("exchanges kept", counts["exchanges"], least=size.exchanges)
    report.add("tasks seen on their way", counts["tasks"], least=size.tasks)
    for kind in _KINDS:
        report.add(f"searched {kind}", round(search.octets[kind] / 1e6, 4), "MB", least=0.002)
        report.add(f"hits in {kind}", search.of(kind), most=0)


def _instances(world: World) -> dict[str, Member]:
    return {name: member for name, member in world.members.items() if name in SIDES}


def _secrets(world: World) -> dict[str, str]:
    """Return what the figure knows to be secret from the start."""
    known = {f"password of {identity}": password for identity, (_, password) in world.points.items()}
    for name, member in _instances(world).items():
        known["database password"] = urlsplit(member.environment["DATABASE_URL"]).password or ""
        known["Redis password"] = urlsplit(member.environment["REDIS_URL"]).password or ""
        invited = member.manage("invite_platform", "--name", "open", "--party", "XX*OPN:EMSP")
        known[f"token A of {name}"] = invited["token_a"]
        if SIDES[name] == "cpo":
            known[f"API token of {name}"] = member.manage("api_token", "figure")["token"]
    return known


def _people(world: World, most: int, visit: Callable[..., None]) -> list[dict[str, str]]:
    """Have people look at the pages of every instance, of two at a time; return what is secret about that."""

    def look(name: str, member: Member) -> dict[str, str]:
        folder = world.folder / f"pages-{name}"
        folder.mkdir()
        log = world.folder / f"people-{name}.log"
        visit([str(folder), str(most)], member.environment, log)
        told = json.loads((folder / "secrets.json").read_text())
        (folder / "secrets.json").unlink()
        say(f"people have looked at {len(list(folder.iterdir()))} pages of {name}")
        return {f"{what} of {name}": secret for what, secret in told.items()}

    with ThreadPoolExecutor(2) as together:
        return list(together.map(lambda each: look(*each), _instances(world).items()))


def _visit(words: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
    """Visit one instance from a process of its own."""
    with log.open("ab") as output:
        done = subprocess.run(
            [sys.executable, "-m", _PAGES, *words], cwd=ROOT, check=False, env=environment, stdout=output,
            stderr=output, preexec_fn=die_with_parent(),
        )  # fmt: skip
    if done.returncode:
        raise RuntimeError(log.read_text()[-3000:])


def _visit_forked(words: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
    """Visit one instance from a fork that need not load everything first."""
    command_server.run_module(_PAGES, words, environment, log=log)


def _clumsy(world: World, secrets: Mapping[str, str]) -> list[tuple[str, bytes]]:
    """Show every secret where it does not belong, at every instance that knows it; return what is answered to what.

    Credentials tokens, passwords of charge points that we made and tokens of the operation API are recognized wherever
    they stand.
    """
    answers: list[tuple[str, bytes]] = []
    for what, secret in secrets.items():
        name = what.rpartition(" ")[2]
        if what.startswith("password of "):
            name = name.partition("-")[0].lower()
        if name not in _instances(world) or not ("token" in what or what.startswith("password of ")):
            continue
        environment, side = world.members[name].environment, SIDES[name]
        tries = [*_headers(secret), *_ocpi(side, secret)]
        calls = [(int(environment["PORT"]), *each) for each in tries]
        if side == "cpo":
            calls += [(int(environment["OCPP_GATEWAY_PORT"]), *each) for each in _handshakes(secret)]
        with ThreadPoolExecutor(len(calls)) as together:  # a refusal takes its time
            places = [f"{call[1]} of {what}" for call in calls]
            answers += zip(places, together.map(lambda call: _ask(*call), calls), strict=True)
    return answers


Try = tuple[str, str, dict[str, str], bytes]  # method, path, headers, body


def _headers(secret: str) -> list[Try]:
    shown = base64.b64encode(secret.encode()).decode()
    basic = base64.b64encode(f"somebody:{secret}".encode()).decode()
    values = (f"Bearer {secret}", secret, f"Token {secret}", f"Token {shown}", f"Basic {basic}")
    return [
        ("GET", path, {"Authorization": value}, b"")
        for path in ("/ocpi/versions", "/api/ocpp/v1/charge-points")
        for value in values
    ]


def _ocpi(side: str, secret: str) -> list[Try]:
    shown = base64.b64encode(secret.encode()).decode()
    right = {"Authorization": f"Token {shown}"}
    module = f"/ocpi/{side}/2.2.1/" + ("receiver/locations" if side == "hub" else "tokens")
    url = f"http://127.0.0.1:9/{secret}"
    return [
        ("GET", f"/ocpi/versions?token={quote(secret)}", {}, b""),
        ("GET", f"/ocpi/{quote(secret)}/versions", {}, b""),
        ("GET", f"{module}/{quote(secret)}/{quote(secret)}/{shown}", right, b""),
        ("GET", f"{module}/{quote(shown, safe='')}/{shown}/x", right, b""),
        ("GET", "/ocpi/versions", {**right, "X-Request-ID": secret, "X-Correlation-ID": secret}, b""),
        ("PUT", f"{module}/NL/TNM/1", right, json.dumps({"id": secret}).encode()),
        ("POST", f"/ocpi/{side}/2.2.1/credentials", right, json.dumps({"token": secret, "url": url}).encode()),
        ("POST", "/ocpi/2.2.1/credentials", right, json.dumps({"token": secret, "url": url, "roles": []}).encode()),
        ("GET", f"/api/ocpp/v1/charge-points?key={quote(secret)}", {"Authorization": f"Bearer {secret}"}, b""),
    ]


def _handshakes(secret: str) -> list[Try]:
    basic = base64.b64encode(f"nobody:{secret}".encode()).decode()
    upgrade = {
        "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": "ocpp1.6",
    }  # fmt: skip
    return [
        ("GET", "/ocpp/nobody", {**upgrade, "Authorization": f"Basic {basic}"}, b""),
        ("GET", f"/ocpp/nobody?password={quote(secret)}", upgrade, b""),
    ]


def _ask(port: int, method: str, path: str, headers: dict[str, str], body: bytes) -> bytes:
    """Return a whole answer, without what merely repeats the ids that it was given (SEC-49)."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    with closing(connection), suppress(OSError, http.client.HTTPException):
        connection.request(method, path, body, {"Content-Type": "application/json", **headers})
        answer = connection.getresponse()
        head = "".join(
            f"{n}: {v}\n" for n, v in answer.getheaders() if n.lower() not in ("x-request-id", "x-correlation-id")
        )
        return head.encode() + answer.read()
    return b""


def _search(world: World, search: Search) -> dict[str, int]:
    """Search all that was let out."""
    say("searching")
    logs = [*world.folder.glob("*.log"), *(world.folder / "servers").glob("*.log*")]
    for log in logs:
        search.look("logs", log.name, log.read_bytes())
    pages = list(world.folder.glob("pages-*/*.page"))
    for page in pages:
        text = page.read_bytes()
        search.look("pages", f"{page.parent.name} {text.partition(chr(10).encode())[0].decode(errors='replace')}", text)
    told = (world.folder / "redis.told").read_bytes()
    search.look("Redis", "what it was told", told)
    counts = {"pages": len(pages), "exchanges": 0, "tasks": told.count(b"ocpi.tasks.")}
    for name, member in _instances(world).items():
        client = redis.Redis.from_url(member.environment["REDIS_URL"])
        for key in client.scan_iter():
            search.look("Redis", key.decode(errors="replace"), key + (client.dump(key) or b""))
        say(f"searching the rows of {name}")
        counts["exchanges"] += _rows(name, member.environment["DATABASE_URL"], search)
    return counts


def _rows(name: str, database: str, search: Search) -> int:
    """Search every row of a database; return how many exchanges there are."""
    with psycopg.connect(database, autocommit=True) as connection:
        columns: dict[str, list[str]] = {}
        for table, column in connection.execute(_COLUMNS):
            if column not in _LEFT_OUT.get(table, ()):
                columns.setdefault(table, []).append(column)
        for table, kept in columns.items():
            chosen = sql.SQL(", ").join(map(sql.Identifier, kept))
            statement = sql.SQL("COPY (SELECT {} FROM {}) TO STDOUT").format(chosen, sql.Identifier(table))
            with connection.cursor().copy(statement) as copy:
                search.look("rows", f"{name}.{table}", b"".join(bytes(block) for block in copy))
        found = connection.execute("SELECT count(*) FROM ocpi_exchange").fetchone()
    return int(found[0]) if found else 0


_COLUMNS = """
SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
"""


@contextmanager
def _watched(url: str, file: Path) -> Iterator[None]:
    """Write down every command that Redis gets; passwords of connections are not among them."""
    client = redis.Redis.from_url(url, socket_timeout=None)

    def watch() -> None:
        # It ends with the server, or with the figure.
        with (
            suppress(redis.RedisError, OSError),
            file.open("wb", buffering=0) as output,
            client.monitor() as monitor,  # type: ignore[no-untyped-call]
        ):
            listening.set()
            while True:
                output.write(monitor.connection.read_response(disable_decoding=True) + b"\n")

    listening = threading.Event()
    threading.Thread(target=watch, daemon=True).start()
    if not listening.wait(20):
        raise RuntimeError("Redis does not let itself be watched")
    yield
