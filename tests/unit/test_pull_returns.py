"""What was taken for gone comes back with whatever its owner tells of it next, however old that is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from emsp import models
from tests.fixtures import Document
from tests.people import Person
from tests.pull_support import EARLY, Lists, run
from tests.pull_support import lists_fixture as lists_fixture
from tests.pull_support import owner_fixture as owner_fixture

OLDER = "2025-12-01T00:00:00Z"
KINDS = pytest.mark.parametrize("module", ["locations", "tariffs"])
HOW = pytest.mark.parametrize("moment", [EARLY, OLDER])

Gone = Callable[[str], dict[str, Any]]


@pytest.fixture
def gone(owner: Person, lists: Lists, document: Document) -> Gone:
    """Return a function that makes an object that was pulled and then was not in the whole list."""

    def make(module: str) -> dict[str, Any]:
        found = aged(document(module[:-1], id="ONE"), EARLY)
        lists.serve(module, [found])
        assert run(owner.id, module).created == 1
        lists.serve(module, [])
        assert run(owner.id, module, full=True).removed == 1
        assert owner.get(f"emsp/2.2.1/{module}/NL/TNM/ONE").http_status == 404
        return found

    return make


def aged(found: dict[str, Any], moment: str) -> dict[str, Any]:
    """Return an object that is this old, with all its parts."""
    evses = [
        {
            **evse,
            "last_updated": moment,
            "connectors": [{**each, "last_updated": moment} for each in evse["connectors"]],
        }
        for evse in found.get("evses", [])
    ]
    return {**found, "last_updated": moment, **({"evses": evses} if evses else {})}


@KINDS
@HOW
@pytest.mark.req("TRN-106")
def test_what_was_gone_comes_back_with_a_push(gone: Gone, owner: Person, module: str, moment: str) -> None:
    again = aged(gone(module), moment)

    assert owner.put(f"emsp/2.2.1/{module}/NL/TNM/ONE", again).codes == (200, 1000)

    assert owner.get(f"emsp/2.2.1/{module}/NL/TNM/ONE").data["last_updated"] == moment


@KINDS
@HOW
@pytest.mark.req("TRN-106")
def test_what_was_gone_comes_back_with_a_pull(
    gone: Gone, owner: Person, lists: Lists, module: str, moment: str
) -> None:
    lists.serve(module, [aged(gone(module), moment)])

    row = run(owner.id, module, full=True)

    assert (row.updated, row.unchanged) == (1, 0)
    assert owner.get(f"emsp/2.2.1/{module}/NL/TNM/ONE").data["last_updated"] == moment
    assert run(owner.id, module, full=True).unchanged == 1


def test_a_tariff_that_its_cpo_deleted_may_be_made_anew_with_an_older_time(owner: Person, document: Document) -> None:
    path = "emsp/2.2.1/tariffs/NL/TNM/ONE"
    assert owner.put(path, document("tariff", id="ONE", last_updated=EARLY)).ok
    older = document("tariff", id="ONE", last_updated=OLDER)
    assert owner.put(path, older).codes == (200, 2001)
    assert owner.delete(path).ok

    assert owner.put(path, older).ok

    assert models.Tariff.objects.get().deleted_at is None


@pytest.mark.req("TRN-091")
def test_what_came_back_is_again_not_replaced_by_what_is_older(gone: Gone, owner: Person) -> None:
    tariff = gone("tariffs")
    path = "emsp/2.2.1/tariffs/NL/TNM/ONE"
    assert owner.put(path, tariff).ok

    assert owner.put(path, {**tariff, "last_updated": OLDER}).codes == (200, 2001)

    assert owner.get(path).data["last_updated"] == EARLY
