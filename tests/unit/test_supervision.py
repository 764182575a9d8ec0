"""The supervisor behind `manage.py run`, with small children of its own."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from hub import forked, supervision

_SUPERVISE = """
import sys
from hub import supervision
folder = sys.argv[1]
script = "import os, sys, time; open(os.path.join(sys.argv[1], f'{sys.argv[2]}-{os.getpid()}'), 'w'); time.sleep(60)"
names = ("web", "worker")
supervision.supervise([supervision.Child(n, [sys.executable, "-c", script, folder, n]) for n in names])
"""


def _eventually(said: Callable[[], bool], seconds: float = 10) -> bool:
    limit = time.monotonic() + seconds
    while not said():
        if time.monotonic() > limit:
            return False
        time.sleep(0.02)
    return True


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _pids(folder: Path, name: str) -> list[int]:
    return [int(file.name.partition("-")[2]) for file in folder.glob(f"{name}-*")]


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", _SUPERVISE, tmp_path], stderr=subprocess.DEVNULL)
    assert _eventually(lambda: bool(_pids(tmp_path, "web") and _pids(tmp_path, "worker")))
    yield process
    process.kill()
    process.wait()


@pytest.mark.req("REL-03")
def test_a_child_that_dies_is_started_again_and_the_other_stays(
    supervisor: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    [web], [worker] = _pids(tmp_path, "web"), _pids(tmp_path, "worker")

    os.kill(worker, signal.SIGKILL)

    assert _eventually(lambda: len(_pids(tmp_path, "worker")) == 2)
    assert _pids(tmp_path, "web") == [web]


@pytest.mark.req("REL-56")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_no_child_outlives_its_supervisor(
    supervisor: subprocess.Popen[bytes], tmp_path: Path, number: signal.Signals
) -> None:
    children = _pids(tmp_path, "web") + _pids(tmp_path, "worker")

    supervisor.send_signal(number)
    supervisor.wait(timeout=15)

    assert _eventually(lambda: not any(_alive(child) for child in children))


@pytest.mark.req("REL-56")
def test_a_child_that_does_not_listen_is_ended_by_force(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    script = "import signal, sys, time; signal.signal(15, signal.SIG_IGN); open(sys.argv[1], 'w'); time.sleep(60)"
    deaf = supervision.Child("deaf", [sys.executable, "-c", script, str(ready)])
    deaf.start()
    assert _eventually(ready.exists)

    supervision.end([deaf], patience=0.3)

    assert deaf.process is not None
    assert deaf.process.returncode == -signal.SIGKILL


@pytest.mark.req("REL-03")
def test_a_child_that_dies_again_and_again_is_started_ever_more_slowly() -> None:
    broken = supervision.Child("broken", [sys.executable, "-c", "raise SystemExit(3)"])
    pauses = []
    for _ in range(3):
        broken.start()
        assert broken.process is not None
        broken.process.wait()
        broken.revive()
        pauses.append(broken.pause)

    assert pauses == [0.5, 1.0, 2.0]
    broken.pause = 20.0
    broken.start()
    assert broken.process is not None
    broken.process.wait()
    broken.revive()
    assert broken.pause == 30.0  # and no longer


@pytest.mark.req("REL-03")
def test_the_children_are_looked_after_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise supervision.Stopped

    monkeypatch.setattr(supervision, "time", SimpleNamespace(monotonic=time.monotonic, sleep=sleep))
    looked: list[None] = []
    child = SimpleNamespace(revive=lambda: looked.append(None))
    monkeypatch.setattr(supervision, "end", lambda _children: None)

    supervision.supervise([child])  # type: ignore[list-item]

    assert len(looked) == 3
    assert max(pauses) <= 0.5


_FORKS = """
import os, sys, time
from hub import supervision

def main():
    with open(os.path.join(sys.argv[1], f"worker-{os.getpid()}"), "w") as file:
        file.write(os.environ["NAMED"] + open("/proc/self/comm").read())
    time.sleep(60)

supervision.supervise([supervision.Child("worker", ["python", "-m", "celery", sys.argv[1]], {"NAMED": "yes "}, main)])
"""


@pytest.mark.req("REL-03", "REL-56")
@pytest.mark.skipif(sys.platform != "linux", reason="children are forked on Linux")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_forked_child_is_there_again_and_does_not_outlive_its_supervisor(
    tmp_path: Path, number: signal.Signals
) -> None:
    process = subprocess.Popen([sys.executable, "-c", _FORKS, tmp_path])
    try:
        assert _eventually(lambda: len(_pids(tmp_path, "worker")) == 1)
        [first] = _pids(tmp_path, "worker")
        assert os.getsid(first) == first
        assert _eventually(lambda: (tmp_path / f"worker-{first}").read_text() == "yes ocpi-worker\n")

        os.kill(first, signal.SIGKILL)
        assert _eventually(lambda: len(_pids(tmp_path, "worker")) == 2)

        process.send_signal(number)
        assert process.wait(timeout=15) == (0 if number == signal.SIGTERM else -signal.SIGKILL)
        assert _eventually(lambda: not any(_alive(child) for child in _pids(tmp_path, "worker")))
    finally:
        process.kill()
        process.wait()


@pytest.mark.req("REL-03")
def test_who_was_killed_is_started_at_once_however_often() -> None:
    steady = supervision.Child("steady", [sys.executable, "-c", "import time; time.sleep(60)"])
    steady.start()
    for _ in range(3):
        assert steady.process is not None
        steady.started_at -= 1.0  # it has worked for a while
        os.kill(steady.process.pid, signal.SIGKILL)
        steady.process.wait()
        steady.revive()
        assert steady.running()
        assert steady.pause == 0.0
    supervision.end([steady])


def test_how_a_forked_child_ends_is_told(tmp_path: Path) -> None:
    def fails() -> None:
        raise RuntimeError("it cannot")

    def leaves() -> None:
        raise SystemExit(7)

    children = [supervision.Child("one", ["", "-m", "one"], {}, main) for main in (fails, leaves, lambda: None)]
    codes = []
    handler = logging.FileHandler(tmp_path / "log")
    forked.log.addHandler(handler)
    try:
        for child in children:
            child.start()
            assert child.process is not None
            codes.append(child.process.wait())
    finally:
        forked.log.removeHandler(handler)
        handler.close()

    assert codes == [1, 7, 0]
    assert "it cannot" in (tmp_path / "log").read_text()
