"""The admin: every page opens with data, shows no secret, escapes what partners send, and asks before it acts."""

from __future__ import annotations

import html
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pytest_django.fixtures import Settings

from emsp import models as emsp_models
from hub.models import SharedObject
from ocpi import json_html, platform_actions, secrets
from ocpi.admin_pages import member, without_keys
from ocpi.models import (
    CredentialsToken,
    Delivery,
    Endpoint,
    Exchange,
    FinishedDelivery,
    Party,
    Platform,
)
from tests.admin_world import (
    CALLBACK_KEY,
    COMMAND_KEY,
    NOW,
    owned,
)
from tests.admin_world import operator_fixture as operator_fixture
from tests.admin_world import viewer_fixture as viewer_fixture
from tests.admin_world import world_fixture as world_fixture
from tests.fixtures import Partner


def _changelist(model: type[Model]) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def _content(client: Client, url: str) -> str:
    answer = client.get(url)
    assert answer.status_code == 200, (url, answer.status_code)
    return str(answer.content.decode())


def test_the_page_of_an_exchange_joins_all_legs_of_its_message(operator: Client, world: dict[str, Any]) -> None:
    content = _content(operator, reverse("admin:ocpi_exchange_change", args=[1001]))

    picture = content[content.index("<svg viewBox") : content.index("</svg>", content.index("<svg viewBox"))]
    assert picture.count('class="o-arrow"') == 6  # two requests, two answers, two deliveries that wait
    assert "Drivers" in picture
    assert "Owner" in picture
    assert reverse("admin:ocpi_exchange_change", args=[1000]) in picture


def test_exchanges_are_found_by_correlation_id_and_never_counted(operator: Client, world: dict[str, Any]) -> None:
    with CaptureQueriesContext(connection) as queries:
        found = _content(operator, _changelist(Exchange) + "?q=message-1")
    nothing = _content(operator, _changelist(Exchange) + "?q=message-9")

    assert "START_SESSION" in found
    assert "START_SESSION" not in nothing
    counts = [query["sql"] for query in queries if "COUNT(" in query["sql"] and "ocpi_exchange" in query["sql"]]
    assert counts == []


@pytest.mark.parametrize(
    ("model", "copied"),
    [
        (Delivery, {"kind": "RESULT", "slot": 0, "module": "commands", "correlation_id": "c"}),
        (SharedObject, {"module": "tokens", "party_id": "TNM", "last_updated": NOW, "document": "{}"}),
        (emsp_models.Session, {**owned(document="{}"), "status": "ACTIVE", "token_uid": "1", "start_date_time": NOW}),
    ],
    ids=["deliveries", "shared objects", "sessions"],
)
def test_a_longer_list_costs_no_more_queries(
    model: type[Model], copied: dict[str, Any], operator: Client, world: dict[str, Any]
) -> None:
    name = {Delivery: "order_key", SharedObject: "path", emsp_models.Session: "object_id"}[model]
    _content(operator, _changelist(model))
    with CaptureQueriesContext(connection) as few:
        _content(operator, _changelist(model))
    model._default_manager.bulk_create(
        model(platform=world["owner"].platform, **copied, **{name: f"more-{number}"}) for number in range(20)
    )

    with CaptureQueriesContext(connection) as many:
        content = _content(operator, _changelist(model))

    assert len(many) == len(few) <= 12
    assert "more-19" in content or model is Delivery


def test_more_platforms_cost_no_more_queries(operator: Client, world: dict[str, Any], partner: Partner) -> None:
    _content(operator, _changelist(Platform))
    with CaptureQueriesContext(connection) as few:
        _content(operator, _changelist(Platform))
    for number in range(8):
        partner(f"FR*P{number:02}:CPO")

    with CaptureQueriesContext(connection) as many:
        _content(operator, _changelist(Platform))

    assert len(many) == len(few) <= 14


def test_a_token_is_known_by_its_purpose_and_last_four_only(operator: Client, world: dict[str, Any]) -> None:
    content = _content(operator, reverse("admin:ocpi_platform_change", args=[world["owner"].id]))

    assert world["owner"].token[-4:] in content
    assert CredentialsToken.Purpose.CURRENT.label in html.unescape(content)
    assert str(Endpoint.objects.filter(platform=world["owner"].platform)[0].url) in content


def test_an_invitation_shows_its_token_once(operator: Client, settings: Settings) -> None:
    answer = operator.post(reverse("admin:ocpi_platform_invite"), {"name": "New", "parties": "NL*ABC:CPO\n"})

    token = re.search(r"<dt>Token A</dt><dd><code>([^<]+)</code>", answer.content.decode())
    assert token
    platform = Platform.objects.get(name="New")
    assert CredentialsToken.objects.get(platform=platform).digest == secrets.digest(html.unescape(token[1]))
    assert [str(party) for party in Party.objects.filter(platform=platform, approved=True)] == ["NL*ABC:CPO"]
    assert f"{settings.OCPI_BASE_URL}/ocpi/versions" in answer.content.decode()
    assert "no-store" in answer.headers["Cache-Control"]
    assert token[1] not in _content(operator, reverse("admin:ocpi_platform_change", args=[platform.pk]))


def test_an_invitation_says_which_of_its_roles_others_have(operator: Client, partner: Partner) -> None:
    partner("NL*ABC:CPO", name="Polder <b>")
    parties = "nl*abc:CPO\nNL*ABC:EMSP\n"

    page = operator.post(reverse("admin:ocpi_platform_invite"), {"name": "New", "parties": parties}).content.decode()

    assert html.escape("Polder <b> acts as CPO for NL*ABC already: New can do so only once") in page
    assert "EMSP for" not in page


def test_an_invitation_with_a_wrong_role_names_the_rule_and_creates_nothing(operator: Client) -> None:
    answer = operator.post(reverse("admin:ocpi_platform_invite"), {"name": "New", "parties": "NL*ABC"})

    assert "must look like NL*TNM:CPO" in answer.content.decode()
    assert not Platform.objects.exists()


@pytest.mark.req("SEC-53")
def test_approving_a_party_is_asked_twice(operator: Client, world: dict[str, Any]) -> None:
    party = Party.objects.get(party_id="EMS")
    chosen = {"action": "approve", "_selected_action": [str(party.pk)]}

    asked = operator.post(_changelist(Party), chosen)
    still = Party.objects.get(pk=party.pk).approved
    done = operator.post(_changelist(Party), {**chosen, "confirmed": "yes"})

    assert "Let these platforms act as these parties?" in asked.content.decode()
    assert (still, Party.objects.get(pk=party.pk).approved) == (False, True)
    assert done.status_code == 302


def test_a_party_that_is_active_elsewhere_or_ours_is_not_approved(partner: Partner, hub_side: None) -> None:
    partner("DE*EMS:EMSP", name="first")
    partner("DE*EMS:EMSP", "NL*HUB:HUB", "DE*OWN:EMSP", name="second", approved=False)
    rows = Party.objects.filter(platform__name="second")

    approved, refused = platform_actions.approve([party.pk for party in rows])

    assert [str(party) for party in approved] == ["DE*OWN:EMSP"]
    assert sorted(str(party) for party in refused) == ["DE*EMS:EMSP", "NL*HUB:HUB"]
    assert [str(party) for party in rows.filter(approved=True)] == ["DE*OWN:EMSP"]


@pytest.mark.req("SEC-53")
def test_who_may_only_look_sees_no_buttons_and_cannot_act(viewer: Client, world: dict[str, Any]) -> None:
    platform = world["owner"].platform
    urls = [reverse(f"admin:ocpi_platform_{name}", args=[platform.pk]) for name in ("suspend", "resume", "reopen_lane")]

    page = _content(viewer, reverse("admin:ocpi_platform_change", args=[platform.pk]))
    answers = [viewer.post(url, {"confirmed": "yes"}) for url in urls]
    answers.append(viewer.post(reverse("admin:ocpi_platform_invite"), {"name": "New"}))
    viewer.post(_changelist(Party), {"action": "approve", "_selected_action": ["1"], "confirmed": "yes"})

    assert not any(url in page for url in urls)
    assert {answer.status_code for answer in answers} == {403}
    assert Platform.objects.get(pk=platform.pk).connection == "CONNECTED"
    assert not Party.objects.get(party_id="EMS").approved


def test_a_platform_is_suspended_and_resumed_after_a_question(operator: Client, world: dict[str, Any]) -> None:
    pk = world["owner"].id

    def connection_after(action: str, **answer: str) -> str:
        operator.post(reverse(f"admin:ocpi_platform_{action}", args=[pk]), answer)
        return str(Platform.objects.get(pk=pk).connection)

    assert connection_after("suspend") == "CONNECTED"
    assert connection_after("suspend", confirmed="yes") == "SUSPENDED"
    assert set(Delivery.objects.filter(kind="STATE").values_list("state", flat=True)) == {"MARKED"}
    assert set(Delivery.objects.filter(kind="RESULT").values_list("state", flat=True)) == {"PENDING"}
    assert connection_after("resume", confirmed="yes") == "CONNECTED"


def test_reopening_a_lane_ends_pause_and_back_off(operator: Client, world: dict[str, Any]) -> None:
    pk = world["owner"].id
    later = datetime.now(UTC) + timedelta(hours=1)
    Platform.objects.filter(pk=pk).update(paused_reason="HTTP 401", backoff_until=later, failures=2)
    Delivery.objects.update(due_at=later)

    operator.post(reverse("admin:ocpi_platform_reopen_lane", args=[pk]), {"confirmed": "yes"})

    platform = Platform.objects.get(pk=pk)
    assert (platform.paused_reason, platform.backoff_until, platform.failures) == ("", None, 0)
    assert not Delivery.objects.filter(due_at__gt=datetime.now(UTC)).exists()


def test_a_mark_is_sent_again_and_another_given_up(operator: Client, world: dict[str, Any]) -> None:
    mark = Delivery.objects.get(kind="STATE")
    Delivery.objects.filter(pk=mark.pk).update(state="MARKED", attempts=3, due_at=NOW + timedelta(days=1))
    chosen = {"_selected_action": [str(mark.pk)], "confirmed": "yes"}

    operator.post(_changelist(Delivery), {**chosen, "action": "send_again"})
    mark.refresh_from_db()
    operator.post(_changelist(Delivery), {**chosen, "action": "give_up"})

    assert (mark.state, mark.attempts) == ("PENDING", 0)
    assert not Delivery.objects.filter(pk=mark.pk).exists()
    dead = FinishedDelivery.objects.get(source_id=1)
    assert (dead.state, dead.path, dead.correlation_id) == ("DEAD", "NL/TNM/LOC1", "message-1")
    assert dead.error == "given up by operator; "


def test_a_finished_delivery_goes_out_again_as_one(operator: Client, world: dict[str, Any]) -> None:
    dead = FinishedDelivery.objects.get()
    values = {field.name: getattr(dead, field.name) for field in dead._meta.concrete_fields if field.name != "id"}
    refused = FinishedDelivery.objects.create(**values | {"state": "REFUSED"})
    delivered = FinishedDelivery.objects.create(**values | {"state": "DELIVERED", "source_id": 3})
    late = FinishedDelivery.objects.create(
        **values | {"kind": "RESULT", "source": "", "source_id": None, "deadline_at": NOW - timedelta(days=9)}
    )
    chosen = [str(row.pk) for row in (dead, refused, delivered, late)]

    operator.post(
        _changelist(FinishedDelivery), {"action": "send_again", "_selected_action": chosen, "confirmed": "yes"}
    )

    again = Delivery.objects.filter(source="hub.SharedObject", source_id__in=[2, 3])
    assert sorted(again.values_list("source_id", "state", "attempts")) == [(2, "PENDING", 0), (3, "PENDING", 0)]
    left = set(FinishedDelivery.objects.values_list("pk", flat=True))
    assert left == {delivered.pk, late.pk}


@pytest.mark.req("SEC-54")
def test_a_page_of_the_admin_has_no_script_of_its_own(operator: Client, world: dict[str, Any]) -> None:
    content = _content(operator, "/admin/")

    assert re.findall(r"<script(?![^>]*src=)", content) == []
    # Without it a browser sends "Origin: null" and no form of the admin works.
    assert '<meta name="referrer" content="same-origin">' in content


def test_somebody_can_log_in_with_a_password(db: None) -> None:
    User.objects.create_superuser("operator", password="a long password of an operator")
    client = Client()

    refused = client.post("/admin/login/", {"username": "operator", "password": "wrong"})
    answer = client.post("/admin/login/", {"username": "operator", "password": "a long password of an operator"})

    assert refused.status_code == 200
    assert (answer.status_code, answer.headers["Location"]) == (302, "/admin/")
    assert client.get("/admin/").status_code == 200


def test_the_first_page_has_numbers_with_lists_behind_them(
    operator: Client, world: dict[str, Any], both_sides: None
) -> None:
    content = _content(operator, "/admin/")

    for title in ("Platforms connected", "Deliveries pending", "Sessions active", "CDRs today"):
        assert title in content
    for url in re.findall(r'class="o-figure[^"]*" href="([^"]+)"', content):
        assert operator.get(html.unescape(url)).status_code == 200, url


@pytest.mark.parametrize(
    "text",
    ['{"a":1.50,"b":[],"c":{},"d":[1,{"e":null}],"f":"x: {y}, \\"z\\""}', "[]", '"text"', "1.500", "true"],
)
def test_json_is_laid_out_without_changing_a_value(text: str) -> None:
    shown = html.unescape(re.sub(r"<[^>]+>", "", json_html.pretty(text)))

    assert json.loads(shown) == json.loads(text)
    assert ("1.50" in shown) == ("1.50" in text)


@pytest.mark.parametrize("text", ["<b>", '{"a":', '{"a":"<b>"}', '["</pre><script>"]', '{"<i>":1}'])
def test_text_in_json_and_text_that_is_no_json_is_escaped(text: str) -> None:
    shown = json_html.pretty(text)

    assert not re.search(r"<(?!/?(pre|span)\b)", shown)
    assert html.unescape(re.sub(r"</?(pre|span)[^>]*>", "", shown)).replace("\n", "").replace(" ", "") == text


def test_numbers_of_a_document_are_shown_as_they_are_written() -> None:
    assert member('{"kwh":1.500,"cost":{"excl_vat":4.00}}', "kwh") == "1.500"
    assert member('{"kwh":1.500,"cost":{"excl_vat":4.00}}', "cost", "excl_vat") == "4.00"
    assert member('{"kwh":null}', "kwh") is None
    assert member("no document", "kwh") is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"http://x/ocpi/hub/2.2.1/callbacks/{CALLBACK_KEY}", "http://x/ocpi/hub/2.2.1/callbacks/…tail"),
        (f'"commands\\/STOP_SESSION\\/{COMMAND_KEY}"', '"commands\\/STOP_SESSION\\/…tail"'),
        (
            f"/chargingprofiles/results/ClearProfileResult/{COMMAND_KEY}",
            "/chargingprofiles/results/ClearProfileResult/…tail",
        ),
        ("/ocpi/emsp/2.2.1/commands/STOP_SESSION", "/ocpi/emsp/2.2.1/commands/STOP_SESSION"),
        ("/locations/NL/TNM/a-long-name-of-a-location-1234567", "/locations/NL/TNM/a-long-name-of-a-location-1234567"),
    ],
)
def test_keys_are_cut_out_of_urls(text: str, shown: str) -> None:
    assert without_keys(text) == shown
