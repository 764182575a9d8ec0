"""Management commands from one warmed-up process: a fork for each, in place of three seconds of imports.

Reads one JSON line per command, `{"environment": {…}, "words": […]}`, and answers with `{"good": …, "text": …}`. That
commands also work as processes of their own, as a user starts them, is the business of tests/unit.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from hub.processes import die_with_parent

ROOT = Path(__file__).resolve().parent.parent
_SECONDS = 120.0
_one_at_a_time = threading.Lock()


def run(words: Sequence[str], environment: Mapping[str, str]) -> str:
    """Return what a command printed.

    :raises AssertionError: with its own words if it failed.
    """
    request = json.dumps({"environment": dict(environment), "words": list(words)})
    with _one_at_a_time:
        server = _server()
        assert server.stdin
        assert server.stdout
        server.stdin.write(request + "\n")
        server.stdin.flush()
        answer = json.loads(server.stdout.readline() or '{"good": false, "text": "the command server ended"}')
    assert answer["good"], answer["text"]
    return str(answer["text"])


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
    from hub.demo import zygote

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a command prints past its own stdout must not get between the answers
    warm = False
    for line in sys.stdin:
        request = json.loads(line)
        if not warm:
            zygote.warm_up({"DJANGO_SETTINGS_MODULE": "hub.settings", **request["environment"]})
            warm = True
        name, *arguments = request["words"]
        process = zygote.Process(name, request["environment"], zygote.command(name, *arguments))
        try:
            answer = {"good": True, "text": process.value(_SECONDS)}
        except RuntimeError as error:
            answer = {"good": False, "text": str(error)}
        finally:
            process.stop()
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    _serve()
