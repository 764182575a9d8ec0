"""Processes whose threads compute one at a time stay on one CPU (docs/adr/0036)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from gunicorn.workers.gthread import ThreadWorker
from pytest_django import Settings

from hub import celery, one_cpu, web_threads

_SEVERAL = len(os.sched_getaffinity(0)) > 1 if hasattr(os, "sched_getaffinity") else False
# Threads that were there before, and one that comes later; then what each of them may run on.
_BEGIN = """
import json, os, threading
from hub import web
wait = threading.Event()
threads = [threading.Thread(target=wait.wait, daemon=True) for _ in range(4)]
[each.start() for each in threads[:3]]
web._settle_down()
threads[3].start()
print(json.dumps([sorted(os.sched_getaffinity(int(each))) for each in os.listdir("/proc/self/task")]))
"""


@pytest.mark.parametrize(
    ("home", "mine", "busy", "goal"),
    [
        (0, 0.9, {0: 0.95, 1: 0.6}, None),  # it is nearly alone there
        (0, 0.4, {0: 1.0, 1: 0.1}, 1),
        (0, 0.4, {0: 1.0, 1: 0.5}, None),  # as full there, and a move costs
        (1, 0.4, {0: 0.8, 1: 1.0, 2: 0.2, 3: 0.1}, 3),
        (0, 0.01, {0: 1.0, 1: 0.0}, None),  # it has nothing to do
        (0, 0.9, {0: 1.0}, None),
    ],
)
def test_a_process_goes_where_there_is_clearly_more_room(
    home: int, mine: float, busy: dict[int, float], goal: int | None
) -> None:
    assert one_cpu.better(home, mine, busy) == goal


@pytest.mark.skipif(not _SEVERAL, reason="needs Linux and two CPUs")
@pytest.mark.parametrize(("switch", "together"), [("true", True), ("false", False)])
def test_all_threads_of_a_web_process_are_on_one_cpu(switch: str, together: bool) -> None:
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "hub.settings", "ON_ONE_CPU": switch}
    done = subprocess.run([sys.executable, "-c", _BEGIN], env=env, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])

    assert len(found) >= 5
    if together:
        assert [len(each) for each in found] == [1] * len(found)
        assert len({*map(tuple, found)}) == 1
    else:
        assert {tuple(each) for each in found} == {tuple(sorted(os.sched_getaffinity(0)))}


@pytest.mark.skipif(not _SEVERAL, reason="needs Linux and two CPUs")
def test_a_process_follows_where_it_goes_and_ends_its_watch_where_it_may_not(monkeypatch: pytest.MonkeyPatch) -> None:
    moves: list[int] = []

    def move(home: int) -> bool:
        moves.append(home)
        return len(moves) < 2

    monkeypatch.setattr(one_cpu, "_LOOK_SECONDS", 0)
    monkeypatch.setattr(one_cpu, "_move", move)
    monkeypatch.setattr("random.random", lambda: 0.0)
    monkeypatch.setattr(one_cpu, "better", lambda home, mine, busy: 1 - home)

    one_cpu._follow(0, {0, 1})

    assert moves == [1, 0]


def _gunicorn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ThreadWorker, "init_process", lambda self: None)
    web_threads.Worker.init_process(object.__new__(web_threads.Worker))


def _celery(monkeypatch: pytest.MonkeyPatch) -> None:
    celery._begin()


@pytest.mark.parametrize("begin", [_gunicorn, _celery])
@pytest.mark.parametrize("switch", [True, False])
def test_a_cpos_web_server_and_a_worker_do_so_unless_it_is_switched_off(
    begin: Callable[[Any], None], switch: bool, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.ON_ONE_CPU = switch
    called: list[bool] = []
    monkeypatch.setattr(one_cpu, "stay", lambda: called.append(True))

    begin(monkeypatch)

    assert called == [True] * switch
