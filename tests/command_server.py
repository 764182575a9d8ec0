"""Management commands from one warmed-up process: a fork for each, in place of three seconds of imports.

Reads one JSON line per command, `{"environment": {…}, "words": […]}`, and answers with `{"good": …, "text": …}`. That
commands also work as processes of their own, as a user starts them, is the business of tests/unit. With "module" it is
that module's `main` that gets the words; what it prints and logs goes into the file "log". With "lasts" it is one that
does not end by itself; the text is the number that "about" names in later requests, with what to "do" to it.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils.log import configure_logging

from hub.demo import zygote
from hub.processes import die_with_parent

ROOT = Path(__file__).resolve().parent.parent
_SECONDS = 120.0
_one_at_a_time = threading.Lock()


def run(words: Sequence[str], environment: Mapping[str, str]) -> str:
    """Return what a command printed.

    :raises AssertionError: with its own words if it failed.
    """
    return str(_ask({"environment": dict(environment), "words": list(words)}))


def run_module(module: str, words: Sequence[str], environment: Mapping[str, str], *, log: Path) -> None:
    """Have a module's `main` run with the words, its output in a file.

    :raises AssertionError: with its own words if it failed.
    """
    _ask({"environment": dict(environment), "words": list(words), "module": module, "log": str(log)})


class Lasting:
    """A command that does not end by itself, with what one needs of a `subprocess.Popen`.

    It has the environment that is given, and nothing of ours.
    """

    def __init__(self, words: Sequence[str], environment: Mapping[str, str], *, log: Path) -> None:
        asked = {"environment": dict(environment), "words": list(words), "lasts": True, "log": str(log)}
        self.pid = int(_ask(asked))

    def poll(self) -> int | None:
        found = _ask({"about": self.pid, "do": "poll"})
        return None if found is None else int(found)

    def terminate(self) -> None:
        _ask({"about": self.pid, "do": "terminate"})

    def kill(self) -> None:
        _ask({"about": self.pid, "do": "kill"})

    def wait(self, timeout: float = _SECONDS) -> int:
        """Return how it ended.

        :raises subprocess.TimeoutExpired: if it does not.
        """
        end = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(0.05)
        return code


def _ask(asked: Mapping[str, Any]) -> Any:
    request = json.dumps(asked)
    with _one_at_a_time:
        server = _server()
        assert server.stdin
        assert server.stdout
        server.stdin.write(request + "\n")
        server.stdin.flush()
        answer = json.loads(server.stdout.readline() or '{"good": false, "text": "the command server ended"}')
    assert answer["good"], answer["text"]
    return answer["text"]


@lru_cache(maxsize=1)
def _server() -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.command_server"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=die_with_parent(),
    )
    atexit.register(_end, process)
    return process


def _end(process: subprocess.Popen[str]) -> None:
    with process:
        process.kill()


def _serve() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a command prints past its own stdout must not get between the answers
    warm = False
    lasting: dict[int, Any] = {}
    for line in sys.stdin:
        request = json.loads(line)
        if not warm:
            zygote.warm_up({"DJANGO_SETTINGS_MODULE": "hub.settings", **request["environment"]})
            warm = True
        try:
            answer = {"good": True, "text": _do(request, lasting)}
        except RuntimeError as error:
            answer = {"good": False, "text": str(error)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _do(request: dict[str, Any], lasting: dict[int, Any]) -> Any:
    if number := request.get("about"):
        return _about(lasting[number], request["do"])
    words, environment = request["words"], request["environment"]
    name, *arguments = words
    work = zygote.command(name, *arguments)
    if request.get("lasts"):
        work = _alone(work, environment)
    elif module := request.get("module"):
        name, work = module, _main_of(module, words)
    process = zygote.Process(name, environment, work, request.get("log", ""))
    if request.get("lasts"):
        lasting[process.pid] = process
        return process.pid
    try:
        return process.value(_SECONDS)
    finally:
        process.stop()


def _about(process: Any, what: str) -> Any:
    """Do something to a process that lasts; return how it has ended, if it has."""
    child = process._process
    if what != "poll":
        getattr(child, what)()
    return child.exitcode


def _alone(work: Callable[[], Any], environment: Mapping[str, str]) -> Callable[[], Any]:
    """Return the same work without anything of this process's own environment, which its children would inherit."""

    def do() -> Any:
        os.environ.clear()
        zygote.become({"DJANGO_SETTINGS_MODULE": "hub.settings", **environment})
        _log_as_told()
        return work()

    return do


def _main_of(module: str, words: Sequence[str]) -> Callable[[], Any]:
    def work() -> Any:
        _log_as_told()
        return import_module(module).main(*words)

    return work


def _log_as_told() -> None:
    """Log as the instance does that this fork has become."""
    configure_logging(settings.LOGGING_CONFIG, settings.LOGGING)


if __name__ == "__main__":
    _serve()
