"""A Tariff of ours goes out of use: not while a Connector names it, and then everywhere (TAR-04, TAR-07)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from cpo.models import Tariff
from cpo.modules import tariffs_deleting
from ocpi import status
from ocpi.headers import Address
from ocpi.models import Delivery
from ocpi.outbox_engine import drain_now
from tests.cpo_support import OWNER, TARIFF, add_location, add_tariff, tariff, with_tariff
from tests.fixtures import Document, Partner
from tests.people import Person
from tests.platforms import Listener

PATH = "cpo/2.2.1/tariffs"
AT_THE_EMSP = "/ocpi/2.2.1/receiver/tariffs/NL/TNM/TEST-TARIFF"
pytestmark = [pytest.mark.usefixtures("cpo_side"), pytest.mark.django_db]


@pytest.mark.req("TAR-04", "TAR-07", "REL-01")
def test_a_tariff_nobody_names_is_deleted_here_and_at_everybody(
    partner: Partner, listener: Listener, document: Document
) -> None:
    emsp = partner("DE*EMS:EMSP", listener=listener)
    add_tariff(tariff())
    add_location(with_tariff(document("location"), "ANOTHER"))
    drain_now()

    tariffs_deleting.delete(Address("nl", "tnm"), "test-tariff")
    drain_now()

    [sent] = listener.received("DELETE")
    assert (sent.path, sent.body) == (AT_THE_EMSP, b"")
    assert emsp.get(PATH).data == []
    assert Tariff.objects.get().deleted_at is not None
    assert not Delivery.objects.exists()


@pytest.mark.req("TAR-07")
@pytest.mark.parametrize("spelling", ["TEST-TARIFF", "test-tariff"])
def test_a_tariff_that_a_connector_names_stays(
    partner: Partner, listener: Listener, document: Document, spelling: str
) -> None:
    emsp = partner("DE*EMS:EMSP", listener=listener)
    add_tariff(tariff())
    add_location(with_tariff(document("location"), spelling))
    drain_now()

    with pytest.raises(tariffs_deleting.TariffInUse, match=r"in use at LOC-UTR-0042/TNM-UTR-0042-1/1"):
        tariffs_deleting.delete(OWNER, TARIFF)
    drain_now()

    assert listener.received("DELETE") == []
    assert [each["id"] for each in emsp.get(PATH).data] == [TARIFF]


@pytest.mark.req("TAR-07")
def test_a_removed_evse_does_not_hold_a_tariff(document: Document) -> None:
    add_tariff(tariff())
    location = with_tariff(document("location"))
    for evse in location["evses"]:
        evse["status"] = "REMOVED"
    add_location(location)

    tariffs_deleting.delete(OWNER, TARIFF)

    assert Tariff.objects.get().deleted_at is not None


@pytest.mark.req("TAR-04")
def test_what_is_not_there_is_not_deleted() -> None:
    add_tariff(tariff())
    tariffs_deleting.delete(OWNER, TARIFF)

    for tariff_id in (TARIFF, "NEVER"):
        with pytest.raises(status.UnknownObject):
            tariffs_deleting.delete(OWNER, tariff_id)


@pytest.mark.req("TAR-03", "TAR-04")
def test_a_deleted_tariff_that_is_loaded_again_is_put_again(partner: Partner, listener: Listener) -> None:
    partner("DE*EMS:EMSP", listener=listener)
    add_tariff(tariff())
    tariffs_deleting.delete(OWNER, TARIFF)
    drain_now()
    listener.forget()

    add_tariff(tariff())
    drain_now()

    assert [(got.method, got.path) for got in listener.received()] == [("PUT", AT_THE_EMSP)]


@pytest.mark.req("TAR-07")
def test_an_operator_deletes_by_a_command(document: Document, capsys: pytest.CaptureFixture[str]) -> None:
    add_tariff(tariff())
    add_location(with_tariff(document("location")))
    with pytest.raises(CommandError, match="in use at"):
        call_command("delete_tariff", TARIFF)
    with pytest.raises(CommandError, match="not known"):
        call_command("delete_tariff", "NEVER")

    add_location(with_tariff(document("location", last_updated="2026-05-01T00:00:00Z"), "ANOTHER"))
    call_command("delete_tariff", TARIFF, "--json")

    assert json.loads(capsys.readouterr().out) == {"deleted": TARIFF, "party": "NL*TNM"}


def _press(admin: Client, **answer: str) -> Any:
    url = reverse("admin:cpo_tariff_delete_tariff", args=[Tariff.objects.get().pk])
    return admin.post(url, answer, follow=True).content.decode()


@pytest.mark.req("TAR-07")
def test_an_operator_deletes_in_the_admin_after_a_question(admin_client: Client, document: Document) -> None:
    add_tariff(tariff())
    add_location(with_tariff(document("location")))

    question, refused = _press(admin_client), _press(admin_client, confirmed="yes")
    assert "it cannot be deleted" in question
    assert "Nothing is deleted" in refused
    assert Tariff.objects.get().deleted_at is None

    add_location(with_tariff(document("location", last_updated="2026-05-01T00:00:00Z"), "ANOTHER"))
    assert "Delete this Tariff everywhere?" in _press(admin_client)
    assert Tariff.objects.get().deleted_at is None
    _press(admin_client, confirmed="yes")
    assert Tariff.objects.get().deleted_at is not None


def test_who_may_only_look_deletes_nothing(document: Document, client: Client) -> None:
    add_tariff(tariff())
    viewer = User.objects.create_user("viewer", password="a long password of a viewer", is_staff=True)
    viewer.user_permissions.add(*viewer.user_permissions.model.objects.filter(codename="view_tariff"))
    client.force_login(viewer, backend="django.contrib.auth.backends.ModelBackend")

    answer = client.post(
        reverse("admin:cpo_tariff_delete_tariff", args=[Tariff.objects.get().pk]), {"confirmed": "yes"}
    )

    assert answer.status_code == 403
    assert Tariff.objects.get().deleted_at is None


@pytest.mark.req("TAR-05")
def test_the_list_takes_nothing(emsp: Person) -> None:
    add_tariff(tariff())

    answers = [emsp.request(method, PATH, tariff()) for method in ("POST", "PUT", "PATCH", "DELETE")]

    assert {answer.http_status for answer in answers} == {405}
    assert {answer.headers["Allow"] for answer in answers} == {"GET"}
