"""What a Tariff may say: as a receiver takes it, and as we let ourselves say it (Tariffs, 8.2 to 8.4)."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from cpo.models import Tariff as OwnTariff
from tests.cpo_support import VAT, tariff
from tests.fixtures import Document
from tests.people import Person

PATH = "emsp/2.2.1/tariffs/NL/TNM/TEST-TARIFF"
FLAT = {"type": "FLAT", "price": 0.00, "vat": VAT, "step_size": 1}
ENERGY = {"type": "ENERGY", "price": 0.30, "vat": VAT, "step_size": 1}
PARKING = {"type": "PARKING_TIME", "price": 2.00, "vat": VAT, "step_size": 1}


def elements(*components: dict[str, Any], **restrictions: Any) -> list[dict[str, Any]]:
    element: dict[str, Any] = {"price_components": list(components)}
    return [element | ({"restrictions": restrictions} if restrictions else {})]


def changed(**component: Any) -> dict[str, Any]:
    return {"elements": elements(ENERGY | component)}


# ---- as a receiver


_REFUSED = [
    ("elements", {"elements": []}, pytest.mark.req("TAR-44")),
    ("elements", {"elements": None}, pytest.mark.req("TAR-44")),
    ("elements[0].price_components", {"elements": elements()}, pytest.mark.req("TAR-44")),
    ("currency", {"currency": "EURO"}, pytest.mark.req("TAR-44")),
    ("elements[0].price_components[0].step_size", changed(step_size=-1), pytest.mark.req("TAR-19", "PIT-77")),
    ("elements[0].price_components[0].step_size", changed(step_size=0.5), pytest.mark.req("TAR-19")),
    ("elements[0].price_components[0].price", changed(price="0.30"), pytest.mark.req("TAR-15")),
    ("elements[0].price_components[0].type", changed(type="SESSION"), pytest.mark.req("TAR-10")),
    ("min_price", {"min_price": {"excl_vat": 2}, "max_price": {"excl_vat": 1}}, pytest.mark.req("TAR-23")),
    ("min_price", {"min_price": {"excl_vat": 1, "incl_vat": 3}, "max_price": {"excl_vat": 1, "incl_vat": 2}},
     pytest.mark.req("TAR-23")),
    ("elements[0].restrictions.reservation", {"elements": elements(FLAT, reservation="YES")},
     pytest.mark.req("TAR-34")),
    ("elements[0].restrictions.start_time", {"elements": elements(ENERGY, start_time="8:00")},
     pytest.mark.req("TAR-25")),
    ("elements[0].restrictions.start_time", {"elements": elements(ENERGY, start_time="24:00")},
     pytest.mark.req("TAR-25")),
    ("elements[0].restrictions.end_date", {"elements": elements(ENERGY, end_date="2026-02-30")},
     pytest.mark.req("TAR-28")),
    ("start_date_time", {"start_date_time": "2026-02-01"}, pytest.mark.req("TAR-40")),
    ("id", {"id": "x" * 37}, pytest.mark.req("TAR-06")),
]  # fmt: skip


@pytest.mark.usefixtures("emsp_side")
@pytest.mark.parametrize(
    ("field", "members"), [pytest.param(field, members, marks=mark) for field, members, mark in _REFUSED]
)
def test_a_tariff_that_breaks_a_rule_is_refused_by_its_field(cpo: Person, field: str, members: dict[str, Any]) -> None:
    body = tariff(**members)
    path = PATH.replace("TEST-TARIFF", str(body["id"]))

    answer = cpo.put(path, body)

    assert answer.codes == (200, 2001)
    assert answer.message.startswith(f"{field}: "), answer.message
    assert cpo.get(path).codes == (404, 2000)


_TAKEN = [
    ({"elements": elements(FLAT)}, pytest.mark.req("TAR-14")),
    (changed(step_size=0), pytest.mark.req("TAR-19", "PIT-77")),
    (changed(step_size=2_000_000_000), pytest.mark.req("PIT-77")),
    (changed(vat=0.0), pytest.mark.req("TAR-16", "PIT-42")),
    ({"elements": elements({"type": "ENERGY", "price": 0.3, "step_size": 1})}, pytest.mark.req("TAR-16", "PIT-42")),
    ({"min_price": {"excl_vat": 1}, "max_price": {"excl_vat": 1}}, pytest.mark.req("TAR-23")),
    ({"elements": elements(ENERGY, reservation="RESERVATION")}, pytest.mark.req("TAR-35")),
    ({"elements": elements(FLAT, reservation="RESERVATION_EXPIRES")}, pytest.mark.req("TAR-34")),
    ({"elements": elements(ENERGY, day_of_week=[])}, pytest.mark.req("TAR-33")),
    ({"elements": elements(ENERGY, start_time="22:00", end_time="00:00")}, pytest.mark.req("TAR-25")),
    ({"tariff_alt_text": [{"language": "en", "text": "2.00 euro per hour"}]}, pytest.mark.req("TAR-43")),
    ({"type": "PROFILE_GREEN"}, pytest.mark.req("TAR-39")),
]


@pytest.mark.req("TAR-02", "TAR-03")
@pytest.mark.usefixtures("emsp_side")
@pytest.mark.parametrize("members", [pytest.param(members, marks=mark) for members, mark in _TAKEN])
def test_a_tariff_that_can_be_used_is_taken_and_given_back_as_it_is(cpo: Person, members: dict[str, Any]) -> None:
    body = tariff(**members)

    answer = cpo.put(PATH, body)

    assert answer.codes == (201, 1000), answer.message
    assert cpo.get(PATH).data == body


@pytest.mark.req("TAR-06")
@pytest.mark.usefixtures("emsp_side")
@pytest.mark.parametrize("member", ["country_code", "party_id", "id"])
def test_a_tariff_belongs_to_its_url(cpo: Person, member: str) -> None:
    answer = cpo.put(PATH, tariff(**{member: "ZZ"}))

    assert answer.codes == (200, 2001)
    assert member in answer.message


# ---- as a CPO: strict in what we send


def load(tmp_path: Path, capsys: pytest.CaptureFixture[str], **members: Any) -> dict[str, Any]:
    file = tmp_path / "tariffs.json"
    file.write_text(json.dumps([tariff(**members)]))
    call_command("load_tariffs", str(file), "--json")
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    return report


@pytest.mark.django_db
@pytest.mark.usefixtures("cpo_side")
@pytest.mark.parametrize(
    ("field", "members"),
    [
        pytest.param("elements[0].price_components[0]", {"elements": elements(ENERGY, reservation="RESERVATION")},
                     marks=pytest.mark.req("TAR-35")),
        pytest.param("elements[0].price_components[0]",
                     {"elements": elements(PARKING, reservation="RESERVATION_EXPIRES")},
                     marks=pytest.mark.req("TAR-35")),
        pytest.param("elements", {"elements": elements(ENERGY | {"price": 0.0})}, marks=pytest.mark.req("TAR-14")),
        pytest.param("elements", {"elements": elements(FLAT, FLAT)}, marks=pytest.mark.req("TAR-14")),
        pytest.param("elements", {"elements": elements(FLAT, min_kwh=1)}, marks=pytest.mark.req("TAR-14")),
        pytest.param("min_price", {"min_price": {"excl_vat": 2}, "max_price": {"excl_vat": 1}},
                     marks=pytest.mark.req("TAR-23")),
        pytest.param("elements[0].price_components[0].step_size", changed(step_size=-1),
                     marks=pytest.mark.req("TAR-19")),
        pytest.param("elements[0].price_components", {"elements": elements()}, marks=pytest.mark.req("TAR-44")),
    ],
)  # fmt: skip
def test_we_do_not_publish_a_tariff_that_breaks_a_rule(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], field: str, members: dict[str, Any]
) -> None:
    report = load(tmp_path, capsys, **members)

    assert (report["created"], [each["id"] for each in report["refused"]]) == (0, ["TEST-TARIFF"])
    assert report["refused"][0]["message"].startswith(field)
    assert not OwnTariff.objects.exists()


@pytest.mark.django_db
@pytest.mark.usefixtures("cpo_side")
@pytest.mark.parametrize(
    ("remark", "members"),
    [
        pytest.param(None, {"elements": elements(FLAT)}, marks=pytest.mark.req("TAR-14")),
        pytest.param(None, {"elements": elements(FLAT, reservation="RESERVATION") + elements(ENERGY)},
                     marks=pytest.mark.req("TAR-35")),
        pytest.param("price_in_alt_text", {"tariff_alt_text": [{"language": "en", "text": "EUR 0.30 a kWh"}]},
                     marks=pytest.mark.req("TAR-43")),
        pytest.param(None, {"tariff_alt_text": [{"language": "en", "text": "Open 24 hours, 2 minutes on foot."}]},
                     marks=pytest.mark.req("TAR-43")),
        pytest.param("step_size_not_one", changed(step_size=100), marks=pytest.mark.req("TAR-20")),
        pytest.param(None, changed(step_size=1), marks=pytest.mark.req("TAR-20")),
        pytest.param("no_fallback", {"elements": elements(ENERGY, min_kwh=1)}, marks=pytest.mark.req("TAR-13")),
        pytest.param(None, {"elements": elements(ENERGY, min_kwh=1) + elements(ENERGY)},
                     marks=pytest.mark.req("TAR-13")),
        pytest.param("unreachable_component", {"elements": elements(ENERGY) + elements(ENERGY, min_kwh=1)},
                     marks=pytest.mark.req("TAR-13", "TAR-10")),
    ],
)  # fmt: skip
def test_what_is_unwise_is_taken_and_remarked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], remark: str | None, members: dict[str, Any]
) -> None:
    report = load(tmp_path, capsys, **members)

    assert (report["created"], report["refused"]) == (1, [])
    assert [each["message"].partition(":")[0] for each in report.get("remarks", [])] == ([remark] if remark else [])
    stored = json.loads(OwnTariff.objects.get().document, parse_float=Decimal)
    assert stored["elements"] == json.loads(json.dumps(tariff(**members)), parse_float=Decimal)["elements"]


@pytest.mark.req("TAR-44", "CDR-45")
@pytest.mark.usefixtures("emsp_side")
@pytest.mark.parametrize(("currency", "codes"), [("EUR", (201, 1000)), ("E1R", (200, 2001)), ("EU", (200, 2001))])
def test_a_currency_has_three_letters(cpo: Person, document: Document, currency: str, codes: tuple[int, int]) -> None:
    assert cpo.put(PATH, tariff(currency=currency)).codes == codes
    assert cpo.post("emsp/2.2.1/cdrs", document("cdr", currency=currency)).codes == codes
