"""The admin: every page opens with data, shows no secret, escapes what partners send, and asks before it acts."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from auditlog.models import LogEntry
from axes.models import AccessAttempt
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pytest_django.fixtures import Settings

from cpo import models as cpo_models
from emsp import models as emsp_models
from hub.models import Callback, SharedObject
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
    WorkerHeartbeat,
)
from tests.fixtures import Document, Partner
from tests.people import Person

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
EVIL = "<script>alert(1)</script>"
CALLBACK_KEY = "c" * 20 + "allback-key-of-43-charac"[:19] + "tail"
COMMAND_KEY = "command-key-that-nobody-sees-tail"
CDR_KEY = "cdr-key-that-nobody-sees-at-tail"
PASSWORD_HASH = "hash-of-a-charge-points-password"
PARTNER_PATH = "unguessable-path-of-a-partner"

REGISTERED = sorted(admin.site._registry, key=lambda model: model._meta.label)


@pytest.fixture
def operator(db: None) -> Client:
    """Somebody who is logged in and may do everything."""
    client = Client()
    user = User.objects.create_superuser("operator", password="a long password of an operator")
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def viewer(db: None) -> Client:
    """Somebody who may look at platforms and parties, and nothing else."""
    client = Client()
    user = User.objects.create_user("viewer", password="a long password of a viewer", is_staff=True)
    names = ["view_platform", "view_party", "view_delivery"]
    from_model = user.user_permissions.model
    user.user_permissions.add(*from_model.objects.filter(codename__in=names, content_type__app_label="ocpi"))
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def world(partner: Partner, document: Document) -> dict[str, Any]:
    """At least one row of everything that has a page; the names of partners are hostile."""
    owner = partner("NL*TNM:CPO", name=f"Owner {EVIL}")
    drivers = partner("DE*EMS:EMSP", name="Drivers", approved=False)
    _of_protocol(owner, drivers)
    _of_hub(owner, drivers)
    _of_cpo(document, drivers)
    _of_emsp(document, owner)
    Group.objects.create(name="operators")
    AccessAttempt.objects.create(username="somebody", ip_address="192.0.2.1", failures_since_start=1)
    LogEntry.objects.log_create(Group.objects.get(), action=LogEntry.Action.CREATE, changes={"name": ["", "x"]})
    return {"owner": owner, "drivers": drivers}


def _of_protocol(owner: Person, drivers: Person) -> None:
    common: dict[str, Any] = {
        "platform": owner.platform, "order_key": "LOC1", "slot": 1, "module": "locations", "path": "NL/TNM/LOC1",
        "correlation_id": "message-1",
    }  # fmt: skip
    Delivery.objects.create(kind="STATE", source="hub.SharedObject", source_id=1, **common)
    Delivery.objects.create(
        kind="RESULT",
        body="{}",
        **common | {"path": "", "url": f"http://a.example/commands/STOP_SESSION/{COMMAND_KEY}"},
    )
    FinishedDelivery.objects.create(kind="STATE", state="DEAD", source="hub.SharedObject", source_id=2, **common)
    WorkerHeartbeat.objects.create(id="6f0e8fb2-7a0f-4d6a-9a64-0c8a4e7a1b11", backend_pid=1, host="here")
    for number, (direction, person) in enumerate([("IN", drivers), ("OUT", owner)]):
        Exchange.objects.create(
            id=1000 + number, at=NOW + timedelta(milliseconds=number), direction=direction, platform=person.platform,
            method="POST", url=f"/ocpi/hub/2.2.1/callbacks/{CALLBACK_KEY}", module="commands",
            object_path=f"START_SESSION/{COMMAND_KEY}", request_id=f"request-{number}", correlation_id="message-1",
            http_status=200, status_code=1000, milliseconds=4.5, request_headers="Authorization: Token …abcd",
            request_body=json.dumps({"response_url": f"http://x/ocpi/hub/2.2.1/callbacks/{CALLBACK_KEY}", "n": EVIL}),
            response_body=EVIL,
        )  # fmt: skip


def _of_hub(owner: Person, drivers: Person) -> None:
    assert owner.platform
    assert drivers.platform
    SharedObject.objects.create(
        platform=owner.platform, module="locations", country_code="NL", party_id="TNM", path="LOC1", last_updated=NOW,
        document=json.dumps({"name": EVIL}),
    )  # fmt: skip
    Callback.objects.create(
        key=CALLBACK_KEY, kind="RESPONSE_URL", url=f"http://a.example/{PARTNER_PATH}", owner=owner.platform,
        caller=drivers.platform, module="commands", correlation_id="message-1",
    )  # fmt: skip


def _object(**columns: Any) -> dict[str, Any]:
    return {"country_code": "NL", "party_id": "TNM", "last_updated": NOW, **columns}


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _of_cpo(document: Document, drivers: Person) -> None:
    models = cpo_models
    assert drivers.platform
    emsp = {"emsp_country_code": "DE", "emsp_party_id": "EMS"}
    location = models.Location.objects.create(
        **_object(object_id="LOC1", document=_text(document("location", name=EVIL)), time_zone="Europe/Amsterdam")
    )
    point = models.ChargePoint.objects.create(
        identity="CP-1", country_code="NL", party_id="TNM", password_digest=PASSWORD_HASH, boot_data={"model": EVIL}
    )
    models.ChargePointConnector.objects.create(charge_point=point, connector_id=1, status="Charging")
    models.ChargePointDeviation.objects.create(charge_point=point, action="Heartbeat", kind="odd")
    evse = models.EVSE.objects.create(
        location=location, uid="3256", status="CHARGING", last_updated=NOW, document=_text(document("evse")),
        charge_point=point, connector_id=1,
    )  # fmt: skip
    models.Tariff.objects.create(**_object(object_id="12", document=_text(document("tariff"))))
    session = models.Session.objects.create(
        **_object(object_id="S1", document=_text(document("session")), status="ACTIVE", token_uid="1"),
        start_date_time=NOW, location_id="LOC1", **emsp,
    )  # fmt: skip
    models.CDR.objects.create(
        **_object(object_id="C1", document=_text(document("cdr")), token_uid="1", start_date_time=NOW), **emsp
    )
    models.Token.objects.create(
        **_object(object_id="1", document=_text(document("token_rfid")), uid="1", type="RFID", contract_id="C"),
        valid=True, whitelist="ALWAYS", id_tag="1",
    )  # fmt: skip
    transaction = models.Transaction.objects.create(
        charge_point=point, connector_id=1, transaction_id=7, id_tag="1", authorised=True, started_at=NOW,
        meter_start=0, session=session, snapshot=_text({"a": 1}), flags=["odd"],
    )  # fmt: skip
    models.MeterReading.objects.create(transaction=transaction, at=NOW, register_wh=5)
    message = models.InboxMessage.objects.create(
        charge_point=point, epoch=1, received_at=NOW, protocol="ocpp1.6", action="StopTransaction", message_id="m",
        payload=_text({"transactionId": 7}), payload_hash="h",
    )  # fmt: skip
    models.UnmatchedStop.objects.create(charge_point=point, message=message, transaction=transaction)
    models.Operation.objects.create(
        charge_point=point, action="ChangeConfiguration", asked_by="somebody",
        payload=_text({"key": "AuthorizationKey", "value": PASSWORD_HASH}),
    )  # fmt: skip
    models.UnknownChargePoint.objects.create(identity=EVIL)
    models.FrameLog.objects.create(
        at=NOW, charge_point=point, node="n", epoch=1, outgoing=False, action="Heartbeat", message_id="m", text="[2]"
    )
    models.GatewayNode.objects.create(name="node-1")
    models.Command.objects.create(
        platform=drivers.platform, response_url=f"http://e.example/ocpi/emsp/2.2.1/commands/STOP_SESSION/{COMMAND_KEY}",
        digest="d", command="STOP_SESSION", state="DONE", country_code="DE", party_id="EMS", cpo_country_code="NL",
        cpo_party_id="TNM", request=_text({"response_url": f"http://e/commands/STOP_SESSION/{COMMAND_KEY}"}),
        response="{}", correlation_id="message-2", charge_point=point, evse=evse, deadline_at=NOW, give_up_at=NOW,
    )  # fmt: skip


def _of_emsp(document: Document, owner: Person) -> None:
    models = emsp_models
    assert owner.platform
    location = models.Location.objects.create(
        **_object(object_id="LOC1", document=_text(document("location", name=EVIL)))
    )
    models.EVSE.objects.create(
        location=location, uid="3256", status="CHARGING", last_updated=NOW, document=_text(document("evse"))
    )
    models.Tariff.objects.create(**_object(object_id="12", document=_text(document("tariff"))))
    models.Session.objects.create(
        **_object(object_id="S1", document=_text(document("session")), status="ACTIVE", token_uid="1"),
        start_date_time=NOW, platform=owner.platform,
    )  # fmt: skip
    models.CDR.objects.create(
        **_object(object_id="C1", document=_text(document("cdr")), token_uid="1", start_date_time=NOW),
        platform=owner.platform, key=CDR_KEY, digest="d", verdict="mismatch", check_result=_text({"n": EVIL}),
    )  # fmt: skip
    token = models.Token.objects.create(
        **_object(object_id="1", document=_text(document("token_rfid")), uid="1", type="RFID", contract_id="C"),
        valid=True, whitelist="ALWAYS",
    )  # fmt: skip
    models.Authorization.objects.create(reference="r", token=token, platform=owner.platform, allowed="ALLOWED")
    models.Command.objects.create(
        key=COMMAND_KEY, command="STOP_SESSION", state="DONE", platform=owner.platform, country_code="NL",
        party_id="TNM", request=_text({"response_url": f"http://e/emsp/2.2.1/commands/STOP_SESSION/{COMMAND_KEY}"}),
        correlation_id="message-2",
    )  # fmt: skip


def _changelist(model: type[Model]) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def _pages(model: type[Model]) -> Iterator[str]:
    yield _changelist(model)
    for row in model._default_manager.order_by("pk")[:3]:
        yield reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[row.pk])


def _content(client: Client, url: str) -> str:
    answer = client.get(url)
    assert answer.status_code == 200, (url, answer.status_code)
    return str(answer.content.decode())


@pytest.mark.parametrize("model", REGISTERED, ids=lambda model: model._meta.label)
def test_the_list_and_the_page_of_every_model_open_with_data(
    model: type[Model], operator: Client, world: dict[str, Any]
) -> None:
    pages = list(_pages(model))

    contents = [_content(operator, url) for url in pages]

    assert len(pages) >= 2, f"the world has no {model._meta.label}"
    assert all("</html>" in content for content in contents)


@pytest.mark.req("SEC-50")
def test_no_page_of_the_admin_shows_a_secret(operator: Client, world: dict[str, Any]) -> None:
    people = [world["owner"], world["drivers"]]
    tokens = [text for person in people for text in (person.token, person.token_out, secrets.digest(person.token))]
    sealed = [str(Platform.objects.get(pk=person.id).token_out) for person in people]
    hidden = [*tokens, *sealed, CALLBACK_KEY, COMMAND_KEY, CDR_KEY, PASSWORD_HASH, PARTNER_PATH]
    assert all(hidden)

    for url in ["/admin/", *(url for model in REGISTERED for url in _pages(model))]:
        content = html.unescape(_content(operator, url))

        assert [secret for secret in hidden if secret in content] == [], url


@pytest.mark.req("SEC-55")
@pytest.mark.parametrize(
    "model",
    [
        Platform, Delivery, Exchange, SharedObject, cpo_models.Location, cpo_models.ChargePoint, emsp_models.Location,
        cpo_models.UnknownChargePoint, emsp_models.CDR,
    ],
    ids=lambda model: model._meta.label,
)  # fmt: skip
def test_what_partners_send_shows_as_text(model: type[Model], operator: Client, world: dict[str, Any]) -> None:
    contents = [_content(operator, url) for url in _pages(model)]

    assert not any(EVIL in content for content in contents)
    assert any(EVIL in html.unescape(re.sub(r"</?span[^>]*>", "", content)) for content in contents)


def test_the_page_of_an_exchange_joins_all_legs_of_its_message(operator: Client, world: dict[str, Any]) -> None:
    content = _content(operator, reverse("admin:ocpi_exchange_change", args=[1001]))

    assert content.count('class="o-arrow"') == 2
    picture = content[content.index("<svg viewBox") : content.index("</svg>", content.index("<svg viewBox"))]
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
        (emsp_models.Session, {**_object(document="{}"), "status": "ACTIVE", "token_uid": "1", "start_date_time": NOW}),
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


@pytest.mark.parametrize("model", REGISTERED, ids=lambda model: model._meta.label)
def test_nothing_but_accounts_can_be_added_changed_or_deleted(
    model: type[Model], operator: Client, world: dict[str, Any]
) -> None:
    if model in (User, Group):
        return
    names = [f"admin:{model._meta.app_label}_{model._meta.model_name}_{what}" for what in ("delete", "change")]
    pk = model._default_manager.order_by("pk")[0].pk

    answers = [operator.post(reverse(name, args=[pk]), {"post": "yes"}) for name in names]
    answers.append(operator.get(reverse(names[0].replace("_delete", "_add"))))

    assert [answer.status_code for answer in answers] == [403, 403, 403]
    assert model._default_manager.filter(pk=pk).exists()


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
    assert "given up by an operator" in dead.error


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
        ("/ocpi/emsp/2.2.1/commands/STOP_SESSION", "/ocpi/emsp/2.2.1/commands/STOP_SESSION"),
        ("/locations/NL/TNM/a-long-name-of-a-location-1234567", "/locations/NL/TNM/a-long-name-of-a-location-1234567"),
    ],
)
def test_keys_are_cut_out_of_urls(text: str, shown: str) -> None:
    assert without_keys(text) == shown
