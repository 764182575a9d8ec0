"""What every module must do, whatever its objects are: declare the subject, inherit the tests.

A Receiver names its place, its owner (fixtures), its path, its document and two members of it: `class
TestSessions(ClientOwnedObjectSuite, PatchSuite)` in test_emsp_sessions.py. Lists are in list_suite.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest

from ocpi.v2_2_1.types import format_datetime
from tests.answers import OcpiAnswer
from tests.conformance.list_suite import ListSuite as ListSuite
from tests.people import Person, at
from tests.statements import at_most as at_most

EARLIER, LATER, LATEST = "2020-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"


def same_answer(one: OcpiAnswer, other: OcpiAnswer) -> bool:
    """Say whether two answers tell a caller the same: all but time and ids."""
    return (one.codes, one.message, one.data) == (other.codes, other.message, other.data)


@dataclass(frozen=True, slots=True)
class Subject:
    """One Client Owned Object, and the platforms that push it."""

    owner: Person
    other: Person  # of the same role, at another address
    path: str
    id_member: str
    body: Mapping[str, Any]
    query: Mapping[str, Any]

    @property
    def object_id(self) -> str:
        return str(self.body[self.id_member])

    def url(self, *, party: str = "", object_id: str = "") -> str:
        address = at(party) if party else self.owner.address
        return f"{self.path}/{address.country_code}/{address.party_id}/{object_id or self.object_id}"

    def put(self, *, without: str = "", **changes: Any) -> OcpiAnswer:
        body = {name: value for name, value in {**self.body, **changes}.items() if name != without}
        return self.owner.put(self.url(), body, query=self.query)

    def patch(self, **changes: Any) -> OcpiAnswer:
        return self.owner.patch(self.url(), changes, query=self.query)

    def get(self) -> OcpiAnswer:
        return self.owner.get(self.url(), query=self.query)


class OwnedSuite:
    """What the suites of a Receiver interface need to know."""

    place: ClassVar[str]
    owner: ClassVar[str]
    other: ClassVar[str]
    path: ClassVar[str]
    document: ClassVar[str]
    required: ClassVar[str]
    optional: ClassVar[str]
    id_member: ClassVar[str] = "id"
    unknown: ClassVar[int] = 2000
    deletable: ClassVar[bool] = False
    query: ClassVar[Mapping[str, Any]] = {}

    @pytest.fixture
    def subject(self, request: pytest.FixtureRequest) -> Subject:
        request.getfixturevalue(self.place)
        return Subject(
            owner=request.getfixturevalue(self.owner),
            other=request.getfixturevalue(self.other),
            path=self.path,
            id_member=self.id_member,
            body=request.getfixturevalue("document")(self.document),
            query=self.query,
        )


class ClientOwnedObjectSuite(OwnedSuite):
    """A Receiver interface for objects that their owner PUTs at {country_code}/{party_id}/{id}."""

    # ---- who

    @pytest.mark.req("TRN-008", "TRN-012")
    def test_without_a_known_token_nobody_reads_or_writes(self, subject: Subject, stranger: Person) -> None:
        subject.put()

        nameless = subject.owner.get(subject.url(), headers={"Authorization": None}, query=self.query)
        refused = stranger.put(subject.url(), dict(subject.body, last_updated=LATEST), sender=None, query=self.query)

        assert (nameless.http_status, refused.http_status) == (401, 401)
        assert subject.get().data == subject.body

    @pytest.mark.req("TRN-045", "TRN-046", "SEC-35", "SEC-39")
    def test_an_owner_that_is_not_the_callers_is_not_found(self, subject: Subject) -> None:
        subject.put()

        answers = [
            subject.other.get(subject.url(), query=self.query),
            subject.other.put(subject.url(), dict(subject.body, last_updated=LATEST), query=self.query),
            subject.other.get(subject.url(object_id="NOT-THERE"), query=self.query),
        ]

        assert {answer.http_status for answer in answers} == {404}
        assert same_answer(answers[0], answers[2])
        assert subject.get().data == subject.body

    @pytest.mark.req("TRN-096")
    def test_objects_of_two_owners_with_one_id_are_two_objects(self, subject: Subject) -> None:
        subject.put()
        foreign = subject.other.address
        body = dict(subject.body, country_code=foreign.country_code, party_id=foreign.party_id)
        url = subject.url(party=str(foreign))

        answer = subject.other.put(url, body, query=self.query)

        assert answer.codes == (201, 1000)
        assert subject.other.get(url, query=self.query).data == body
        assert subject.get().data == subject.body

    @pytest.mark.req("TRN-056", "TRN-057", "TRN-058", "HUB-08", "HUB-09")
    def test_every_answer_has_the_ids_and_the_swapped_addresses(self, subject: Subject) -> None:
        answers = [subject.put(), subject.get(), subject.owner.get(subject.url(object_id="X"), query=self.query)]

        for answer in answers:
            sent_by, sent_to = answer.headers["OCPI-from-party-id"], answer.headers["OCPI-to-party-id"]
            assert sent_to == subject.owner.address.party_id
            assert sent_by != sent_to

    # ---- PUT

    @pytest.mark.req("TRN-042", "TRN-043", "TRN-094", "TRN-095")
    def test_a_new_object_is_created_and_a_known_one_replaced(self, subject: Subject) -> None:
        created, replaced = subject.put(), subject.put(last_updated=LATEST)

        assert created.codes == (201, 1000)
        assert replaced.codes == (200, 1000)
        assert subject.get().data == {**subject.body, "last_updated": LATEST}

    @pytest.mark.req("TRN-114")
    def test_members_we_do_not_know_are_kept(self, subject: Subject) -> None:
        subject.put(x_note={"b": 1.50, "a": [None]})

        assert subject.get().data["x_note"] == {"b": 1.50, "a": [None]}
        assert '"b": 1.5' in subject.get().text or '"b":1.5' in subject.get().text

    @pytest.mark.req("TRN-083")
    def test_put_leaves_nothing_of_the_former_object(self, subject: Subject) -> None:
        subject.put(x_note="former")

        subject.put(without=self.optional)

        assert subject.get().data == {k: v for k, v in subject.body.items() if k != self.optional}

    @pytest.mark.req("TRN-039", "TRN-082")
    def test_a_put_without_a_required_member_changes_nothing(self, subject: Subject) -> None:
        subject.put()

        answer = subject.put(without=self.required, last_updated=LATEST)

        assert answer.codes == (200, 2001)
        assert self.required in answer.message
        assert subject.get().data == subject.body

    @pytest.mark.req("TRN-039")
    def test_a_put_without_a_required_member_creates_nothing(self, subject: Subject) -> None:
        assert subject.put(without=self.required).codes == (200, 2001)

        assert subject.get().codes == (404, self.unknown)

    @pytest.mark.req("TRN-019")
    @pytest.mark.parametrize("body", [b"", b"{", b"[1]", b'{"id": "A", "id": "B"}', b'\xff{"id": "A"}'])
    def test_a_body_that_is_no_json_object_changes_nothing(self, subject: Subject, body: bytes) -> None:
        subject.put()

        answer = subject.owner.put(subject.url(), body, query=self.query)

        assert answer.codes in {(400, 2000), (200, 2001)}
        assert subject.get().data == subject.body

    @pytest.mark.req("TRN-047", "SEC-35")
    def test_another_id_in_the_body_than_in_the_url_is_refused(self, subject: Subject) -> None:
        answer = subject.owner.put(subject.url(object_id="ANOTHER"), subject.body, query=self.query)

        assert answer.codes == (200, 2001)
        assert subject.owner.get(subject.url(object_id="ANOTHER"), query=self.query).codes == (404, self.unknown)
        assert subject.get().codes == (404, self.unknown)

    @pytest.mark.req("TRN-048", "PIT-58")
    @pytest.mark.parametrize("member", ["country_code", "party_id"])
    def test_another_owner_in_the_body_than_in_the_url_is_refused(self, subject: Subject, member: str) -> None:
        answer = subject.put(**{member: "ZZ" if member == "country_code" else "ZZZ"})

        assert answer.codes == (200, 2001)
        assert member in answer.message
        assert subject.get().codes == (404, self.unknown)

    @pytest.mark.req("TRN-097", "PIT-16")
    def test_the_key_ignores_case_and_keeps_its_first_spelling(self, subject: Subject) -> None:
        subject.put()
        address = subject.owner.address
        lower = {
            "country_code": address.country_code.lower(),
            "party_id": address.party_id.lower(),
            self.id_member: subject.object_id.lower(),
        }
        url = f"{self.path}/{lower['country_code']}/{lower['party_id']}/{lower[self.id_member]}"

        answer = subject.owner.put(url, {**subject.body, **lower, "last_updated": LATEST}, query=self.query)

        assert answer.codes == (200, 1000)
        assert subject.get().data == {**subject.body, "last_updated": LATEST}
        assert subject.owner.get(url, query=self.query).data == subject.get().data

    @pytest.mark.req("TRN-091", "PIT-55", "REL-49")
    def test_an_older_put_is_not_applied_and_an_equal_one_is(self, subject: Subject) -> None:
        subject.put(last_updated=LATEST)

        older = subject.put(last_updated=LATER, x_note="older")
        unchanged = subject.get().data
        equal = subject.put(last_updated=LATEST, x_note="equal")

        assert older.codes == (200, 2001)
        assert LATER in older.message
        assert LATEST in older.message
        assert "x_note" not in unchanged
        assert equal.codes == (200, 1000)
        assert subject.get().data["x_note"] == "equal"

    @pytest.mark.req("REL-53")
    def test_a_time_stamp_far_ahead_does_not_block_what_follows(self, subject: Subject) -> None:
        ahead = format_datetime(datetime.now(UTC) + timedelta(days=30))
        subject.put(last_updated=ahead)

        answer = subject.put(last_updated=LATEST, x_note="follows")

        assert answer.codes == (200, 1000)
        assert subject.get().data["x_note"] == "follows"

    # ---- GET

    @pytest.mark.req("TRN-040", "TRN-041")
    def test_what_is_not_there_is_not_found(self, subject: Subject) -> None:
        answer = subject.get()

        assert answer.codes == (404, self.unknown)
        assert not answer.has_data

    # ---- methods

    @pytest.mark.req("TRN-021", "TRN-093", "TRN-095")
    def test_methods_it_does_not_have_are_not_allowed(self, subject: Subject) -> None:
        subject.put()
        missing = [
            "POST",
            *([] if self.deletable else ["DELETE"]),
            *([] if isinstance(self, PatchSuite) else ["PATCH"]),
        ]

        answers = {method: subject.owner.request(method, subject.url(), {}, query=self.query) for method in missing}

        assert {method: answer.http_status for method, answer in answers.items()} == dict.fromkeys(missing, 405)
        assert subject.get().data == subject.body


class PatchSuite(OwnedSuite):
    """The PATCH of such objects."""

    @pytest.mark.req("TRN-084")
    def test_patch_changes_only_what_it_names(self, subject: Subject) -> None:
        subject.put()

        answer = subject.patch(x_note="patched", last_updated=LATEST)

        assert answer.codes == (200, 1000)
        assert subject.get().data == {**subject.body, "x_note": "patched", "last_updated": LATEST}

    @pytest.mark.req("TRN-085", "PIT-56")
    def test_patch_without_last_updated_is_refused(self, subject: Subject) -> None:
        subject.put()

        answer = subject.patch(x_note="patched")

        assert answer.codes == (200, 2001)
        assert "last_updated" in answer.message
        assert subject.get().data == subject.body

    @pytest.mark.req("REL-53")
    def test_a_time_stamp_far_ahead_blocks_no_patch(self, subject: Subject) -> None:
        subject.put(last_updated=format_datetime(datetime.now(UTC) + timedelta(days=30)))

        answer = subject.patch(last_updated=LATEST, x_note="follows")

        assert answer.codes == (200, 1000)
        assert subject.get().data["x_note"] == "follows"

    @pytest.mark.req("TRN-044", "PIT-54")
    def test_patch_of_what_is_not_there_is_not_found(self, subject: Subject) -> None:
        answer = subject.patch(x_note="patched", last_updated=LATEST)

        assert answer.codes == (404, self.unknown)
        assert subject.get().codes == (404, self.unknown)

    @pytest.mark.req("TRN-088")
    def test_null_clears_an_optional_member(self, subject: Subject) -> None:
        subject.put()

        subject.patch(**{self.optional: None, "last_updated": LATEST})

        assert self.optional in subject.body
        assert self.optional not in subject.get().data

    @pytest.mark.req("TRN-088", "TRN-089")
    def test_null_for_a_required_member_is_refused(self, subject: Subject) -> None:
        subject.put()

        answer = subject.patch(**{self.required: None, "last_updated": LATEST})

        assert answer.codes == (200, 2001)
        assert self.required in answer.message
        assert subject.get().data == subject.body

    @pytest.mark.req("TRN-089")
    def test_a_patch_that_breaks_the_object_is_refused(self, subject: Subject) -> None:
        subject.put()

        answer = subject.patch(**{self.required: {"no": "such thing"}, "last_updated": LATEST})

        assert answer.codes == (200, 2001)
        assert subject.get().data == subject.body

    @pytest.mark.req("TRN-090", "SEC-36")
    def test_patch_cannot_change_who_it_is(self, subject: Subject) -> None:
        subject.put()

        others = {"country_code": "ZZ", "party_id": "ZZZ", self.id_member: "ANOTHER"}
        answers = {name: subject.patch(**{name: other, "last_updated": LATEST}) for name, other in others.items()}

        assert {name: answer.codes for name, answer in answers.items()} == dict.fromkeys(others, (200, 2001))
        assert subject.get().data == subject.body

    @pytest.mark.req("TRN-090", "TRN-097")
    def test_patch_may_repeat_who_it_is_in_any_case(self, subject: Subject) -> None:
        subject.put()

        answer = subject.patch(**{self.id_member: subject.object_id.lower(), "last_updated": LATEST})

        assert answer.codes == (200, 1000)
        assert subject.get().data == {**subject.body, "last_updated": LATEST}

    @pytest.mark.req("TRN-091")
    def test_an_older_patch_is_not_applied(self, subject: Subject) -> None:
        subject.put(last_updated=LATEST)

        answer = subject.patch(x_note="older", last_updated=LATER)

        assert answer.codes == (200, 2001)
        assert "x_note" not in subject.get().data
