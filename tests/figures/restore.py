"""FIG-14: the database is lost, a base backup of ten minutes ago comes back, `manage.py recover` does the rest.

An instance that is a CPO and an eMSP, and a partner that is both as well. After the backup the partner's EVSEs change,
Sessions, CDRs, Tariffs and Tokens are made and change, the instance takes all of it, and drivers charge at its own
charge point. Then PostgreSQL and its files are gone. The ten minutes are passed in: what happens after the backup has
the time stamps of the ten minutes before it, and `--since` names their beginning, so that nobody waits.

Equal means equal to the partner. What the instance itself made after the backup is lost with the database: a base
backup alone does not bring that back, archived WAL would.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, LiteralString
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from hub import embedded_programs
from hub.processes import die_with_parent
from tests.figures.figure import Options, Report, say
from tests.figures.place import Guest, Place, place
from tests.figures.restore_partner import CPO, EMSP, Partner, text
from tests.load.harness import PROJECT, free_port
from tests.load.process import Process

AGE = timedelta(minutes=10)
_LIMIT = 300.0  # seconds
_TOKEN = "partner-token-of-the-restore-0123456789"


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything."""

    locations: int
    others: int  # Tariffs, Sessions, CDRs, Tokens, before the backup
    changes: int  # of EVSEs, after it
    charges: int  # at our own charge point, after the backup, and again after the restore


FULL, SHORT = Size(200, 100, 2_000, 40), Size(3, 6, 20, 3)


def run(options: Options) -> Report:
    """Run the figure."""
    report = Report("FIG-14", options)
    size = SHORT if options.short else FULL
    with place(short=options.short) as here, closing(_Restore(here, size, report)) as course:
        course.run()
    return report


class _Restore:
    """The course of the figure."""

    def __init__(self, here: Place, size: Size, report: Report) -> None:
        self.place, self.size, self.report = here, size, report
        self.partner = Partner(size.locations, size.others)
        self.choose = random.Random(report.options.seed)
        database = here.database("restore")
        self.env = {
            "DATABASE_URL": database, "OCPI_SIDES": "cpo,emsp", "OCPI_PARTIES": "NL*TNM:CPO,DE*EMS:EMSP",
            "OCPI_SNAPSHOT_LISTEN": "false", "DJANGO_SETTINGS_MODULE": "hub.settings",
        }  # fmt: skip
        parties = [[*CPO, "CPO"], [*EMSP, "EMSP"]]
        here.seed(database, [{"name": "partner", "url": self.partner.url, "token": _TOKEN, "parties": parties}])
        self.worker = subprocess.Popen(
            [sys.executable, "-m", "tests.figures.restore_work"], cwd=PROJECT, env=here.environment(self.env),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent(signal.SIGKILL),
        )  # fmt: skip
        self.backup: Backup = Copy(here, database) if isinstance(here, Guest) else BaseBackup(here)

    def run(self) -> None:
        size, add = self.size, self.report.add
        self.work("ready")
        self.manage("pull")
        before = self.work("dump")
        self.backup.take()
        taken_at = datetime.now(UTC)
        self.partner.work(self.choose, taken_at - AGE, taken_at, changes=size.changes, others=size.others // 2)
        self.manage("pull", "--since", text(taken_at - 2 * AGE))
        lost, had = self.work("charge", size.charges), self.work("dump")
        add("EVSEs, Tariffs, Sessions, CDRs and Tokens that change after the backup", _differ(before, self.partner),
            least=size.others)  # fmt: skip
        add("that differ from the partner when the database is lost", _differ(had, self.partner, told=5), most=0)
        say("the database is lost")
        began = time.monotonic()
        self.backup.restore()
        back = time.monotonic()
        add("that differ in the backup", _differ(self.work("dump"), self.partner), least=size.others)
        processes = self.start()
        told = self.manage("recover", "--since", text(taken_at - AGE))
        differ = self.wait_until_equal(began)
        add("PostgreSQL is back after", round(back - began, 1), "s")
        add("running again and equal after", round(time.monotonic() - began, 1), "s", most=_LIMIT)
        add("that differ after the pulls", differ, most=0)
        add("lists pulled", told["pulls"].get("partner", 0), least=4)
        add("age of the backup that was passed in", AGE.total_seconds(), "s", least=600)
        self.place.stop(*processes)  # what charges now is applied by this figure's own process, as before
        self.ids(lost, before, had)
        verdict = self.manage("verify_audit")
        add("entries of the audit trail, all as written", verdict["entries"], least=1)

    def ids(self, lost: dict[str, Any], before: dict[str, Any], had: dict[str, Any]) -> None:
        """Hold the ids that were given after the backup, and are lost, against those given now."""
        add, size = self.report.add, self.size
        again, has = self.work("charge", size.charges), self.work("dump")
        gone = {one for ids in lost.values() for one in ids}
        gone |= {key for name, key in had["keys"].items() if name not in before["keys"]}
        given = {one for ids in again.values() for one in ids}
        given |= {key for name, key in has["keys"].items() if name not in before["keys"]}
        expected = 2 * size.charges + size.others // 2  # Sessions, CDRs, and URLs of CDRs that came again
        add("ids that partners had seen and we forgot", len(gone), least=expected)
        add("ids given since", len(given), least=expected)
        add("ids given twice", len(gone & given), most=0)

    def start(self) -> list[Process]:
        """Have the instance run again; in short a command does what its worker would."""
        if self.report.options.short:
            return []
        port = free_port()
        words = [word for part in ("web", "worker", "beat") for word in ("--only", part)]
        command = [sys.executable, "manage.py", "run", "--no-migrate", *words]
        env = {**self.env, "PORT": str(port), "OCPI_BASE_URL": f"http://127.0.0.1:{port}"}
        return [self.place.start("instance", command, env, port=port)]

    def wait_until_equal(self, began: float) -> int:
        """Wait until the instance has what the partner has; return what differs in the end."""
        while True:
            if self.report.options.short:
                self.work("pull_due")
            differ = _differ(self.work("dump"), self.partner)
            if not differ or self.report.options.short or time.monotonic() > began + _LIMIT:
                return differ
            time.sleep(0.5)

    def work(self, *words: Any) -> dict[str, Any]:
        """Have something done in a process of the instance (`restore_work.py`)."""
        assert self.worker.stdin is not None
        assert self.worker.stdout is not None
        self.worker.stdin.write(json.dumps(words) + "\n")
        self.worker.stdin.flush()
        line = self.worker.stdout.readline()
        if not line:
            raise RuntimeError(f"{words} failed")
        found: dict[str, Any] = json.loads(line)
        return found

    def manage(self, *words: str) -> dict[str, Any]:
        return self.work("manage", *words)

    def close(self) -> None:
        """End what was begun."""
        self.worker.communicate()
        self.partner.shutdown()
        self.partner.server_close()


def _differ(dump: dict[str, Any], partner: Partner, *, told: int = 0) -> int:
    """Return how many objects are not what the partner has; print so many of them."""
    wanted = {module: found for module, found in partner.objects.items() if module != "locations"}
    wanted["evses"] = {
        evse["uid"]: evse for location in partner.objects["locations"].values() for evse in location["evses"]
    }
    found = 0
    for module, objects in wanted.items():
        kept = {name: json.loads(document) for name, document in dump["kept"][module].items()}
        for name in objects.keys() | kept.keys():
            if kept.get(name) != objects.get(name):
                found += 1
                if found <= told:
                    say(f"{module} {name}: {str(kept.get(name))[:1500]} and not {str(objects.get(name))[:1500]}")
    return found


class Backup:
    """A backup of a database that is taken while it is in use, and takes its place when it is lost."""

    def take(self) -> None:
        raise NotImplementedError

    def restore(self) -> None:
        raise NotImplementedError


class BaseBackup(Backup):
    """The whole cluster, by pg_basebackup, as PostgreSQL's handbook has it."""

    def __init__(self, here: Place) -> None:
        self._place = here
        self._who = embedded_programs.account()
        home = embedded_programs.home_of(here.folder.resolve(), self._who)
        self._cluster = home / "postgres"
        program = embedded_programs.choose_postgres(self._cluster) / "pg_basebackup"
        self._program = embedded_programs.reachable(program, home, self._who)
        self._backup = home / "backup"

    def take(self) -> None:
        url = urlsplit(self._place.servers.database_url)
        self._backup.mkdir(mode=0o700)
        self._who.own(self._backup, 0o700)
        done = subprocess.run(
            [self._program, "-h", url.hostname or "", "-p", str(url.port), "-U", url.username or "", "-D", self._backup,
             "--checkpoint=fast", "--wal-method=stream", "--no-sync"],
            env={"PGPASSWORD": url.password or "", "PATH": os.environ["PATH"]}, cwd="/", capture_output=True, text=True,
            user=self._who.uid if self._who.changed else None, group=self._who.gid if self._who.changed else None,
            extra_groups=[] if self._who.changed else None, check=False,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"pg_basebackup failed: {done.stderr[-2000:]}")
        say(f"a base backup of {_megabytes(self._backup):.0f} MB is taken")

    def restore(self) -> None:
        """Take the files away, kill the server, put the backup's files there; the keeper starts the server again."""
        fresh, lost = self._cluster.with_name("restored"), self._cluster.with_name("lost")
        subprocess.run(["cp", "-a", self._backup, fresh], check=True)
        self._cluster.rename(lost)
        fresh.rename(self._cluster)
        self._place.crash_database()
        shutil.rmtree(lost)
        self._place.broker.flush()
        self._place.wait_for_database(self._place.servers.database_url)


class Copy(Backup):
    """On the servers of a test run, which are not ours to lose: the database alone, copied as its files."""

    def __init__(self, here: Guest, database: str) -> None:
        self._place, self._name = here, urlsplit(database).path[1:]
        self._backup = f"{self._name}_backup"
        here._names.append(self._backup)

    def take(self) -> None:
        self._copy(self._name, self._backup)

    def restore(self) -> None:
        self._copy(self._backup, self._name)

    def _copy(self, source: str, target: str) -> None:
        address = urlunsplit(urlsplit(self._place.servers.database_url)._replace(path="/postgres"))
        with psycopg.connect(address, autocommit=True) as connection:

            def do(statement: LiteralString, *names: str) -> None:
                connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))

            do("DROP DATABASE IF EXISTS {} WITH (FORCE)", target)
            do("ALTER DATABASE {} ALLOW_CONNECTIONS false", source)
            connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", [source]
            )
            do("CREATE DATABASE {} TEMPLATE {}", target, source)
            do("ALTER DATABASE {} ALLOW_CONNECTIONS true", source)


def _megabytes(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6
