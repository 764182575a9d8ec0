"""What every list of a Sender interface must do: declare its place, reader and path, say how to make one object.

See `class TestTokensList(ListSuite)` in test_emsp_tokens.py.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest

from ocpi.v2_2_1.types import format_datetime
from tests.answers import OcpiAnswer
from tests.people import Person
from tests.statements import at_most


class ListSuite:
    """A Sender interface with a paginated list."""

    place: ClassVar[str]
    reader: ClassVar[str]
    path: ClassVar[str]
    id_member: ClassVar[str] = "id"
    date_required: ClassVar[bool] = False
    missing: ClassVar[tuple[str, ...]] = ("POST", "PUT", "PATCH", "DELETE")
    queries: ClassVar[int] = 4

    START: ClassVar[datetime] = datetime(2026, 1, 1, tzinfo=UTC)

    def make(self, index: int, moment: datetime) -> str:
        """Store one object that the reader may see; return its id."""
        raise AssertionError("a suite says how its objects come to be")

    @pytest.fixture
    def asking(self, request: pytest.FixtureRequest) -> Person:
        request.getfixturevalue(self.place)
        person = request.getfixturevalue(self.reader)
        assert isinstance(person, Person)
        return person

    def fill(self, count: int) -> list[str]:
        """Store objects, an hour apart; return their ids."""
        return [self.make(index, self.START + timedelta(hours=index)) for index in range(count)]

    def ask(self, asking: Person, **query: Any) -> OcpiAnswer:
        if self.date_required:
            query = {"date_from": "2000-01-01T00:00:00Z", **query}
        return asking.get(self.path, query=query)

    def ids(self, answer: OcpiAnswer) -> list[str]:
        return [element[self.id_member] for element in answer.data]

    @pytest.mark.req("TRN-008", "TRN-012")
    def test_without_a_known_token_there_is_no_list(self, asking: Person, stranger: Person) -> None:
        answer = stranger.get(self.path, sender=None)

        assert answer.http_status == 401

    @pytest.mark.req("PIT-25", "TRN-028", "TRN-071", "TRN-072")
    def test_an_empty_list_is_a_list(self, asking: Person) -> None:
        answer = self.ask(asking)

        assert answer.codes == (200, 1000)
        assert answer.data == []
        assert answer.headers["X-Total-Count"] == "0"
        assert "Link" not in answer.headers

    @pytest.mark.req("TRN-068", "TRN-070", "TRN-071", "TRN-073", "TRN-074", "TRN-075", "PIT-23", "PIT-24")
    def test_following_the_links_gives_everything_once(self, asking: Person) -> None:
        stored = self.fill(5)

        pages = [self.ask(asking, limit=2)]
        while "Link" in pages[-1].headers:
            pages.append(asking.get(pages[-1].headers["Link"].partition(">")[0].lstrip("<")))

        assert [self.ids(page) for page in pages] == [stored[:2], stored[2:4], stored[4:]]
        assert {page.headers["X-Total-Count"] for page in pages} == {"5"}
        assert {page.headers["X-Limit"] for page in pages} == {"2"}

    @pytest.mark.req("TRN-066", "PIT-60")
    def test_an_offset_of_the_clients_own_works(self, asking: Person) -> None:
        stored = self.fill(4)

        assert self.ids(self.ask(asking, offset=1, limit=2)) == stored[1:3]
        assert self.ids(self.ask(asking, offset=4)) == []

    @pytest.mark.req("TRN-064", "TRN-065")
    def test_date_from_is_included_and_date_to_is_not(self, asking: Person) -> None:
        stored = self.fill(4)

        dates = {"date_from": _hour(1), "date_to": _hour(3)}
        answer = self.ask(asking, limit=1, **dates)
        following = asking.get(answer.headers["Link"].partition(">")[0].lstrip("<"))

        assert answer.headers["X-Total-Count"] == "2"
        assert self.ids(answer) + self.ids(following) == stored[1:3]

    @pytest.mark.req("TRN-079")
    @pytest.mark.parametrize(
        "query", [{"limit": "0"}, {"limit": "x"}, {"offset": "-1"}, {"date_from": "yesterday"}, {"offset": "1.5"}]
    )
    def test_a_query_that_makes_no_sense_is_refused(self, asking: Person, query: dict[str, str]) -> None:
        answer = self.ask(asking, **query)

        assert answer.codes == (200, 2001)
        assert next(iter(query)) in answer.message

    @pytest.mark.req("TRN-021", "TRN-093")
    def test_methods_the_list_does_not_have_are_not_allowed(self, asking: Person) -> None:
        answers = {method: asking.request(method, self.path, {}) for method in self.missing}

        assert {method: answer.http_status for method, answer in answers.items()} == dict.fromkeys(self.missing, 405)

    def test_a_page_takes_few_statements(self, asking: Person) -> None:
        self.fill(6)
        self.ask(asking)

        with at_most(self.queries):
            answer = self.ask(asking, limit=5)

        assert len(answer.data) == 5


def _hour(index: int) -> str:
    return format_datetime(ListSuite.START + timedelta(hours=index))
