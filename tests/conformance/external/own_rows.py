"""The rows behind `own_data`: written as the project itself writes them, and the tester is registered."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from cpo.models import CDR, Session
from cpo.modules import locations_loading, tariffs_loading
from emsp.modules import tokens_loading
from ocpi import sample_data
from ocpi.headers import Address
from tests.conformance.external.cases import DOCUMENTS
from tests.conformance.external.own import TESTER, TESTER_URL
from tests.conformance.external.own_data import LISTED, later, moment
from tests.fixtures import connect

CPO, EMSP, DRIVERS = Address("NL", "TNM"), Address("DE", "EMS"), Address("BE", "TST")


def write() -> str:
    """Write everything, and return the token of the tester."""
    _load(locations_loading, sample_data.locations(LISTED), CPO)
    _load(tariffs_loading, sample_data.tariffs("NL", "TNM"), CPO)
    tokens_loading.keep(
        [tokens_loading.check(sample_data.dumps(each).encode(), as_party=EMSP) for each in sample_data.tokens(LISTED)]
    )
    for number in range(LISTED):
        _session(number)
        _cdr(number)
    return connect(*TESTER, name="Tester", url=TESTER_URL).token


def _load(loading: Any, drawn: Iterable[Any], owner: Address) -> None:
    checked = [loading.check(sample_data.dumps(each).encode(), owners=[owner], as_party=owner) for each in drawn]
    loading.keep(checked)


def _document(name: str, number: int, object_id: str) -> dict[str, Any]:
    found = json.loads((DOCUMENTS / f"{name}.json").read_text(encoding="utf-8")) | {"id": object_id}
    found["cdr_token"] |= {"country_code": DRIVERS.country_code, "party_id": DRIVERS.party_id}
    changed: dict[str, Any] = later(found, number)
    return changed


def _session(number: int) -> None:
    document = _document("session", number, f"S{number}")
    Session.objects.create(**_columns(document, number), status=document["status"], location_id=document["location_id"])


def _cdr(number: int) -> None:
    document = _document("cdr", number, f"C{number}")
    CDR.objects.create(**_columns(document, number), session_id=f"S{number}")


def _columns(document: dict[str, Any], number: int) -> dict[str, Any]:
    return {
        "country_code": CPO.country_code,
        "party_id": CPO.party_id,
        "object_id": document["id"],
        "last_updated": moment(number),
        "document": json.dumps(document),
        "token_uid": document["cdr_token"]["uid"],
        "start_date_time": moment(number),
        "emsp_country_code": DRIVERS.country_code,
        "emsp_party_id": DRIVERS.party_id,
    }
