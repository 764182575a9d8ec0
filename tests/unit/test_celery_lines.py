"""What workers and the clock write: one JSON object a line, Celery's own lines and tracebacks too."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SECRET = "SGVsbG8gd29ybGQ"
STARTS_AND_FAILS = f"""
import logging.config, threading, warnings
from hub import settings
from hub.celery import app
from hub.forked import Forked
from celery import signals
from celery.apps import worker
from celery.utils.log import get_task_logger

def fail(what="a thread"):
    raise LookupError(f"{{what}} shows Token {SECRET}")

logging.config.dictConfig(settings.LOGGING)
Forked("child", fail, ["a child"], {{}}).wait()
signals.celeryd_init.send(None)
warnings.warn("a user of too much power")
app.log.setup("WARNING")
get_task_logger("some.task").warning("a task shows Token {SECRET}")
thread = threading.Thread(target=fail)
thread.start()
thread.join()
print("said with Token {SECRET}")
worker.safe_say("warm shutdown, Token {SECRET}")
fail("a worker")
"""


@pytest.mark.req("SEC-50")
def test_every_line_of_a_worker_is_json_and_without_secrets() -> None:
    known = {
        "PATH": os.environ["PATH"], "LOG_FORMAT": "json", "SECRET_KEY": "x" * 60, "FIELD_KEYS": "eHh4" * 11 + "=",
        "DATABASE_URL": "postgresql://127.0.0.1:1/none", "REDIS_URL": "redis://127.0.0.1:1/0",
        "DJANGO_SETTINGS_MODULE": "hub.settings",
    }  # fmt: skip

    ended = subprocess.run(
        [sys.executable, "-c", STARTS_AND_FAILS], cwd=ROOT, env=known, capture_output=True, text=True
    )

    assert SECRET not in ended.stderr
    assert (ended.returncode, ended.stdout) == (1, "")
    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    assert [line["message"].splitlines()[0].split(": ")[-1] for line in lines] == [
        "child ends", "a user of too much power", "a task shows Token ****", "LookupError", "said with Token ****",
        "warm shutdown, Token ****", "LookupError",
    ]  # fmt: skip
    tracebacks = [line["traceback"].splitlines()[-1] for line in lines if "traceback" in line]
    assert tracebacks == [f"LookupError: {what} shows Token ****" for what in ("a thread", "a thread", "a worker")]
