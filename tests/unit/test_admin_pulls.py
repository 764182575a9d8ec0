"""Admin pages of pulls: what an operator sees, and what the buttons do."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from hub import metrics
from ocpi.models import PullCursor, PulledInvalid
from tests.admin_world import operator_fixture as operator_fixture
from tests.admin_world import viewer_fixture as viewer_fixture
from tests.fixtures import Partner
from tests.people import Person

LATER = datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture
def owner(emsp_side: None, partner: Partner) -> Person:
    return partner("NL*TNM:CPO", name="Polder")


@pytest.fixture
def row(owner: Person) -> PullCursor:
    return PullCursor.objects.create(
        platform_id=owner.id, module="tariffs", to_country_code="NL", to_party_id="TNM", due_at=LATER,
        result="FAILED", error="HTTP 503", failures=3, succeeded_at=datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip


@pytest.fixture
def invalid(owner: Person) -> PulledInvalid:
    return PulledInvalid.objects.create(
        platform_id=owner.id, module="tariffs", key="NL*TNM*BAD", field="currency", reason="currency: is required",
        document='{"id":"BAD","elements":[]}', request_id="request-7",
    )  # fmt: skip


def _page(client: Client, url: str) -> str:
    answer = client.get(url)
    assert answer.status_code == 200
    return str(answer.content.decode())


def test_an_operator_sees_how_far_a_pull_is(operator: Client, row: PullCursor) -> None:
    shown = _page(operator, reverse("admin:ocpi_pullcursor_changelist"))

    assert all(text in shown for text in ("tariffs of NL*TNM", "Polder", "FAILED", "HTTP 503"))


@pytest.mark.req("TRN-105")
def test_an_operator_reads_an_invalid_object_with_its_reason(operator: Client, invalid: PulledInvalid) -> None:
    shown = _page(operator, reverse("admin:ocpi_pulledinvalid_change", args=[invalid.pk]))

    assert all(text in shown for text in ("NL*TNM*BAD", "currency: is required", "request-7", "Polder", "elements"))


def test_the_page_of_a_platform_links_to_its_pulls(
    operator: Client, owner: Person, row: PullCursor, invalid: PulledInvalid
) -> None:
    shown = _page(operator, reverse("admin:ocpi_platform_change", args=[owner.id]))

    for model, words in (("pullcursor", "1 pulls"), ("pulledinvalid", "1 invalid objects")):
        url = f"{reverse(f'admin:ocpi_{model}_changelist')}?platform__id__exact={owner.id}"
        assert f'<a href="{url}">{words}</a>' in shown
        assert "tariffs" in _page(operator, url)


@pytest.mark.parametrize(("button", "full"), [("pull-now", False), ("pull-whole", True)])
def test_a_button_makes_a_pull_due_after_a_question(operator: Client, row: PullCursor, button: str, full: bool) -> None:
    url = reverse("admin:ocpi_pullcursor_change", args=[row.pk]).replace("/change/", f"/{button}/")
    assert "now?" in _page(operator, url)
    row.refresh_from_db()
    assert (row.due_at, row.full_wanted) == (LATER, False)

    answer = operator.post(url, {"confirmed": "yes"})

    assert answer.status_code == 302
    row.refresh_from_db()
    assert row.due_at < datetime.now(UTC)
    assert (row.full_wanted, row.failures) == (full, 0)


def test_a_choice_of_pulls_is_made_due_together(operator: Client, row: PullCursor) -> None:
    data: dict[str, Any] = {"action": "pull_chosen_whole", "_selected_action": [row.pk], "confirmed": "yes"}

    operator.post(reverse("admin:ocpi_pullcursor_changelist"), data)

    row.refresh_from_db()
    assert row.full_wanted


def test_who_may_only_look_cannot_pull(viewer: Client, row: PullCursor) -> None:
    url = reverse("admin:ocpi_pullcursor_change", args=[row.pk]).replace("/change/", "/pull-now/")

    assert viewer.post(url, {"confirmed": "yes"}).status_code == 403
    row.refresh_from_db()
    assert row.due_at == LATER


def test_pulls_are_numbers_of_the_instance(row: PullCursor, invalid: PulledInvalid) -> None:
    found = {
        sample.name: sample
        for metric in metrics.Numbers().collect()
        for sample in metric.samples
        if sample.name.startswith("ocpi_pull")
    }

    assert all(sample.labels == {"platform": "Polder", "module": "tariffs"} for sample in found.values())
    assert found["ocpi_pull_success_age_seconds"].value > 86400
    assert (found["ocpi_pull_failures"].value, found["ocpi_pull_invalid"].value) == (3, 1)
