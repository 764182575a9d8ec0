"""The first requests of a server that has just started arrive side by side."""

from __future__ import annotations

import subprocess
import sys

import pytest

_MANY = """
import sys, threading
import django
django.setup()
import msgspec
from ocpi.v2_2_1 import checking, types

sys.setswitchinterval(1e-6)
for number in range(150):
    names = {"msgspec": msgspec}
    exec('''
class Part(msgspec.Struct):
    x: int | None = None
    y: list[str] | None = None
class Middle(msgspec.Struct):
    part: Part | None = None
    parts: dict[str, Part] | None = None
class Whole(msgspec.Struct):
    middle: Middle | None = None
    several: list[Middle] | None = None
''', names)
    barrier = threading.Barrier(6)
    def first() -> None:
        barrier.wait()
        checking.load(names["Whole"], b'{"middle":{"part":{"x":1}},"several":[{"part":{"y":["a"]}}]}')
    threads = [threading.Thread(target=first) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""


@pytest.mark.req("REL-05")
def test_first_documents_of_a_kind_in_several_threads_end_no_process() -> None:
    ended = subprocess.run([sys.executable, "-c", _MANY], capture_output=True, text=True, timeout=120, check=False)

    assert (ended.returncode, ended.stderr) == (0, "")
