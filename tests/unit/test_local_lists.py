"""Local lists of charge points: which tokens are on them, and how they get there (OCPP-87)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from cpo import local_lists as pure
from cpo.gateway import frames
from cpo.local_lists import Entry
from cpo.models import ChargePoint, IdTag, LocalList, LocalListContents, Location, Operation, Token, TokenUse
from cpo.modules import local_list_abilities as abilities
from cpo.modules import local_lists, local_lists_sending, tokens
from ocpi import snapshot
from ocpi.headers import Address
from ocpi.models import Platform
from tests.cpo_support import LOCATION, Point, add_location, add_point
from tests.fixtures import Document
from tests.people import Person

pytestmark = pytest.mark.usefixtures("cpo_side")
ANN, BOB, CYD = Entry("0A11", "RFID"), Entry("0B22", "RFID", "FLEET"), Entry("0C33", "RFID")


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    def forget() -> None:
        local_lists._gathered, local_lists._closed_known = "", None
        local_lists_sending._changes.cache_clear()

    forget()
    yield
    forget()


@pytest.fixture
def station(db: None, document: Document) -> Point:
    return add_point(add_location(document("location")))


def token(uid: str, **columns: Any) -> Token:
    members = {
        "country_code": "DE", "party_id": "EMS", "uid": uid, "type": "RFID", "contract_id": f"C-{uid}",
        "issuer": "EMS", "valid": True, "whitelist": "ALLOWED", "last_updated": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    return Token.objects.create(
        **{
            "country_code": "DE", "party_id": "EMS", "object_id": uid, "uid": uid, "id_tag": uid, "type": "RFID",
            "contract_id": f"C-{uid}", "valid": True, "whitelist": "ALLOWED", "document": json.dumps(members),
            "last_updated": datetime.now(UTC), **columns,
        }
    )  # fmt: skip


def row(identity: str = "CP-1") -> LocalList:
    return LocalList.objects.get(charge_point__identity=identity)


def asked() -> tuple[str, dict[str, Any]]:
    """Have the next thing done, and return what the charge point is asked."""
    LocalList.objects.update(due_at=datetime.now(UTC) - timedelta(seconds=1))
    local_lists_sending.sweep()
    operation = Operation.objects.get(state="QUEUED")
    return operation.action, json.loads(operation.payload)


def answers(answer: dict[str, Any] | None, *, state: str = "ANSWERED", error: str = "") -> None:
    operation = Operation.objects.get(state="QUEUED")
    text = None if answer is None else json.dumps(answer)
    Operation.objects.filter(pk=operation.pk).update(state=state, answer=text, error=error)
    local_lists_sending.settle(operation.pk)


def configuration(**values: object) -> dict[str, Any]:
    said = {"SupportedFeatureProfiles": "Core,LocalAuthListManagement", "LocalAuthListEnabled": "true", **values}
    return {"configurationKey": [{"key": key, "readonly": True, "value": str(value)} for key, value in said.items()]}


def introduce(*, version: int = 0, **values: object) -> None:
    """A charge point that has booted, told what it can take and which version it holds."""
    local_lists.gather()
    assert asked()[0] == "GetConfiguration"
    answers(configuration(**values))
    assert asked() == ("GetLocalListVersion", {})
    answers({"listVersion": version})
    local_lists.gather()


def bring_over() -> list[tuple[str, list[str]]]:
    """Accept what comes until nothing more does; return update types and tags, those taken out with a minus."""
    told = []
    for _ in range(20):
        LocalList.objects.update(due_at=datetime.now(UTC) - timedelta(seconds=1))
        local_lists_sending.sweep()
        waiting = Operation.objects.filter(state="QUEUED").first()
        if waiting is None:
            break
        payload = json.loads(waiting.payload)
        tags = [("" if "idTagInfo" in one else "-") + one["idTag"] for one in payload["localAuthorizationList"]]
        told.append((payload["updateType"], tags))
        answers({"status": "Accepted"})
    return told


# ------------------------------------------------------------ pure


@pytest.mark.req("OCPP-87")
def test_a_difference_takes_out_before_it_puts_in_and_tells_only_what_changed() -> None:
    held = {"0A11": ANN, "0B22": BOB}
    wanted = {"0B22": Entry("0B22", "RFID"), "0C33": CYD}

    assert pure.changes(held, wanted) == [(ANN, False), (wanted["0B22"], True), (CYD, True)]
    assert pure.changes(None, held) == [(ANN, True), (BOB, True)]
    assert pure.changes(held, held) == []


def test_the_same_entries_are_the_same_bytes_whatever_their_order() -> None:
    assert pure.pack({"0A11": ANN, "0B22": BOB}) == pure.pack({"0B22": BOB, "0A11": ANN})
    assert pure.unpack(pure.pack({"0A11": ANN, "0B22": BOB})) == {"0A11": ANN, "0B22": BOB}
    assert pure.unpack(pure.pack({})) == {}


@pytest.mark.req("OCPP-87")
@pytest.mark.parametrize(("version", "build"), [("1.6", pure.send_16), ("2.0.1", pure.send_201)])
def test_messages_keep_to_the_schema_of_their_version(version: str, build: Any) -> None:
    for update, part in (
        ("Full", [(ANN, True), (BOB, True)]),
        ("Differential", [(BOB, True), (CYD, False)]),
        ("Full", []),
    ):
        frames.check_text(version, "SendLocalList", frames.payload_text(build(7, update, part)))

    text = json.dumps(build(7, "Differential", [(BOB, True), (CYD, False)]))
    assert text.count('"Accepted"') == 1
    assert "FLEET" in text


@pytest.mark.req("OCPP-87")
def test_a_station_of_2_0_1_says_in_variables_what_it_takes() -> None:
    action, payload = abilities.question(pure.V201)
    frames.check_text("2.0.1", action, frames.payload_text(payload))
    results = [
        {"attributeStatus": "Accepted", "attributeValue": value, "component": {"name": "LocalAuthListCtrlr"},
         "variable": {"name": name}}
        for name, value in (("Available", "true"), ("Enabled", "false"), ("ItemsPerMessage", "20"))
    ]  # fmt: skip
    results.append({"attributeStatus": "NotSupportedAttributeType", "component": {"name": "LocalAuthListCtrlr"},
                    "variable": {"name": "Entries"}})  # fmt: skip

    found = abilities.read(pure.V201, {"getVariableResult": results})

    assert found == abilities.Abilities(True, False, None, 20)
    assert not abilities.read(pure.V201, {"getVariableResult": []}).supported


# ------------------------------------------------------------ which tokens


@pytest.mark.req("OCPP-87")
def test_the_list_holds_what_is_valid_and_may_charge_unasked(station: Point) -> None:
    token("0A11")
    token("0B22", group_id="FLEET", whitelist="ALWAYS")
    token("NEVER1", whitelist="NEVER")
    token("GONE1", valid=False)

    introduce()

    assert bring_over() == [("Full", ["0A11", "0B22"])]
    assert row().held == row().wanted
    assert row().version == 1


@pytest.mark.req("OCPP-87", "OCPP-75")
def test_a_group_too_long_for_a_charge_point_is_on_its_list_as_it_is_told_elsewhere(
    document: Document, db: None
) -> None:
    allowed = [{"group_id": "G" * 21}]
    add_point(add_location(document("location") | {"publish": False, "publish_allowed_to": allowed}))
    found = token("0B22", group_id="G" * 21)

    introduce()
    LocalList.objects.update(due_at=datetime.now(UTC) - timedelta(seconds=1))
    local_lists_sending.sweep()

    [entry] = json.loads(Operation.objects.get(state="QUEUED").payload)["localAuthorizationList"]
    group = tokens.parent_id_tag(Address(found.country_code, found.party_id), "G" * 21)
    assert entry == {"idTag": "0B22", "idTagInfo": {"status": "Accepted", "parentIdTag": group}}


@pytest.mark.req("OCPP-87", "OCPP-75")
def test_a_list_from_before_groups_had_substitutes_is_made_anew_when_a_worker_starts(station: Point) -> None:
    found = token("0B22", group_id="G" * 21)
    introduce()
    bring_over()
    without, _ = LocalListContents.objects.get_or_create(
        digest="0" * 64, defaults={"packed": pure.pack({"0B22": Entry("0B22", "RFID")}), "count": 1}
    )
    LocalList.objects.update(held=without, wanted=without)

    local_lists._gathered = ""  # nobody has worked out any lists in this process yet
    assert local_lists.gather() == 1

    assert bring_over() == [("Differential", ["0B22"])]
    owner = Address(found.country_code, found.party_id)
    [entry] = json.loads(Operation.objects.latest("created_at").payload)["localAuthorizationList"]
    assert entry["idTagInfo"]["parentIdTag"] == tokens.parent_id_tag(owner, "G" * 21)


@pytest.mark.req("OCPP-75", "OCPP-87")
def test_on_a_list_a_substitute_is_of_the_token_it_was_made_for(station: Point) -> None:
    tag = tokens.id_tag(Address("DE", "EMS"), "APP_USER", "A" * 36)
    token("A" * 36, id_tag=tag, type="APP_USER", group_id="OURS", contract_id="C")
    token(tag, country_code="BE", party_id="MSX", group_id="THEIRS")

    introduce()
    asked()

    [entry] = json.loads(Operation.objects.get(state="QUEUED").payload)["localAuthorizationList"]
    assert entry == {"idTag": tag, "idTagInfo": {"status": "Accepted", "parentIdTag": "OURS"}}


@pytest.mark.req("OCPP-87", "QRK-10")
def test_once_an_emsps_silence_means_no_its_drivers_leave_the_lists(station: Point, emsp: Person) -> None:
    token("0A11", whitelist="ALLOWED_OFFLINE")
    token("0B22")
    introduce()
    assert bring_over() == [("Full", ["0A11", "0B22"])]

    Platform.objects.filter(pk=emsp.id).update(late_authorization="deny")
    snapshot.changed()
    local_lists.gather()

    assert bring_over() == [("Differential", ["-0A11"])]


@pytest.mark.req("OCPP-87")
def test_a_location_that_is_not_published_has_only_the_tokens_it_is_for(document: Document, db: None) -> None:
    allowed = [{"uid": "0a11", "type": "RFID"}, {"group_id": "FLEET"}]
    add_point(add_location(document("location") | {"publish": False, "publish_allowed_to": allowed}))
    token("0A11")
    token("0B22", group_id="FLEET")
    token("0C33")

    introduce()

    assert bring_over() == [("Full", ["0A11", "0B22"])]


@pytest.mark.req("OCPP-87")
def test_a_list_too_short_for_all_has_those_who_charged_here_last(station: Point) -> None:
    for tag in ("0A11", "0B22", "0C33", "0D44"):
        token(tag)
    yesterday = datetime.now(UTC) - timedelta(days=1)
    for tag, days in (("0B22", 3), ("0d44", 1)):
        station.start(tag, at=yesterday - timedelta(days=days))

    introduce(LocalAuthListMaxLength=2)

    assert bring_over() == [("Full", ["0B22", "0D44"])]
    assert set(TokenUse.objects.values_list("id_tag", flat=True)) == {"0B22", "0D44"}


@pytest.mark.req("OCPP-87", "OCPP-122")
def test_tags_of_a_tenants_own_are_on_its_lists_first_until_they_expire(station: Point) -> None:
    token("0A11")
    own = {"country_code": "nl", "party_id": "TNM"}
    IdTag.objects.create(id_tag="STAFF", parent_id_tag="ALL", **own)
    IdTag.objects.create(id_tag="LOST", status="blocked", **own)
    IdTag.objects.create(id_tag="GUEST", expires_at=datetime.now(UTC) - timedelta(hours=1), **own)
    IdTag.objects.create(id_tag="OTHERS", country_code="DE", party_id="ABC")

    introduce(LocalAuthListMaxLength=2)

    assert bring_over() == [("Full", ["0A11", "STAFF"])]
    IdTag.objects.filter(id_tag="STAFF").update(expires_at=datetime.now(UTC))
    local_lists.gather()
    assert bring_over() == [("Differential", ["-STAFF"])]


@pytest.mark.req("OCPP-87")
def test_a_session_of_today_does_not_change_any_list(station: Point) -> None:
    token("0A11")
    token("0B22")
    introduce(LocalAuthListMaxLength=1)
    [(_, [held])] = bring_over()

    station.start("0A11" if held == "0B22" else "0B22", at=datetime.now(UTC))

    assert local_lists.gather() == 0


# ------------------------------------------------------------ how they get there


@pytest.mark.req("OCPP-87")
def test_changes_are_gathered_into_one_difference(station: Point) -> None:
    for tag in ("0A11", "0B22"):
        token(tag)
    introduce()
    bring_over()

    token("0C33")
    Token.objects.filter(uid="0A11").update(valid=False)
    token("0D44")
    local_lists.gather()

    assert bring_over() == [("Differential", ["-0A11", "0C33", "0D44"])]
    assert row().version == 2
    held = row().held
    assert held is not None
    assert held.count == 3


@pytest.mark.req("OCPP-87")
def test_a_long_list_goes_in_parts_of_the_length_it_takes(station: Point) -> None:
    for number in range(5):
        token(f"0A{number}")

    introduce(SendLocalListMaxLength=2)

    assert bring_over() == [("Full", ["0A0", "0A1"]), ("Differential", ["0A2", "0A3"]), ("Differential", ["0A4"])]
    assert row().version == 3


@pytest.mark.req("OCPP-87")
@pytest.mark.parametrize(("version", "update"), [(1, "Differential"), (7, "Full"), (0, "Full")])
def test_after_a_boot_the_difference_goes_only_to_who_holds_our_last_version(
    station: Point, version: int, update: str
) -> None:
    token("0A11")
    introduce()
    bring_over()
    token("0B22")

    station.says("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"})
    Operation.objects.filter(state="QUEUED").update(state="CANCELLED")
    introduce(version=version)

    [(told, tags)] = bring_over()
    assert told == update
    assert tags == (["0B22"] if update == "Differential" else ["0A11", "0B22"])
    assert row().version == version + 1


@pytest.mark.req("OCPP-87")
def test_a_version_mismatch_is_followed_by_the_whole_list(station: Point) -> None:
    token("0A11")
    introduce()
    bring_over()
    token("0B22")
    local_lists.gather()
    assert asked()[1]["updateType"] == "Differential"

    answers({"status": "VersionMismatch"})
    assert asked() == ("GetLocalListVersion", {})
    answers({"listVersion": 9})

    assert bring_over() == [("Full", ["0A11", "0B22"])]
    assert (row().version, row().failures) == (10, 0)


@pytest.mark.req("OCPP-87")
def test_after_three_failures_it_is_left_to_the_operator(station: Point) -> None:
    token("0A11")
    introduce()

    for number in range(1, 4):
        assert asked()[0] == "SendLocalList"
        answers({"status": "Failed"})
        assert row().failures == number
        if number < 3:
            assert asked() == ("GetLocalListVersion", {})
            answers({"listVersion": 0})

    assert row().state == "FAILED"
    LocalList.objects.update(due_at=datetime.now(UTC) - timedelta(seconds=1))
    assert local_lists_sending.sweep() == 0
    local_lists_sending.start_again(row().pk)
    introduce()
    assert bring_over() == [("Full", ["0A11"])]
    assert (row().state, row().failures, row().error) == ("READY", 0, "")


@pytest.mark.req("OCPP-87")
@pytest.mark.parametrize(("version", "rest"), [(1, [["0A2"], ["0A3"]]), (2, [["0A3"]])])
def test_who_was_cut_off_says_how_far_it_got(station: Point, version: int, rest: list[list[str]]) -> None:
    """The second of three messages was lost, or only its answer was."""
    for number in range(1, 4):
        token(f"0A{number}")
    introduce(SendLocalListMaxLength=1)
    asked()
    answers({"status": "Accepted"})
    asked()

    answers(None, state="CONNECTION_LOST")
    assert asked() == ("GetLocalListVersion", {})
    answers({"listVersion": version})

    assert [tags for _, tags in bring_over()] == rest
    assert row().failures == 0


@pytest.mark.req("OCPP-87")
def test_who_has_no_local_list_is_not_sent_any(station: Point) -> None:
    token("0A11")
    local_lists.gather()
    asked()

    answers(configuration(SupportedFeatureProfiles="Core"))

    local_lists.gather()
    assert row().state == "UNSUPPORTED"
    assert bring_over() == []


@pytest.mark.req("OCPP-87")
def test_a_list_that_is_switched_off_is_switched_on_first(station: Point) -> None:
    token("0A11")
    local_lists.gather()
    asked()

    answers(configuration(LocalAuthListEnabled="false"))

    [operation] = Operation.objects.filter(state="QUEUED")
    assert json.loads(operation.payload) == {"key": "LocalAuthListEnabled", "value": "true"}
    answers({"status": "Accepted"})
    assert row().switched_on
    assert asked()[0] == "GetLocalListVersion"


@pytest.mark.req("OCPP-87")
def test_charge_points_with_the_same_list_share_it(document: Document, db: None) -> None:
    location = add_location(document("location"))
    add_point(location)
    for number in range(2, 40):
        ChargePoint.objects.create(
            identity=f"CP-{number}", country_code="NL", party_id="TNM", location_id=LOCATION, online=True,
            protocol="1.6",
        )  # fmt: skip
    for number in range(100):
        token(f"{number:08X}")
    local_lists.gather()
    LocalList.objects.update(state="READY")

    assert local_lists.gather() == 39

    assert LocalListContents.objects.count() == 1
    assert Location.objects.count() == 1
    token("NEW1")
    assert local_lists.gather() == 39
    assert LocalListContents.objects.count() == 1, "what nobody has or wants is removed"


@pytest.mark.req("OCPP-87")
def test_nothing_is_worked_out_while_nothing_changed(station: Point, monkeypatch: pytest.MonkeyPatch) -> None:
    token("0A11")
    introduce()
    monkeypatch.setattr(local_lists, "_assign", lambda: pytest.fail("worked out again"))

    assert local_lists.gather() == 0


def test_who_is_away_is_told_when_it_is_back(station: Point) -> None:
    token("0A11")
    introduce()
    ChargePoint.objects.update(online=False)
    assert bring_over() == []

    ChargePoint.objects.update(online=True)

    assert bring_over() == [("Full", ["0A11"])]


def test_a_note_that_was_lost_is_made_up_for(station: Point) -> None:
    token("0A11")
    introduce()
    asked()
    Operation.objects.filter(state="QUEUED").update(state="ANSWERED", answer='{"status": "Accepted"}')

    local_lists_sending.sweep()

    assert row().held == row().wanted
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM cpo_locallist WHERE operation_id IS NOT NULL")
        assert cursor.fetchone() == (0,)
