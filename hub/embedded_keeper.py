"""The keeper: a process that owns the embedded PostgreSQL and Valkey for as long as somebody uses them.

Run with nothing but the standard library, so that it starts in a moment and stays small. It reports one
JSON line when both servers answer, restarts one that crashes, and stops both when the last process that holds a
shared lock on `users.lock` is gone, however that one ended: the kernel releases the lock of a killed process, too.
The servers in turn get a signal from the kernel if the keeper itself is killed.
"""

import argparse
import contextlib
import fcntl
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from hub.embedded_programs import Account, CannotStart, account, choose_postgres, home_of, reachable, valkey_program
from hub.processes import die_with_parent

_START_LIMIT = 60.0  # seconds; a crash recovery may take that long
_POSTGRES_STOPS = (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL)  # fast, at once, by force
_VALKEY_STOPS = (signal.SIGTERM, signal.SIGKILL)


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody uses now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@dataclass(slots=True)
class Server:
    """One server: how to start it, how to see that it answers, how to stop it."""

    name: str
    command: list[str]
    folder: Path
    log: Path
    stops: tuple[signal.Signals, ...]
    answers: Callable[[], bool]
    who: Account
    settings: str = ""  # given on standard input: a command line is visible to everybody
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process in a session of its own."""
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(  # noqa: S603 our own command
                self.command,
                cwd=self.folder,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=die_with_parent(self.stops[-2]),
                env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8", "TZ": "UTC"},
                user=self.who.uid if self.who.changed else None,
                group=self.who.gid if self.who.changed else None,
                extra_groups=[] if self.who.changed else None,
            )
        assert self.process.stdin is not None  # noqa: S101 for the type checker
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(self.settings.encode())
            self.process.stdin.close()

    def gone(self) -> bool:
        """Say whether the process has ended."""
        return self.process is None or self.process.poll() is not None

    def wait(self) -> None:
        """Wait until it answers.

        :raises CannotStart: with the last line of its log.
        """
        limit = time.monotonic() + _START_LIMIT
        while not self.answers():
            if self.gone() or time.monotonic() > limit:
                said = self.log.read_text(errors="replace").strip().splitlines()[-1:] or ["nothing"]
                raise CannotStart(f"{self.name} did not start; it said: {said[0]}")
            time.sleep(0.01)

    def stop(self) -> None:
        """End it, gently first."""
        for number in self.stops:
            if self.process is None or self.gone():
                return
            self.process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=8)


def make_cluster(cluster: Path, programs: Path, password: str, who: Account) -> None:
    """Run initdb, into a folder that gets its name only when it is complete.

    :raises CannotStart: with initdb's own words.
    """
    fresh = cluster.with_name(cluster.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    who.own(fresh, 0o700)
    with tempfile.NamedTemporaryFile("w", dir=cluster.parent) as file:
        file.write(password + "\n")
        file.flush()
        who.own(Path(file.name), 0o600)
        options = ["-U", "ocpi", "-E", "UTF8", "--locale=C.UTF-8", "-A", "scram-sha-256", f"--pwfile={file.name}"]
        made = subprocess.run(  # noqa: S603 our own command
            [programs / "initdb", "-D", fresh, "--no-sync", "--no-instructions", *options],
            cwd=fresh,
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8", "TZ": "UTC"},
            user=who.uid if who.changed else None,
            group=who.gid if who.changed else None,
            extra_groups=[] if who.changed else None,
        )
    if made.returncode:
        raise CannotStart(f"initdb failed: {(made.stderr or made.stdout).strip().splitlines()[-1:]}")
    fresh.rename(cluster)


def postgres(home: Path, who: Account, password: str, port: int, options: argparse.Namespace) -> Server:
    """Return the PostgreSQL server of a home, its cluster made if there is none."""
    cluster = home / "postgres"
    programs = reachable(choose_postgres(cluster) / "postgres", home, who).parent
    if not cluster.exists():
        make_cluster(cluster, programs, password, who)
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": port,
        "unix_socket_directories": "",
        "max_connections": options.connections,
        "shared_buffers": "128MB",
        "max_parallel_workers_per_gather": 0,
        "jit": "off",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_min_messages": "warning",
        "log_min_error_statement": "panic",  # statements may carry what must not be logged
    }
    if sys.platform == "linux":
        settings["recovery_init_sync_method"] = "syncfs"  # after a crash: one call, not one for each file
    if not options.durable:
        settings |= {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
    command = [str(programs / "postgres"), "-D", str(cluster)]
    command += [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    status = cluster / "postmaster.pid"

    def answers() -> bool:
        try:
            lines = status.read_text().splitlines()
        except OSError:
            return False
        return len(lines) > 7 and lines[3] == str(port) and lines[7].strip() == "ready"

    stops = _POSTGRES_STOPS if options.durable else _POSTGRES_STOPS[1:]
    return Server("PostgreSQL", command, cluster, options.data / "postgresql.log", stops, answers, who)


def valkey(home: Path, who: Account, password: str, port: int, options: argparse.Namespace) -> Server:
    """Return the Valkey server of a home; it keeps nothing on disk, because rows are the truth."""
    folder = home / "valkey"
    folder.mkdir(exist_ok=True)
    who.own(folder, 0o700)
    settings = f'bind 127.0.0.1\nport {port}\nrequirepass {password}\nsave ""\nappendonly no\ndir "{folder}"\n'

    def answers() -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"-NOAUTH")
        return False

    command = [str(reachable(valkey_program(), home, who)), "-"]
    return Server("Valkey", command, folder, options.data / "valkey.log", _VALKEY_STOPS, answers, who, settings)


def _password(data: Path) -> str:
    """Return the password of this data folder, made once and readable for its owner only."""
    file = data / "password"
    if not file.exists():
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as output:
            output.write(secrets.token_urlsafe(24))
    return file.read_text().strip()


def start(data: Path, options: argparse.Namespace) -> list[Server]:
    """Start both servers and write `servers.json`; on failure nothing keeps running."""
    who = account()
    home = home_of(data, who)
    if who.changed:
        home.chmod(0o711)
    password = _password(data)
    ports = free_port(), free_port()
    servers = [postgres(home, who, password, ports[0], options), valkey(home, who, password, ports[1], options)]
    try:
        for server in servers:
            if server.log.exists():  # the end of the last run may matter
                server.log.replace(server.log.with_suffix(".log.1"))
            server.start()
        for server in servers:
            server.wait()
    except BaseException:
        stop(servers)
        raise
    addresses = {
        "database_url": f"postgresql://ocpi:{password}@127.0.0.1:{ports[0]}/ocpi",
        "redis_url": f"redis://:{password}@127.0.0.1:{ports[1]}/0",
    }
    fresh = data / "servers.json.new"
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as output:
        json.dump(addresses, output)
    fresh.rename(data / "servers.json")
    return servers


def stop(servers: list[Server]) -> None:
    """Stop all, and remember which were there."""
    for server in servers:
        server.stop()


def keep(data: Path, servers: list[Server], *, until_unused: bool) -> None:
    """Wait until the last user is gone; start a server again that crashed."""
    with (data / "users.lock").open("a") as users:
        while True:
            time.sleep(0.05)
            if until_unused:
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    # Held until the servers are down: who comes now waits, and starts new ones.
                    (data / "servers.json").unlink(missing_ok=True)
                    stop(servers)
                    return
            for server in servers:
                if server.gone():
                    # What a killed PostgreSQL leaves behind needs a moment to go; too short a one costs a round.
                    time.sleep(0.05)
                    server.start()


def _ended(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--durable", action="store_true")
    parser.add_argument("--forever", action="store_true", help="also without users")
    parser.add_argument("--remove", action="store_true", help="remove the data folder at the end")
    parser.add_argument("--connections", type=int, default=300)
    options = parser.parse_args()
    data: Path = options.data
    servers: list[Server] = []
    signal.signal(signal.SIGTERM, _ended)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with (data / "keeper.lock").open("a") as keeper:
        fcntl.flock(keeper, fcntl.LOCK_EX)
        try:
            servers = start(data, options)
            _report({"ready": True})
            keep(data, servers, until_unused=not options.forever)
        except (CannotStart, OSError) as failure:
            _report({"error": str(failure)})
            return 1
        finally:
            (data / "servers.json").unlink(missing_ok=True)
            stop(servers)
            if options.remove:
                _remove(data)
    return 0


def _remove(data: Path) -> None:
    home = home_of(data, account())
    shutil.rmtree(data, ignore_errors=True)
    if home != data:
        shutil.rmtree(home, ignore_errors=True)


def _report(line: dict[str, object]) -> None:
    """Tell who started us, and let go of the pipe."""
    with contextlib.suppress(BrokenPipeError, ValueError, OSError):
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


if __name__ == "__main__":
    sys.exit(main())
