"""OCPP-J frames, schemas, timestamps, passwords, handshakes: the gateway's pure parts, as tables."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from cpo.gateway import actions, frames, handshake, masking, moments, passwords, schemas
from cpo.gateway.frames import Call, CallError, CallResult, Fault, FrameError, PayloadError
from cpo.gateway.handshake import Failures, Pace, Refused

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
STATUS = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
SAMPLE = {"timestamp": "2026-05-01T12:00:00Z", "sampledValue": [{"value": "1"}]}


@pytest.mark.req("OCPP-19")
def test_a_call_keeps_its_payload_exactly_as_it_came() -> None:
    payload = '{ "b":1.10, "a":"\\u00e9é", "customData":{"z":null} }'

    frame = frames.parse(f'[2,"id","DataTransfer",{payload}]', "1.6")

    assert isinstance(frame, Call)
    assert (frame.message_id, frame.action, frame.text) == ("id", "DataTransfer", payload)


def test_answers_are_read() -> None:
    assert frames.parse('[3,"id",{"a":1}]', "1.6") == CallResult("id", {"a": 1}, '{"a":1}')
    assert frames.parse('[4,"id","Odd","text",{"x":1}]', "1.6") == CallError("id", "Odd", "text", '{"x":1}')
    assert frames.parse('[4,"id"]', "1.6") == CallError("id", "", "", "{}")


@pytest.mark.req("OCPP-13", "OCPP-14", "OCPP-15", "OCPP-128")
@pytest.mark.parametrize(
    ("text", "fault", "message_id", "answered"),
    [
        ("", Fault.UNREADABLE, "-1", True),
        ("{", Fault.UNREADABLE, "-1", True),
        ("{}", Fault.UNREADABLE, "-1", True),
        ("[]", Fault.UNREADABLE, "-1", True),
        ("null", Fault.UNREADABLE, "-1", True),
        ('[2,"id","Heartbeat",{"a":NaN}]', Fault.UNREADABLE, "-1", True),
        ('[2,"id","Heartbeat",{"a":"\\ud800"}]', Fault.UNREADABLE, "-1", True),
        ("[" * 33 + "]" * 33, Fault.UNREADABLE, "-1", True),
        ("[" * 100_000, Fault.UNREADABLE, "-1", True),
        ("[9]", Fault.UNKNOWN_TYPE, "-1", True),
        ('["2","id","Heartbeat",{}]', Fault.UNKNOWN_TYPE, "id", True),
        ('[true,"id","Heartbeat",{}]', Fault.UNKNOWN_TYPE, "id", True),
        ('[9,"id"]', Fault.UNKNOWN_TYPE, "id", True),
        ('[6,"id","Heartbeat",{}]', Fault.UNKNOWN_TYPE, "id", True),
        ("[2]", Fault.BAD_CALL, "-1", True),
        ('[2,12,"Heartbeat",{}]', Fault.BAD_CALL, 12, True),
        ('[2,null,"Heartbeat",{}]', Fault.BAD_CALL, None, True),
        ('[2,"","Heartbeat",{}]', Fault.BAD_CALL, "", True),
        ('[2,"' + "i" * 37 + '","Heartbeat",{}]', Fault.BAD_CALL, "i" * 37, True),
        ('[2,"id"]', Fault.BAD_CALL, "id", True),
        ('[2,"id","Heartbeat"]', Fault.BAD_CALL, "id", True),
        ('[2,"id",5,{}]', Fault.BAD_CALL, "id", True),
        ("[3]", Fault.BAD_CALL, "-1", False),
        ('[3,"id"]', Fault.UNREADABLE, "id", False),
        ("[4,7]", Fault.BAD_CALL, "-1", False),
    ],
)
def test_what_is_no_frame_is_refused(text: str, fault: Fault, message_id: Any, answered: bool) -> None:
    with pytest.raises(FrameError) as refused:
        frames.parse(text, "1.6")

    assert (refused.value.fault, refused.value.message_id, refused.value.answered) == (fault, message_id, answered)


@pytest.mark.req("OCPP-13", "OCPP-15", "OCPP-30")
def test_the_neighbors_of_what_is_refused_are_taken() -> None:
    deep = "[" * 29 + "]" * 29
    assert isinstance(frames.parse(f'[2,"id","DataTransfer",{{"data":{deep}}}]', "1.6"), Call)
    braces = '"' + "[{" * 500 + '\\""'
    assert isinstance(frames.parse(f'[2,"id","DataTransfer",{{"data":{braces}}}]', "1.6"), Call)
    assert isinstance(frames.parse('[2,"' + "i" * 36 + '","Heartbeat",{}]', "1.6"), Call)
    assert isinstance(frames.parse('[2,"' + "i" * 64 + '","Heartbeat",{}]', "1.6", lenient=True), Call)
    sent = frames.parse('[6,"id","NotifyPeriodicEventStream",{}]', "2.1")
    assert isinstance(sent, Call)
    assert sent.send


@pytest.mark.req("OCPP-15")
@pytest.mark.parametrize("end", ["", "\\"])
def test_a_text_without_an_end_is_looked_through_once(end: str) -> None:
    """Were each quote in it tried as the begin of a text, a frame of 128 KiB would hold up a node for minutes."""
    frame = "[]" * 40 + '"' + '\\"' * 50_000 + end

    assert [token[0] for token in frames._TOKENS.finditer(frame)] == [*("[]" * 40), frame[80:]]
    with pytest.raises(FrameError):
        frames.parse(frame, "1.6")


@pytest.mark.req("OCPP-128")
@pytest.mark.parametrize(
    ("fault", "code_16", "code_2"),
    [
        (Fault.UNREADABLE, "FormationViolation", "RpcFrameworkError"),
        (Fault.BAD_CALL, "ProtocolError", "ProtocolError"),
        (Fault.STRUCTURE, "FormationViolation", "FormatViolation"),
        (Fault.MISSING, "ProtocolError", "OccurrenceConstraintViolation"),
        (Fault.TYPE, "TypeConstraintViolation", "TypeConstraintViolation"),
        (Fault.VALUE, "PropertyConstraintViolation", "PropertyConstraintViolation"),
        (Fault.ITEMS, "OccurenceConstraintViolation", "OccurrenceConstraintViolation"),
        (Fault.UNKNOWN_ACTION, "NotImplemented", "NotImplemented"),
        (Fault.SWITCHED_OFF, "NotSupported", "NotSupported"),
        (Fault.UNKNOWN_TYPE, "FormationViolation", "MessageTypeNotSupported"),
        (Fault.NOT_NOW, "SecurityError", "SecurityError"),
        (Fault.OURS, "InternalError", "InternalError"),
    ],
)
def test_each_fault_has_the_code_of_table_m_11(fault: Fault, code_16: str, code_2: str) -> None:
    assert frames.error_code(fault, "1.6") == code_16
    assert frames.error_code(fault, "2.0.1") == frames.error_code(fault, "2.1") == code_2


@pytest.mark.req("OCPP-17", "OCPP-128")
@pytest.mark.parametrize(
    ("action", "payload", "fault"),
    [
        ("StatusNotification", STATUS | {"extra": 1}, Fault.STRUCTURE),
        ("StatusNotification", {"connectorId": 1, "errorCode": "NoError"}, Fault.MISSING),
        ("StatusNotification", STATUS | {"connectorId": "1"}, Fault.TYPE),
        ("StatusNotification", [], Fault.TYPE),
        ("Authorize", {"idTag": "T" * 21}, Fault.TYPE),
        ("StatusNotification", STATUS | {"status": "Asleep"}, Fault.VALUE),
        ("MeterValues", {"connectorId": 1, "meterValue": []}, Fault.ITEMS),
    ],
)
def test_strict_refuses_what_the_schema_refuses(action: str, payload: Any, fault: Fault) -> None:
    with pytest.raises(PayloadError) as refused:
        frames.check_payload("1.6", action, payload)

    assert refused.value.fault == fault


@pytest.mark.req("OCPP-17", "OCPP-39")
@pytest.mark.parametrize(
    ("action", "payload", "kind"),
    [
        ("StatusNotification", STATUS | {"extra": 1}, "additionalProperties:extra"),
        ("StatusNotification", STATUS | {"info": "i" * 51}, "maxLength:info"),
        ("StatusNotification", STATUS | {"errorCode": "Odd"}, "enum:errorCode"),
        (
            "StartTransaction",
            {"connectorId": 1, "idTag": "T" * 21, "meterStart": 0, "timestamp": "never"},
            "maxLength:idTag",
        ),
        (
            "MeterValues",
            {"connectorId": 1, "meterValue": [SAMPLE | {"sampledValue": [{"value": 1.5, "unit": "MWh"}]}]},
            "type:meterValue.sampledValue.value",
        ),
    ],
)
def test_lenient_lets_it_pass_and_names_it(action: str, payload: Any, kind: str) -> None:
    assert frames.check_payload("1.6", action, payload, lenient=True) == kind
    with pytest.raises(PayloadError):
        frames.check_payload("1.6", action, payload)


@pytest.mark.req("OCPP-17")
@pytest.mark.parametrize(
    "payload", [STATUS | {"status": "Asleep"}, STATUS | {"connectorId": "1"}, {"connectorId": 1}, "text"]
)
def test_lenient_still_refuses_what_decides_something(payload: Any) -> None:
    with pytest.raises(PayloadError):
        frames.check_payload("1.6", "StatusNotification", payload, lenient=True)


@pytest.mark.req("OCPP-18")
def test_the_schema_does_not_judge_timestamps() -> None:
    assert frames.check_payload("1.6", "StatusNotification", STATUS | {"timestamp": "yesterday"}) is None


@pytest.mark.req("OCPP-17")
@pytest.mark.parametrize("version", ["1.6", "2.0.1", "2.1"])
def test_every_schema_of_every_version_compiles(version: str) -> None:
    known = schemas.actions(version)

    assert {"BootNotification", "Heartbeat", "Reset"} <= known
    for action in sorted(known)[::8]:
        for answer in (False, True):
            schemas.check(version, action, answer=answer)
            schemas.check(version, action, answer=answer, lenient=True)


@pytest.mark.req("OCPP-20")
def test_payloads_go_out_in_order_without_nulls_and_without_noise() -> None:
    payload = {"b": [{"d": 0.1 + 0.2, "c": None}], "a": Decimal("16.0"), "text": "é"}

    assert frames.payload_text(payload) == '{"a":16.0,"b":[{"d":0.3}],"text":"é"}'
    assert frames.payload_text(frames.read_payload('{"limit":7.10}')) == '{"limit":7.10}'
    assert frames.call("i", "Reset", {"type": "Soft"}) == '[2,"i","Reset",{"type":"Soft"}]'
    assert frames.call_error(7, "InternalError") == '[4,7,"InternalError","",{}]'


@pytest.mark.req("OCPP-17")
def test_a_limit_with_one_decimal_passes_its_schema() -> None:
    period = {"startPeriod": 0, "limit": Decimal("16.3")}
    schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": [period]}
    profile = {
        "chargingProfileId": 1,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxProfile",
        "chargingProfileKind": "Relative",
        "chargingSchedule": schedule,
    }
    payload = {"connectorId": 1, "csChargingProfiles": profile}

    frames.check_text("1.6", "SetChargingProfile", frames.payload_text(payload))
    period["limit"] = Decimal("16.35")
    with pytest.raises(PayloadError):
        frames.check_text("1.6", "SetChargingProfile", frames.payload_text(payload))


@pytest.mark.req("OCPP-18")
@pytest.mark.parametrize(
    ("text", "at", "suspect", "no_zone"),
    [
        ("2026-05-01T11:00:00Z", NOW - timedelta(hours=1), False, False),
        ("2026-05-01T13:00:00+02:00", NOW - timedelta(hours=1), False, False),
        ("2026-05-01T11:00:00", NOW - timedelta(hours=1), False, True),
        ("2026-05-01t11:00:00.123456789z", NOW - timedelta(hours=1) + timedelta(microseconds=123456), False, False),
        ("2026-05-01T11:00:00.5Z", NOW - timedelta(hours=1) + timedelta(milliseconds=500), False, False),
        ("2026-05-01T12:05:00Z", NOW + timedelta(minutes=5), False, False),
        ("2026-05-01T12:05:01Z", NOW, True, False),
        ("2014-12-31T23:59:59Z", NOW, True, False),
        ("2015-01-01T00:00:00Z", datetime(2015, 1, 1, tzinfo=UTC), False, False),
        ("1970-01-01T00:00:00Z", NOW, True, False),
        ("0001-01-01T00:00:00+23:00", NOW, True, False),
        ("2026-05-01", NOW, True, False),
        ("yesterday", NOW, True, False),
        ("", NOW, True, False),
        (None, NOW, True, False),
        (12, NOW, True, False),
    ],
)
def test_timestamps_are_read_with_care(text: object, at: datetime, suspect: bool, no_zone: bool) -> None:
    moment = moments.read(text, NOW)

    assert (moment.at, moment.suspect, moment.no_zone) == (at, suspect, no_zone)
    assert moment.original == (text if isinstance(text, str) else "")


@pytest.mark.req("OCPP-38")
@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"idTag": "tag"}, True),
        ({"timestamp": "2026-05-01T13:00:00+02:00"}, True),
        ({"reservationId": 4}, True),
        ({"connectorId": 2}, False),
        ({"meterStart": 6}, False),
        ({"idTag": "OTHER"}, False),
        ({"timestamp": "2026-05-01T11:00:01Z"}, False),
    ],
)
def test_a_start_is_known_by_its_content(change: dict[str, Any], same: bool) -> None:
    start = {"connectorId": 1, "idTag": "TAG", "meterStart": 5, "timestamp": "2026-05-01T11:00:00Z"}

    first = actions.start_key(1, start, NOW)
    second = actions.start_key(1, start | change, NOW + timedelta(days=1))

    assert (first.key == second.key) is same
    assert actions.start_key(2, start, NOW).key != first.key


@pytest.mark.req("OCPP-05", "SEC-60")
def test_passwords_are_compared_by_digest() -> None:
    password = passwords.new_password()
    stored = passwords.digest(password, "secret")

    assert len(bytes.fromhex(password)) * 8 >= 128
    assert password not in stored
    for shown in (password.encode(), password.upper().encode(), bytes.fromhex(password)):
        assert passwords.matches(stored, shown, "secret")
    assert not passwords.matches(stored, password.encode(), "another secret")
    assert not passwords.matches(stored, b"", "secret")
    assert not passwords.matches("", password.encode(), "secret")
    typed = passwords.digest_typed("open sesame")
    assert passwords.is_slow(typed)
    assert passwords.matches(typed, b"open sesame", "secret")
    assert not passwords.matches(typed, b"open barley", "secret")


@pytest.mark.req("OCPP-01", "SEC-63")
@pytest.mark.parametrize(
    ("path", "identity"),
    [
        ("/ocpp/CP1", "CP1"),
        ("/CP%2D1?token=x", "CP-1"),
        ("/a/b/*-_=:+|@.", "*-_=:+|@."),
        ("/ocpp/" + "C" * 48, "C" * 48),
        ("/ocpp/" + "C" * 49, None),
        ("/ocpp/", None),
        ("/ocpp/CP%2F1", None),
        ("/ocpp/CP%00", None),
        ("/ocpp/CP%FF", None),
        ("/ocpp/CP1%0A", None),
        ("/ocpp/é", None),
    ],
)
def test_the_identity_is_the_last_path_segment(path: str, identity: str | None) -> None:
    if identity is not None:
        assert handshake.identity(path) == identity
        return
    with pytest.raises(Refused) as refused:
        handshake.identity(path)
    assert refused.value.status == 400


@pytest.mark.req("OCPP-02")
def test_the_first_common_subprotocol_in_the_charge_points_order_is_taken() -> None:
    allowed = ["ocpp1.6", "ocpp2.0.1"]
    assert handshake.offered(["ocpp2.0, ocpp1.6", "x"]) == ["ocpp2.0", "ocpp1.6", "x"]
    assert handshake.subprotocol(["ocpp2.0", "ocpp1.6"], allowed, none_is_16=False) == "ocpp1.6"
    assert handshake.subprotocol([], allowed, none_is_16=True) is None
    for names, permitted, none_is_16 in (
        (["ocpp1.6"], ["ocpp2.0.1"], True),
        ([], allowed, False),
        (["x"], allowed, True),
    ):
        with pytest.raises(Refused, match=r"ocpp1\.6"):
            handshake.subprotocol(names, permitted, none_is_16=none_is_16)


@pytest.mark.req("OCPP-08")
def test_failures_are_forgotten_after_their_window() -> None:
    failures = Failures(3, 300)

    assert [failures.add("key", now) for now in (0, 10, 400)] == [False, False, False]
    assert [failures.add("key", now) for now in (410, 420)] == [False, True]
    assert failures.blocked("key", 719)
    assert not failures.blocked("key", 721)
    assert not failures.blocked("other", 500)


@pytest.mark.req("SEC-64")
def test_an_address_may_connect_only_so_fast() -> None:
    pace = Pace(10, 3)

    assert [pace.allows("10.0.0.1", 0.0) for _ in range(4)] == [True, True, True, False]
    assert pace.allows("10.0.0.2", 0.0)
    assert [pace.allows("10.0.0.1", 0.1) for _ in range(2)] == [True, False]
    assert [pace.allows("10.0.0.1", 60.0) for _ in range(4)] == [True, True, True, False]


@pytest.mark.req("OCPP-29", "SEC-50")
@pytest.mark.parametrize(
    "text",
    [
        '[2,"1","ChangeConfiguration",{"key":"AuthorizationKey","value":"s3cret"}]',
        '[2,"1","ChangeConfiguration",{"value":"s3cret","key":"AuthorizationKey"}]',
        '[2,"1","SetVariables",{"setVariableData":[{"attributeValue":"s3cret","component":{"name":"SecurityCtrlr"},'
        '"variable":{"name":"BasicAuthPassword"}}]}]',
        '[2,"1","UpdateFirmware",{"location":"ftp://user:s3cret@example.com/fw"}]',
        '[2,"1","SetNetworkProfile",{"connectionData":{"apn":{"apnPassword":"s3cret"}}}]',
    ],
)
def test_secrets_are_masked_in_the_frame_log(text: str) -> None:
    masked = masking.mask(text)

    assert "s3cret" not in masked
    assert "***" in masked
    assert masking.mask('[2,"1","Heartbeat",{}]') == '[2,"1","Heartbeat",{}]'


@pytest.mark.req("OCPP-38")
def test_with_a_suspect_clock_a_start_is_the_same_for_ten_minutes() -> None:
    start = {"connectorId": 1, "idTag": "TAG", "meterStart": 1000, "timestamp": "1970-01-01T00:00:00Z"}
    first = actions.start_key(7, start, NOW)

    for seconds, same in ((0, True), (600, True), (601, False)):
        again = actions.start_key(7, start, NOW + timedelta(seconds=seconds))
        assert again.since is not None
        assert (again.since <= first.key <= again.key) is same
    other = actions.start_key(7, {**start, "meterStart": 1001}, NOW)
    assert other.since is not None
    assert not other.since <= first.key <= other.key
