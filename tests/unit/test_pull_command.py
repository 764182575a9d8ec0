"""manage.py pull: counts per platform and module, and a sentence when something is wrong."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from emsp import models
from ocpi import pull_rows
from tests.fixtures import Document, Partner
from tests.people import Person
from tests.platforms import Listener, Reply
from tests.pull_support import Lists, cursor

EARLY = "2026-01-01T00:00:00Z"


@pytest.fixture
def lists(listener: Listener) -> Lists:
    return Lists(listener)


@pytest.fixture
def owner(emsp_side: None, partner: Partner, listener: Listener, lists: Lists) -> Person:
    return partner("NL*TNM:CPO", name="Polder", listener=listener)


def manage(*words: str) -> Any:
    out = io.StringIO()
    call_command("pull", *words, "--json", stdout=out)
    return json.loads(out.getvalue())


@pytest.mark.req("TRN-101")
def test_it_pulls_every_list_and_counts(owner: Person, lists: Lists, document: Document) -> None:
    lists.limit = 100
    lists.serve("tariffs", [document("tariff", id="A"), document("tariff", id="B", currency=None)])

    found = manage()

    assert set(found) == {"Polder"}
    assert set(found["Polder"]) == {"locations", "tariffs", "sessions", "cdrs"}
    tariffs = found["Polder"]["tariffs"]
    assert (tariffs["read"], tariffs["created"], tariffs["refused"], tariffs["pages"]) == (2, 1, 1, 1)
    assert models.Tariff.objects.count() == 1


def test_it_pulls_one_module_of_one_platform_since_a_moment(owner: Person, lists: Lists) -> None:
    assert list(manage("--platform", "Polder", "--module", "cdrs", "--since", "2026-02-03T04:05:06Z")["Polder"]) == [
        "cdrs"
    ]

    assert lists.queries("cdrs") == [{"date_from": "2026-02-03T04:05:06Z"}]
    assert lists.requests("tariffs") == []


def test_it_prints_a_line_for_people(owner: Person, lists: Lists, document: Document) -> None:
    lists.serve("tariffs", [document("tariff", id="A")])
    out = io.StringIO()

    call_command("pull", "--module", "tariffs", "--full", stdout=out)

    assert out.getvalue().strip() == "Polder tariffs: 1 pages, 1 read, 1 created"


@pytest.mark.req("REL-20")
def test_a_list_that_fails_is_named_and_the_others_are_pulled(owner: Person, lists: Lists) -> None:
    lists.before = lambda request, _offset: Reply(code=2001, message="no") if "locations" in request.path else None

    with pytest.raises(CommandError, match=r"Polder locations of NL\*TNM failed: .*no"):
        manage()

    assert len(lists.requests("cdrs")) == 1


def test_a_list_that_a_worker_reads_just_now_is_left_to_it(owner: Person, lists: Lists) -> None:
    assert pull_rows.claim(cursor(owner.id, "tariffs").pk)

    with pytest.raises(CommandError, match="by a worker"):
        manage("--module", "tariffs")

    assert lists.requests("tariffs") == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--platform", "Nobody"], "no platform Nobody"),
        (["--module", "commands"], "commands is not pulled here"),
        (["--since", "yesterday"], "yesterday"),
    ],
)
def test_what_makes_no_sense_is_refused(owner: Person, words: list[str], said: str) -> None:
    with pytest.raises(CommandError, match=said):
        manage(*words)


def test_without_anybody_to_pull_from_it_says_so(emsp_side: None, db: None) -> None:
    with pytest.raises(CommandError, match="nothing to pull"):
        manage()
