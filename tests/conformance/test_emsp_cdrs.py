"""CDRs, Receiver interface: once and for good, then priced again."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from emsp import tasks
from emsp.models import CDR
from emsp.modules import cdr_checks
from tests.conformance.suites import LATER
from tests.fixtures import Document, Partner, add_party
from tests.people import Person

PATH = "emsp/2.2.1/cdrs"
Post = Callable[..., Any]


@pytest.fixture
def post(emsp_side: None, cpo: Person, document: Document) -> Post:
    return lambda **changes: cpo.post(PATH, document("cdr", **changes))


@pytest.mark.req("CDR-02", "CDR-03", "CDR-04", "CDR-06", "PIT-27", "CDR-53", "CDR-16")
def test_a_new_cdr_is_stored_and_found_at_its_location(post: Post, cpo: Person, document: Document) -> None:
    answer = post()

    assert answer.codes == (201, 1000)
    assert answer.headers["Location"].startswith("http://127.0.0.1:8000/ocpi/emsp/2.2.1/cdrs/")
    assert cpo.get(answer.headers["Location"]).data == document("cdr")


@pytest.mark.req("CDR-10", "REL-45")
def test_a_number_written_in_another_way_is_the_same_content(emsp_side: None, cpo: Person, document: Document) -> None:
    body = json.dumps(document("cdr", total_energy=10)).encode()
    first = cpo.post(PATH, body)

    again = cpo.post(PATH, body.replace(b'"total_energy": 10', b'"total_energy": 10.00'))
    other = cpo.post(PATH, body.replace(b'"total_energy": 10', b'"total_energy": 10.01'))

    assert (first.codes, again.codes, other.codes) == ((201, 1000), (200, 1000), (200, 2001))


@pytest.mark.req("CDR-10", "REL-45")
def test_the_same_cdr_again_gives_the_same_location(post: Post, cpo: Person, document: Document) -> None:
    first = post()
    reordered = json.dumps(dict(reversed(document("cdr").items())), indent=2).encode()

    again = cpo.post(PATH, reordered)

    assert again.codes == (200, 1000)
    assert again.headers["Location"] == first.headers["Location"]
    assert CDR.objects.count() == 1


@pytest.mark.req("CDR-10", "TRN-108", "TRN-109", "QRK-18", "REL-45")
def test_a_cdr_that_was_only_written_out_anew_is_the_same(post: Post, cpo: Person, document: Document) -> None:
    first = post(tariffs=None)

    again = cpo.post(PATH, document("cdr", last_updated=LATER, tariffs=[]) | {"credit_reference_id": None})

    assert again.codes == (200, 1000)
    assert again.headers["Location"] == first.headers["Location"]


@pytest.mark.req("CDR-10", "CDR-11", "REL-45")
def test_another_cdr_under_the_same_id_is_refused(post: Post, cpo: Person, document: Document) -> None:
    first = post()

    answer = post(total_energy=31.6, currency="USD", last_updated=LATER)

    assert answer.codes == (200, 2001)
    assert answer.message.endswith("exists already with other content: currency, total_energy")
    assert "Location" not in answer.headers
    assert cpo.get(first.headers["Location"]).data == document("cdr")


@pytest.mark.req("CDR-10", "TRN-097", "REL-45")
def test_the_id_of_a_cdr_ignores_case(post: Post) -> None:
    post()

    assert post(id="cdr-20250912-0042").codes == (200, 2001)


@pytest.mark.req("CDR-27", "TRN-096", "REL-45")
def test_two_cpos_may_use_one_id(post: Post, second_cpo: Person, document: Document) -> None:
    post()

    answer = second_cpo.post(PATH, document("cdr", country_code="FR", party_id="CPX"))

    assert answer.codes == (201, 1000)


@pytest.mark.req("CDR-09", "SEC-35")
def test_a_cdr_of_another_cpo_is_refused(post: Post, second_cpo: Person, document: Document) -> None:
    answer = second_cpo.post(PATH, document("cdr"))

    assert answer.codes == (200, 2001)
    assert not CDR.objects.exists()
    assert post().codes == (201, 1000)


@pytest.mark.req("CDR-09", "SEC-35")
def test_a_cdr_of_an_address_that_is_no_cpo_of_the_platform_is_refused(
    emsp_side: None, partner: Partner, document: Document
) -> None:
    person = partner("FR*CPX:CPO", "NL*TNM:EMSP")  # an address alone gives no right: the role does

    assert person.post(PATH, document("cdr")).codes == (200, 2001)
    assert not CDR.objects.exists()


@pytest.mark.req("CDR-09", "PIT-78")
def test_a_hub_posts_for_the_cpos_behind_it(emsp_side: None, hub: Person, document: Document) -> None:
    add_party(hub.platform, "FR*CPX:CPO", through_hub=True)
    refused = hub.post(PATH, document("cdr"))
    add_party(hub.platform, "NL*TNM:CPO", through_hub=True)

    assert refused.codes == (200, 2001)
    assert hub.post(PATH, document("cdr")).codes == (201, 1000)


@pytest.mark.req("SEC-37")
def test_a_cdr_of_a_driver_who_is_not_ours_is_refused(post: Post, document: Document) -> None:
    token = {**document("cdr")["cdr_token"], "party_id": "XXX"}

    assert post(cdr_token=token).codes == (200, 2001)
    assert not CDR.objects.exists()


@pytest.mark.req("CDR-08", "SEC-37", "SEC-39")
def test_only_the_platform_that_posted_a_cdr_reads_it(post: Post, second_cpo: Person) -> None:
    location = post().headers["Location"]

    foreign = second_cpo.get(location)
    missing = second_cpo.get(f"{PATH}/nothing-here")

    assert foreign.codes == missing.codes == (404, 2000)
    assert foreign.message == missing.message


@pytest.mark.req("CDR-05", "TRN-093")
def test_a_cdr_is_never_changed_over_ocpi(post: Post, cpo: Person, document: Document) -> None:
    location = post().headers["Location"]

    answers = [cpo.request(method, location, {}).http_status for method in ("PUT", "PATCH", "DELETE", "POST")]
    below = [cpo.request(method, PATH, {}).http_status for method in ("GET", "PUT", "PATCH", "DELETE")]

    assert answers == below == [405] * 4
    assert cpo.get(location).data == document("cdr")


@pytest.mark.req("TRN-039", "CDR-33", "CDR-22")
@pytest.mark.parametrize("change", [{"total_cost": None}, {"charging_periods": []}, {"credit": True}])
def test_a_cdr_that_breaks_its_table_is_not_stored(post: Post, change: dict[str, Any]) -> None:
    answer = post(**change)

    assert answer.codes == (200, 2001)
    assert not CDR.objects.exists()


@pytest.mark.req("TRN-008")
def test_a_stranger_posts_nothing(emsp_side: None, db: None, stranger: Person, document: Document) -> None:
    assert stranger.post(PATH, document("cdr"), sender=None).http_status == 401
    assert not CDR.objects.exists()


VERDICT = {"verdict", "computed_cost", "check_result", "checked_at"}


@pytest.mark.req("REL-46", "CDR-11")
@pytest.mark.parametrize("column", [field.attname for field in CDR._meta.concrete_fields])
def test_the_database_changes_nothing_of_a_cdr_but_our_verdict(post: Post, second_cpo: Person, column: str) -> None:
    post()
    kind = CDR._meta.get_field(column).get_internal_type()
    values = {"DateTimeField": timezone.now(), "ForeignKey": second_cpo.id, "BigAutoField": 9_999_999}

    def change() -> None:
        with transaction.atomic():
            CDR.objects.update(**{column: values.get(kind, "x")})

    if column in VERDICT:
        change()
    else:
        with pytest.raises(IntegrityError, match="never changed"):
            change()


@pytest.mark.req("REL-46")
def test_the_database_refuses_to_delete_a_cdr(post: Post) -> None:
    post()

    with pytest.raises(IntegrityError, match="never deleted"), transaction.atomic():
        CDR.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # a table with events to come is not emptied anyway
        with pytest.raises(IntegrityError, match="never deleted"), transaction.atomic():
            cursor.execute("TRUNCATE emsp_cdr CASCADE")
    assert CDR.objects.count() == 1


@pytest.mark.req("REL-45")
@pytest.mark.django_db(transaction=True)
def test_sixteen_posts_at_once_store_one_cdr(emsp_side: None, cpo: Person, document: Document) -> None:
    cpo.get(f"{PATH}/x")
    answers = []

    def send() -> None:
        try:
            answers.append(cpo.post(PATH, document("cdr")))
        finally:
            connection.close()

    threads = [threading.Thread(target=send) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(answer.codes for answer in answers) == [(200, 1000)] * 15 + [(201, 1000)]
    assert len({answer.headers["Location"] for answer in answers}) == 1
    assert CDR.objects.count() == 1


@pytest.mark.req("PRI-98")
def test_a_cdr_is_priced_again_and_the_verdict_stands_beside_it(post: Post, cpo: Person, document: Document) -> None:
    cpo.put("emsp/2.2.1/locations/NL/TNM/LOC-UTR-0042", document("location"))
    post()

    tasks.check_cdr(CDR.objects.get().pk)

    cdr = CDR.objects.get()
    assert cdr.verdict == "match", cdr.check_result
    assert cdr.verified
    assert cdr.computed_cost.startswith("18.87")
    assert json.loads(cdr.document) == document("cdr")


@pytest.mark.req("PRI-98")
def test_a_wrong_total_is_stored_with_its_verdict(post: Post, cpo: Person, document: Document) -> None:
    cpo.put("emsp/2.2.1/locations/NL/TNM/LOC-UTR-0042", document("location"))
    assert post(total_cost={"excl_vat": 99.00}).codes == (201, 1000)

    tasks.sweep()

    cdr = CDR.objects.get()
    assert cdr.verdict == "mismatch"
    assert "total_cost.excl_vat" in json.loads(cdr.check_result)["fields"]


def test_a_cdr_nobody_can_check_does_not_hold_up_the_others(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    post()
    post(id="SECOND")
    checked = cdr_checks.check

    def breaks(cdr: CDR) -> object:
        if cdr.object_id == "SECOND":
            return checked(cdr)
        raise ArithmeticError("odd")

    monkeypatch.setattr(cdr_checks, "check", breaks)
    monkeypatch.setattr(cdr_checks.log, "exception", lambda *_: None)
    assert cdr_checks.check_waiting() == 2

    assert not CDR.objects.filter(verdict="").exists()
    assert cdr_checks.check_waiting() == 0


@pytest.mark.req("CDR-20", "CDR-21", "CDR-25", "PIT-75")
def test_a_credit_cdr_takes_its_original_back(post: Post) -> None:
    post()
    credit = {"id": "CDR-20250912-0042-C", "credit": True, "credit_reference_id": "CDR-20250912-0042"}

    answer = post(**credit, total_cost={"excl_vat": -18.875, "incl_vat": -22.8388})
    tasks.sweep()

    assert answer.codes == (201, 1000)
    assert json.loads(CDR.objects.get(object_id=credit["id"]).check_result)["credit"] == []


@pytest.mark.req("CDR-26")
def test_a_credit_cdr_without_original_or_the_second_one_is_flagged(post: Post) -> None:
    turned = {"credit": True, "total_cost": {"excl_vat": -18.875, "incl_vat": -22.8388}}
    post()
    post(id="A", credit_reference_id="CDR-20250912-0042", **turned)
    post(id="B", credit_reference_id="cdr-20250912-0042", **turned)
    post(id="C", credit_reference_id="NEVER-SEEN", **turned)

    tasks.sweep()

    flags = {cdr.object_id: json.loads(cdr.check_result).get("credit") for cdr in CDR.objects.all()}
    assert flags["A"] == []
    assert "credited_before" in flags["B"]
    assert flags["C"] == ["original_unknown"]
