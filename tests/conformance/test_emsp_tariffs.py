"""Tariffs, Receiver interface."""

from __future__ import annotations

import pytest

from emsp.models import Tariff
from tests.conformance.suites import LATEST, ClientOwnedObjectSuite, Subject
from tests.people import Person


class TestTariffs(ClientOwnedObjectSuite):
    place, owner, other = "emsp_side", "cpo", "second_cpo"
    path, document = "emsp/2.2.1/tariffs", "tariff"
    required, optional = "currency", "tariff_alt_url"
    deletable = True

    @pytest.mark.req("TAR-04", "TAR-08")
    def test_a_deleted_tariff_is_hidden_and_kept(self, subject: Subject) -> None:
        subject.put()

        answer = subject.owner.delete(subject.url())

        assert answer.codes == (200, 1000)
        assert subject.get().codes == (404, 2000)
        assert Tariff.objects.get().deleted_at is not None

    @pytest.mark.req("TAR-08")
    def test_deleting_what_is_not_there_is_not_found(self, subject: Subject) -> None:
        subject.put()
        subject.owner.delete(subject.url())

        again = subject.owner.delete(subject.url())
        never = subject.owner.delete(subject.url(object_id="NEVER"))

        assert (again.codes, never.codes) == ((404, 2000), (404, 2000))

    @pytest.mark.req("TAR-03")
    def test_a_deleted_tariff_comes_back_with_a_put(self, subject: Subject) -> None:
        subject.put()
        subject.owner.delete(subject.url())

        subject.put(last_updated=LATEST)

        assert subject.get().data["last_updated"] == LATEST

    @pytest.mark.req("SEC-35", "TAR-04")
    def test_nobody_deletes_anothers_tariff(self, subject: Subject) -> None:
        subject.put()

        answer = subject.other.delete(subject.url())

        assert answer.codes == (404, 2000)
        assert subject.get().data == subject.body


@pytest.mark.req("TAR-05")
@pytest.mark.usefixtures("emsp_side")
def test_a_receiver_has_no_list(cpo: Person) -> None:
    assert cpo.get("emsp/2.2.1/tariffs").http_status in (404, 405)
