"""What real partners do wrong in their objects: a row is what a CPO sends, what we keep, and what is counted for it.

Every row goes in by the front door, as a PUT of a registered CPO, and is read back as the CPO would read it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from hub.models import SharedObject
from ocpi.models import Platform
from tests.conformance.suites import LATER, LATEST
from tests.deviations import counted, example
from tests.fixtures import Document
from tests.people import Person

URL = "emsp/2.2.1/locations/NL/TNM/LOC-UTR-0042"
Body = dict[str, Any]
Change = Callable[[Body], Any]
req = pytest.mark.req
pytestmark = pytest.mark.usefixtures("emsp_side")


def evse(body: Body) -> Body:
    return body["evses"][0]  # type: ignore[no-any-return]


def connector(body: Body) -> Body:
    return evse(body)["connectors"][0]  # type: ignore[no-any-return]


def rename(owner: Callable[[Body], Body], name: str, other: str) -> Change:
    """Give a member another name."""
    return lambda body: owner(body).update({other: owner(body).pop(name)})


def nothing(body: Body) -> None:
    """Keep it as it came."""


def both(owner: Callable[[Body], Body], name: str, other: str) -> Change:
    """Keep a member under its right name, too."""
    return lambda body: owner(body).update({other: owner(body)[name]})


def text(words: str) -> Body:
    return {"language": "#NA", "text": words}


# requirements, what the CPO sends, what is kept, what is counted; everything else of the Location stays as it came.
TAKEN: list[tuple[pytest.MarkDecorator, Change, Change, list[str]]] = [
    # null for what is not set; a REMOVED EVSE without Connectors
    (req("QRK-11", "PIT-41"), lambda d: d.update(name=None, opening_times=None, images=None), nothing, []),
    (req("QRK-11"), lambda d: evse(d).update(status_schedule=None, floor_level=None), nothing, []),
    (req("QRK-11"), lambda d: evse(d).update(status="REMOVED", connectors=[]), nothing,
     ["QRK-11 connectors of a removed EVSE"]),
    (req("QRK-11"), lambda d: (evse(d).update(status="REMOVED"), evse(d).pop("connectors")), nothing,
     ["QRK-11 connectors of a removed EVSE"]),
    # unknown enum values: out of lists, away if they only inform, kept where the object needs one
    (req("QRK-12", "TRN-115"), lambda d: evse(d).update(capabilities=["TELEPATHY", "RFID_READER"]),
     lambda d: evse(d).update(capabilities=["RFID_READER"]), ["TRN-115 capabilities"]),
    (req("QRK-12", "TRN-115"), lambda d: d.update(facilities=["SAUNA"]), lambda d: d.pop("facilities"),
     ["TRN-115 facilities"]),
    (req("QRK-12", "PIT-44"), lambda d: evse(d).update(parking_restrictions=["EMPLOYEES", "EV_ONLY"]),
     lambda d: evse(d).update(parking_restrictions=["EV_ONLY"]), ["TRN-115 parking_restrictions"]),
    (req("QRK-12"), lambda d: d.update(parking_type="ROOFTOP"), lambda d: d.pop("parking_type"),
     ["TRN-115 parking_type"]),
    (req("QRK-12", "PIT-44"), lambda d: connector(d).update(standard="MCS"), nothing, ["PIT-44 standard"]),
    (req("QRK-12", "PIT-44"), lambda d: connector(d).update(standard="SAE_J3400"), nothing, ["PIT-44 standard"]),
    (req("QRK-12"), lambda d: d.update(images=[{"url": "https://x/1", "category": "DRONE", "type": "png"},
                                          {"url": "https://x/2", "category": "ENTRANCE", "type": "png"}]),
     lambda d: d.update(images=d["images"][1:]), ["TRN-115 images"]),
    (req("QRK-12"), lambda d: evse(d).update(status_schedule=[{"period_begin": LATER, "status": "HOLIDAY"}]),
     lambda d: evse(d).pop("status_schedule"), ["TRN-115 status_schedule"]),
    # coordinates
    *((req("QRK-13", "PIT-34", "LOC-51"), lambda d, g=given: d["coordinates"].update(latitude=g),
       lambda d, k=kept: d["coordinates"].update(latitude=k), ["PIT-34 coordinates"])
      for given, kept in [
          ("52", "52.00000"), ("52.0891", "52.08910"), ("52.08912345", "52.0891234"), (52.089123, "52.089123"),
          (52, "52.00000"), ("-7.123456789012345", "-7.1234568"),
      ]),
    (req("QRK-13", "LOC-51"), lambda d: d["coordinates"].update(latitude="52.08912"), nothing, []),
    (req("QRK-13", "LOC-51"), lambda d: d["coordinates"].update(longitude="-126.1234567"), nothing, []),
    # country codes
    (req("QRK-14", "PIT-39", "LOC-48"), lambda d: d.update(country="NL"), lambda d: d.update(country="NLD"),
     ["PIT-39 country"]),
    (req("QRK-14", "PIT-39"), lambda d: d.update(country="nl"), lambda d: d.update(country="NLD"), ["PIT-39 country"]),
    (req("QRK-14", "TYP-13"), lambda d: d.update(country="nld"), lambda d: d.update(country="NLD"),
     ["TYP-13 country in lower case"]),
    (req("QRK-14", "LOC-48"), lambda d: d.update(country_code="NLD"), lambda d: d.update(country_code="NL"),
     ["QRK-14 country_code with three letters"]),
    # as long as the corrected tables allow
    (req("QRK-15", "PIT-37"), lambda d: d.update(address="x" * 255, state="y" * 45), nothing, []),
    # empty and plain texts
    (req("QRK-16"), lambda d: d["operator"].update(website=""), lambda d: d["operator"].pop("website"),
     ["QRK-16 empty URL"]),
    (req("QRK-16"), lambda d: connector(d).update(terms_and_conditions=""),
     lambda d: connector(d).pop("terms_and_conditions"), ["QRK-16 empty URL"]),
    (req("QRK-16"), lambda d: d.update(directions="Round the corner"),
     lambda d: d.update(directions=[text("Round the corner")]), ["QRK-16 directions as plain text"]),
    (req("QRK-16"), lambda d: evse(d).update(directions=["Down", {"language": "en", "text": "Left"}]),
     lambda d: evse(d).update(directions=[text("Down"), {"language": "en", "text": "Left"}]),
     ["QRK-16 directions as plain text"]),
    # numbers and names of members
    (req("QRK-17", "TYP-08"), lambda d: connector(d).update(max_voltage=230.0),
     lambda d: connector(d).update(max_voltage=230),
     ["TYP-08 fraction for an integer"]),
    (req("QRK-17", "LOC-59"), lambda d: connector(d).update(max_electric_power=22), nothing,
     ["QRK-17 max_electric_power in kW"]),
    (req("QRK-17", "LOC-59"), lambda d: connector(d).update(max_electric_power=50_000), nothing,
     ["LOC-59 max_electric_power above voltage times amperage"]),
    (req("QRK-17"), rename(connector, "max_voltage", "voltage"), both(connector, "voltage", "max_voltage"),
     ["QRK-17 voltage for max_voltage"]),
    (req("QRK-17"), rename(connector, "max_amperage", "ampere"), both(connector, "ampere", "max_amperage"),
     ["QRK-17 ampere for max_amperage"]),
    (req("PIT-40"), lambda d: evse(d).update(floor_level=-2, floor=-2),
     lambda d: evse(d).update(floor_level="-2", floor=-2),
     ["PIT-40 floor_level"]),
    (req("PIT-40"), lambda d: evse(d).update(physical_reference=7), lambda d: evse(d).update(physical_reference="7"),
     ["PIT-40 physical_reference"]),
    # time stamps
    (req("QRK-18", "TYP-01"), lambda d: d.update(last_updated="2025-09-12T07:10:00"), nothing, []),
    (req("QRK-18", "TYP-01"), lambda d: d.update(last_updated="2025-09-12T07:10:00.5Z"), nothing, []),
    (req("QRK-18", "TYP-04"), lambda d: d.update(last_updated="2025-09-12T09:10:00+02:00"),
     lambda d: d.update(last_updated="2025-09-12T07:10:00Z"), ["TYP-04 DateTime"]),
    (req("QRK-18", "TYP-04"), lambda d: d.update(last_updated="2025-09-12T07:10:00.123456789Z"),
     lambda d: d.update(last_updated="2025-09-12T07:10:00.123Z"), ["TYP-04 DateTime"]),
    (req("QRK-18"), lambda d: connector(d).pop("last_updated"),
     lambda d: connector(d).update(last_updated=evse(d)["last_updated"]), ["QRK-18 last_updated of a part missing"]),
    (req("QRK-18"), lambda d: evse(d).pop("last_updated"), lambda d: evse(d).update(last_updated=d["last_updated"]),
     ["QRK-18 last_updated of a part missing"]),
    (req("QRK-18", "REL-53"), lambda d: d.update(last_updated="2099-01-01T00:00:00Z"), nothing,
     ["QRK-18 last_updated in the future"]),
    # EVSE ids, stored as they came
    *((req("QRK-19", "LOC-47"), lambda d, i=given: evse(d).update(evse_id=i), nothing, kinds) for given, kinds in [
        ("NL*TNM*EUTR0042*1", []), ("NLTNMEUTR00421", []), ("nl*tnm*eutr0042*1", []), ("#NA", []),
        ("UTR-0042-1", ["LOC-47 evse_id"]), ("0042", ["LOC-47 evse_id"]),
    ]),
    # duplicates
    (req("QRK-21"), lambda d: d["evses"].append(dict(evse(d))), lambda d: d["evses"].pop(),
     ["QRK-21 evses listed twice"]),
    (req("QRK-21"), lambda d: evse(d)["connectors"].append(dict(connector(d))), lambda d: evse(d)["connectors"].pop(),
     ["QRK-21 connectors listed twice"]),
    (req("QRK-21"), lambda d: evse(d)["capabilities"].append("RFID_READER"), nothing,
     ["QRK-21 capabilities with the same value twice"]),
    (req("QRK-21"), lambda d: connector(d).update(tariff_ids=["A", "a"]), nothing,
     ["QRK-21 tariff_ids with the same value twice"]),
    # Tariffs inside a Connector, Tariffs nobody sent
    (req("QRK-26"), lambda d: connector(d).update(tariffs=[{"id": "A", "price": 0.30}], tariff_id="A"), nothing, []),
    (req("QRK-26"), lambda d: connector(d).update(tariff_ids=["NEVER-SENT"]), nothing, []),
    # warnings only
    (req("LOC-58"), lambda d: d.update(energy_mix={"is_green_energy": True,
                                              "energy_sources": [{"source": "WIND", "percentage": 80}]}),
     nothing, ["LOC-58 energy_sources do not add up to 100"]),
    (req("LOC-58"), lambda d: d.update(energy_mix={"is_green_energy": True,
                                              "energy_sources": [{"source": "WIND", "percentage": 99.95}]}),
     nothing, []),
    (req("LOC-56"), lambda d: d.update(opening_times={"twentyfourseven": False, "regular_hours": [
        {"weekday": 1, "period_begin": "08:00", "period_end": "24:00"},
        {"weekday": 2, "period_begin": "08:00", "period_end": "00:00"},
        {"weekday": 3, "period_begin": "08:00", "period_end": "23:59"}]}), nothing, []),
    (req("LOC-50"), lambda d: d.pop("postal_code"), nothing, []),
    (req("LOC-70"), lambda d: evse(d).update(capabilities=["CHIP_CARD_SUPPORT", "CONTACTLESS_CARD_SUPPORT",
                                                      "CREDIT_CARD_PAYABLE", "DEBIT_CARD_PAYABLE", "PED_TERMINAL"]),
     nothing, []),
    (req("LOC-46"), lambda d: [c.update(id="1") for e in d["evses"] for c in e["connectors"][:1]], nothing, []),
    # what nobody knows stays
    (req("TRN-114"), lambda d: (d.update(x=1.50), evse(d).update(y=[None]), connector(d).update(z={"a": "b"})),
     nothing, []),
]  # fmt: skip


def _rows(table: list[Any]) -> list[Any]:
    return [
        pytest.param(*rest, marks=numbers, id=f"{numbers.args[0]}-{index}")
        for index, (numbers, *rest) in enumerate(table)
    ]


@pytest.mark.parametrize(("sends", "keeps", "kinds"), _rows(TAKEN))
def test_a_habit_is_taken_and_counted(
    cpo: Person, document: Document, sends: Change, keeps: Change, kinds: list[str]
) -> None:
    sent = document("location")
    sends(sent)

    answer = cpo.put(URL, sent)

    expected = json.loads(json.dumps(sent))
    keeps(expected)
    assert answer.codes == (201, 1000)
    # What we do not know is kept as it came, so the strict document of our interface does not have it.
    found = cpo.get(URL, documented=False).data
    assert found.pop("last_updated") >= expected.pop("last_updated")[:19]
    assert found == expected
    assert counted(cpo) == dict.fromkeys(kinds, 1)
    assert [example(cpo, kind) for kind in kinds] == [f"PUT /ocpi/{URL}"] * len(kinds)


# What stays refused, since a number of ours says so: requirements, what is sent, the member that is named.
REFUSED: list[tuple[pytest.MarkDecorator, Change, str]] = [
    (req("QRK-12", "TRN-115"), lambda d: evse(d).update(status="ON_FIRE"), "evses.status"),
    (req("QRK-12", "TRN-115"), lambda d: connector(d).update(format="WIRELESS"), "evses.connectors.format"),
    (req("QRK-13"), lambda d: d["coordinates"].update(latitude="91.0"), "coordinates.latitude"),
    (req("QRK-13"), lambda d: d["coordinates"].update(latitude="52,089"), "coordinates.latitude"),
    (req("QRK-14", "LOC-48"), lambda d: d.update(country="Netherlands"), "country"),
    (req("QRK-14", "LOC-48"), lambda d: d.update(country="N1"), "country"),
    (req("QRK-15", "TYP-10"), lambda d: d.update(address="x" * 256), "address"),
    (req("QRK-15", "TYP-10"), lambda d: d.update(postal_code="x" * 11), "postal_code"),
    (req("QRK-15", "TYP-10"), lambda d: evse(d).update(floor_level="second floor, beside the lift"),
     "evses.floor_level"),
    (req("QRK-15", "TYP-10"), lambda d: evse(d).update(evse_id="NL*TNM*E" + "1" * 41), "evses.evse_id"),
    (req("QRK-17", "TYP-08"), lambda d: connector(d).update(max_voltage="230"), "evses.connectors.max_voltage"),
    (req("QRK-17", "TYP-06"), lambda d: connector(d).update(max_amperage="32"), "evses.connectors.max_amperage"),
    (req("QRK-18", "TYP-04"), lambda d: d.update(last_updated="2025-09-12 07:10:00"), "last_updated"),
    (req("QRK-18"), lambda d: d.pop("last_updated"), "last_updated"),
    (req("QRK-20", "QRK-21"), lambda d: d["evses"][1].update(uid=evse(d)["uid"].lower()), "evses.uid"),
    (req("LOC-46"), lambda d: [c.update(id="1") for c in evse(d)["connectors"]], "evses.connectors.id"),
    (req("LOC-49"), lambda d: d.update(time_zone="CET/Utrecht"), "time_zone"),
    (req("LOC-49"), lambda d: d.pop("time_zone"), "time_zone"),
    (req("LOC-56"), lambda d: d.update(opening_times={"twentyfourseven": False, "regular_hours": [
        {"weekday": 1, "period_begin": "22:00", "period_end": "06:00"}]}), "opening_times.regular_hours.period_end"),
    (req("LOC-07"), lambda d: d.update(id="L" * 37), "id"),
    (req("LOC-07"), lambda d: evse(d).update(uid="é"), "evses.uid"),
]  # fmt: skip


@pytest.mark.parametrize(("sends", "member"), _rows(REFUSED))
def test_what_stays_refused_is_named_counted_and_changes_nothing(
    cpo: Person, document: Document, sends: Change, member: str
) -> None:
    before = document("location")
    assert cpo.put(URL, before).ok
    sent = document("location", last_updated=LATEST)
    sends(sent)

    answer = cpo.put(URL, sent)

    assert answer.codes == (200, 2001)
    assert member.rpartition(".")[2] in answer.message
    assert cpo.get(URL).data == before
    assert counted(cpo) == {f"TRN-039 refused: {member}": 1}


@pytest.mark.req("QRK-12", "PIT-44", "TRN-114")
def test_a_value_we_do_not_know_survives_storage_patch_and_put_of_a_part(cpo: Person, document: Document) -> None:
    sent = document("location")
    connector(sent).update(standard="MCS", x_cooled=True)
    evse(sent).update(x_shed={"n": 4.00})
    assert cpo.put(URL, sent).ok
    uid, number = evse(sent)["uid"], connector(sent)["id"]

    cpo.patch(f"{URL}/{uid}/{number}", {"max_amperage": 16, "last_updated": LATER})
    cpo.patch(f"{URL}/{uid}", {"status": "BLOCKED", "last_updated": LATER})
    cpo.patch(URL, {"evses": [{"uid": uid, "status": "CHARGING", "last_updated": LATEST}], "last_updated": LATEST})

    found = cpo.get(URL, documented=False)
    kept = evse(found.data)
    assert (kept["status"], kept["x_shed"]) == ("CHARGING", {"n": 4.0})
    assert '"n": 4.0' in found.text or '"n":4.0' in found.text
    assert (connector(found.data)["standard"], connector(found.data)["x_cooled"]) == ("MCS", True)
    assert connector(found.data)["max_amperage"] == 16
    # Counted when it was sent, not each time the stored one is checked again.
    assert counted(cpo) == {"PIT-44 standard": 1}


# ---------------------------------------------------------------- where it is counted


@pytest.mark.req("QRK-13", "HUB-21")
def test_the_hub_counts_and_sends_on_what_came(side: Any, cpo: Person, document: Document) -> None:
    side("hub", parties=["NL*HUB:HUB"])
    sent = document("location")
    sent["coordinates"]["latitude"] = 52.1
    connector(sent)["standard"] = "MCS"

    answer = cpo.put("hub/2.2.1/receiver/locations/NL/TNM/LOC-UTR-0042", sent, to="NL*HUB")

    assert answer.codes == (201, 1000)
    assert counted(cpo) == {"PIT-34 coordinates": 1, "PIT-44 standard": 1}
    kept = json.loads(SharedObject.objects.get(container=None).document)
    assert kept["coordinates"]["latitude"] == 52.1


@pytest.mark.req("QRK-13")
def test_a_clean_object_is_counted_nowhere_and_costs_no_statement(cpo: Person, document: Document) -> None:
    cpo.put(URL, document("location"))

    assert counted(cpo) == {}
    assert Platform.objects.get(pk=cpo.id).deviations.count() == 0
