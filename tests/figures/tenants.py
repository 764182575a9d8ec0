"""FIG-07: at least 5,000 attempts to touch what is another's; none succeeds, and foreign looks as missing does.

An attempt has succeeded if a row of the database is another one after it, if its answer has something in it that is
the victim's alone, if a token that is not valid was let in, or if a hub passed something on in a name that is not the
caller's. The answer of its twin, about something that is not there, must have the same status, the same headers, and
the same body but for time and ids.
"""

from __future__ import annotations

import json
import logging
import os
import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import django
import pytest
from django.apps import apps
from django.db import connection, transaction

from tests.figures import tenants_outside
from tests.figures.figure import Options, Report, say

_SHORT = 90  # attempts for each side
_FULL_HUB = 4_000  # of the hub's, which are many more
_KINDS = ("other's C", "via hub", "A", "B", "revoked", "nobody")
# What may change: health, counters, logs. Of the others every row counts.
_VOLATILE = (
    "ocpi_exchange", "ocpi_deviation", "ocpi_workerheartbeat", "ocpi_object", "ocpi_tall", "ocpi_minute", "hub_fast",
)  # fmt: skip
_HEALTH = "ocpi_platform"
# Where refused requests of the caller's own leave a row, or a hub notes whom it has passed something on for.
_NOTED = ("cpo_command", "cpo_chargingprofilerequest", "hub_callback", "hub_knownobject")


def run(options: Options) -> Report:
    """Run the figure."""
    report = Report("FIG-07 tenants", options)
    if options.ocpi_url:
        return tenants_outside.run(options, report)
    with _django():
        _run(options, report)
    return report


@contextmanager
def _django() -> Iterator[None]:
    """Have a database: the one of the test that runs, else one of our own on embedded servers."""
    if apps.ready:
        yield
        return
    from tests import servers  # noqa: F401 it starts them and sets the environment

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")
    django.setup()
    name = connection.creation.create_test_db(verbosity=0, autoclobber=True)
    try:
        yield
    finally:
        connection.creation.destroy_test_db(name, verbosity=0)


@dataclass(slots=True)
class Score:
    """What came of the attempts."""

    made: Counter[str] = field(default_factory=Counter)
    vectors: Counter[str] = field(default_factory=Counter)
    routes: set[str] = field(default_factory=set)
    succeeded: list[str] = field(default_factory=list)
    compared: int = 0
    distinguishable: list[str] = field(default_factory=list)
    told_apart: int = 0  # by the text of OCPI


def _run(options: Options, report: Report) -> None:
    from tests.figures.tenants_attempts import attempts
    from tests.figures.tenants_world import SIDES, world
    from tests.front_doors import use_lane

    draw, score = random.Random(options.seed), Score()
    for side in SIDES:
        started = time.monotonic()
        with little_said(), transaction.atomic(), world(side) as found, pytest.MonkeyPatch.context() as patch:
            chosen = list(attempts(found))
            draw.shuffle(chosen)
            most = _SHORT if options.short else _FULL_HUB if side == "hub" else len(chosen)
            use_lane(patch)
            _try_all(found, chosen[:most], score, draw)
            strange = found.strange()
            score.succeeded += [f"passed on in the name of {sender}" for sender in strange]
            say(f"{side}: {min(most, len(chosen))} of {len(chosen)} attempts, {time.monotonic() - started:.0f} s")
            transaction.set_rollback(True)
    _report(options, report, score)


def _report(options: Options, report: Report, score: Score) -> None:
    for text in (*score.succeeded[:12], *score.distinguishable[:12]):
        say(text)
    total = sum(score.made.values())
    report.add("attempts", total, least=None if options.short else 5_000)
    for kind in _KINDS:
        report.add(f"attempts by {kind}", score.made[kind], least=1)
    report.add("routes x methods", len(score.routes))
    report.add("succeeded", len(score.succeeded), most=0)
    report.add("compared with what is not there", score.compared, least=1)
    report.add("distinguishable", len(score.distinguishable), most=0)
    report.add("told apart because OCPI says so (CMD-12, CHP-13)", score.told_apart)


def _try_all(found: Any, chosen: list[Any], score: Score, draw: random.Random) -> None:
    """Make the attempts, at a hub half of them at the door of the fast lane."""
    tables = _Tables()
    before = tables.digest()
    for attempt in chosen:
        lane = found.side == "hub" and draw.random() < 0.5
        answer = _ask(attempt, lane=lane)
        score.made[attempt.caller.kind] += 1
        score.vectors[attempt.vector] += 1
        score.routes.add(f"{attempt.method} {'/'.join(attempt.route.parts)}")
        problem = _problem(attempt, answer)
        if attempt.caller.let_in and attempt.vector != "nested":
            twin = attempt.twin(found.ids)
            if (twin.path, twin.body) != (attempt.path, attempt.body):
                score.compared += 1
                _compare(found, attempt, answer, _ask(twin, lane=lane), score)
        after = tables.digest()
        if after != before:
            changed = [name for name in after if after[name] != before[name]]
            problem, before = f"changed {', '.join(changed)}", after
        if problem:
            score.succeeded.append(f"SUCCEEDED ({problem}): {attempt} → {answer.status} {answer.text[:200]}")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def code(self) -> int:
        return int(json.loads(self.text).get("status_code", 0)) if self.text[:1] == "{" else 0


def _ask(attempt: Any, *, lane: bool = False) -> Answer:
    from django.test import Client

    from tests.front_doors import LaneClient

    client: Any = LaneClient() if lane else Client()
    headers = {"X-Request-ID": "r", "X-Correlation-ID": "c", **attempt.headers}
    answer = client.generic(
        attempt.method, attempt.path, attempt.body.encode(), "application/json", headers=headers, RAW_URI=attempt.path
    )
    return Answer(answer.status_code, dict(answer.headers), answer.content.decode())


def _problem(attempt: Any, answer: Answer) -> str:
    from tests.figures.tenants_world import PLACES, SECRET, TOKENS

    hidden = {SECRET[:20], TOKENS, PLACES} - attempt.caller.may_see()
    if any(canary in answer.text for canary in hidden) and not any(canary in attempt.body for canary in hidden):
        return "foreign data"
    if answer.status >= 500 or 3000 <= answer.code < 4000:
        return "an error of ours"
    own = attempt.route.view.purposes  # versions are for tokens A, too; a tombstone is told that it is one
    if not attempt.caller.let_in and answer.status == 200 and answer.code == 1000 and len(own) <= 2:
        return "let in"
    return ""


def _compare(found: Any, attempt: Any, foreign: Answer, absent: Answer, score: Score) -> None:
    one, other = _plain(found, foreign), _plain(found, absent)
    if one == other:
        return
    results = {_result(foreign), _result(absent)}
    if attempt.route.module in ("commands", "chargingprofiles") and results == {"REJECTED", "UNKNOWN_SESSION"}:
        score.told_apart += 1
        return
    score.distinguishable.append(f"DIFFERS: {attempt}\n      {one}\n      {other}")


def _plain(found: Any, answer: Answer) -> tuple[int, str, tuple[tuple[str, str], ...]]:
    """Return an answer without what may differ: its time, and the ids that were asked for."""
    from tests.figures.tenants_attempts import missing, telling

    headers = json.dumps(sorted(answer.headers.items()))
    text = answer.text
    if text[:1] == "{":
        told = json.loads(text)
        told.pop("timestamp", None)
        text = json.dumps(told)
    for known in telling(found.ids):
        for each in (known, missing(known)):
            text, headers = text.replace(each, "•"), headers.replace(each, "•")
    if "Content-Length" in answer.headers:
        headers = headers.replace(answer.headers["Content-Length"], "")
    return answer.status, text, tuple((str(name), str(value)) for name, value in json.loads(headers))


def _result(answer: Answer) -> str:
    data = json.loads(answer.text).get("data") if answer.text[:1] == "{" else None
    return str(data.get("result", "")) if isinstance(data, dict) else ""


class _Tables:
    """All rows of the database that count, as one digest for each table."""

    def __init__(self) -> None:
        names = sorted(
            model._meta.db_table
            for app in ("ocpi", "hub", "cpo", "emsp")
            for model in apps.get_app_config(app).get_models()
            if model._meta.managed and not model._meta.proxy
        )
        parts = []
        for name in names:
            if name.startswith(_VOLATILE):
                continue
            row = "t::text" if name != _HEALTH else "(id, name, state, version, versions_url, token_out, hosts)::text"
            where = f"WHERE id <= {_last_id(name)}" if name in _NOTED else ""
            parts.append(  # our own table names
                f"SELECT '{name}', md5(coalesce(sum(hashtextextended({row}, 0))::text, '')) FROM {name} t {where}"  # noqa: S608
            )
        self._sql = " UNION ALL ".join(parts)

    def digest(self) -> dict[str, str]:
        with connection.cursor() as cursor:
            cursor.execute(self._sql)
            return dict(cursor.fetchall())


def _last_id(name: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT coalesce(max(id), 0) FROM {name}")  # noqa: S608 our own table names
        return int(cursor.fetchone()[0])


@contextmanager
def little_said() -> Iterator[None]:
    """Have refused requests not fill the screen; afterwards everything is said as before."""
    loggers = [logging.getLogger(name) for name in ("django.request", "ocpi.authentication", "emsp.modules")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
