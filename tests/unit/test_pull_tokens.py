"""What a CPO pulls: the Tokens of eMSPs."""

from __future__ import annotations

from typing import Any

import pytest

from cpo import models as cpo_models
from tests.fixtures import Document, Partner, add_party
from tests.people import Person
from tests.platforms import Listener
from tests.pull_support import EARLY, Lists, run
from tests.pull_support import lists_fixture as lists_fixture


@pytest.fixture
def drivers(cpo_side: None, partner: Partner, listener: Listener, lists: Lists) -> Person:
    """An eMSP whose Tokens a CPO pulls."""
    return partner("DE*EMS:EMSP", listener=listener)


def tokens(document: Document, *uids: str, **changes: Any) -> list[dict[str, Any]]:
    return [document("token_rfid", uid=uid, **{"last_updated": EARLY, "valid": True, **changes}) for uid in uids]


@pytest.mark.req("TOK-13")
def test_a_pull_of_tokens_updates_known_ones_and_adds_new_ones(
    drivers: Person, lists: Lists, document: Document
) -> None:
    assert drivers.put("cpo/2.2.1/tokens/DE/EMS/T1", tokens(document, "T1")[0]).ok
    changed = tokens(document, "T1", valid=False, last_updated="2026-02-01T00:00:00Z")
    lists.serve("tokens", [*changed, *tokens(document, "T2")])

    row = run(drivers.id, "tokens")

    assert (row.created, row.updated) == (1, 1)
    assert dict(cpo_models.Token.objects.values_list("uid", "valid")) == {"T1": False, "T2": True}


@pytest.mark.req("TOK-12", "TRN-106")
def test_tokens_that_the_whole_list_does_not_hold_are_no_longer_accepted_but_kept(
    drivers: Person, lists: Lists, document: Document
) -> None:
    lists.serve("tokens", tokens(document, "T1", "T2"))
    run(drivers.id, "tokens")
    kept = cpo_models.Token.objects.get(uid="T2").document
    lists.serve("tokens", tokens(document, "T1"))

    row = run(drivers.id, "tokens", full=True)

    assert row.removed == 1
    assert dict(cpo_models.Token.objects.values_list("uid", "valid")) == {"T1": True, "T2": False}
    assert cpo_models.Token.objects.get(uid="T2").document == kept
    lists.serve("tokens", tokens(document, "T1", "T2"))
    again = run(drivers.id, "tokens", full=True)
    assert (again.updated, again.unchanged) == (1, 1)
    assert cpo_models.Token.objects.get(uid="T2").valid


@pytest.mark.req("TOK-14", "TOK-12")
def test_a_token_of_another_type_does_not_stand_for_one_that_is_gone(
    drivers: Person, lists: Lists, document: Document
) -> None:
    app = tokens(document, "T1", type="APP_USER")
    lists.serve("tokens", [*tokens(document, "T1"), *app])
    run(drivers.id, "tokens")
    lists.serve("tokens", app)

    run(drivers.id, "tokens", full=True)

    assert dict(cpo_models.Token.objects.values_list("type", "valid")) == {"RFID": False, "APP_USER": True}


@pytest.mark.req("TRN-106")
def test_a_known_token_that_came_during_the_crawl_stays_valid_however_old_it_is(
    drivers: Person, lists: Lists, document: Document
) -> None:
    uids = ("A", "B", "C", "PUSHED", "PATCHED", "NOT")
    lists.serve("tokens", tokens(document, *uids))
    run(drivers.id, "tokens")
    lists.serve("tokens", tokens(document, "A", "B", "C"))

    assert run(drivers.id, "tokens", full=True, seconds=0).page_url
    assert drivers.put("cpo/2.2.1/tokens/DE/EMS/PUSHED", tokens(document, "PUSHED")[0]).ok
    assert drivers.patch("cpo/2.2.1/tokens/DE/EMS/PATCHED", {"whitelist": "NEVER", "last_updated": EARLY}).ok
    row = run(drivers.id, "tokens")

    assert row.removed == 1
    assert dict(cpo_models.Token.objects.values_list("uid", "valid")) == {uid: uid != "NOT" for uid in uids}


@pytest.mark.req("TOK-12", "TRN-106")
@pytest.mark.parametrize("moment", [EARLY, "2025-12-01T00:00:00Z"])
@pytest.mark.parametrize("way", ["push", "pull"])
def test_a_token_that_was_gone_is_accepted_again_when_it_comes_again(
    drivers: Person, lists: Lists, document: Document, moment: str, way: str
) -> None:
    lists.serve("tokens", tokens(document, "T1"))
    run(drivers.id, "tokens")
    lists.serve("tokens", [])
    assert run(drivers.id, "tokens", full=True).removed == 1
    gone = cpo_models.Token.objects.get()
    assert (gone.valid, gone.gone_at is None) == (False, False)
    again = tokens(document, "T1", last_updated=moment)

    if way == "push":
        assert drivers.put("cpo/2.2.1/tokens/DE/EMS/T1", again[0]).ok
    else:
        lists.serve("tokens", again)
        run(drivers.id, "tokens", full=True)

    row = cpo_models.Token.objects.get()
    assert (row.valid, row.gone_at) == (True, None)


@pytest.mark.req("TOK-12", "TRN-106")
def test_a_hubs_list_makes_tokens_invalid_only_of_emsps_it_lists_any_of(
    cpo_side: None, partner: Partner, listener: Listener, lists: Lists, document: Document
) -> None:
    hub = partner("BE*HUB:HUB", listener=listener)
    add_party(hub.platform, "DE*EMS:EMSP", through_hub=True)
    add_party(hub.platform, "FR*EMX:EMSP", through_hub=True)
    both = [*tokens(document, "T1", "T2"), *tokens(document, "T3", country_code="FR", party_id="EMX")]
    lists.serve("tokens", both)
    assert run(hub.id, "tokens").created == 3
    lists.serve("tokens", both[:1])

    assert run(hub.id, "tokens", full=True).removed == 1
    assert dict(cpo_models.Token.objects.values_list("uid", "valid")) == {"T1": True, "T2": False, "T3": True}
