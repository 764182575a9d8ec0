"""The strict JSON reader lets through what can be stored and sent on, and nothing else."""

import json

import pytest

from ocpi import json_text, status

LIMIT = 1 << 20


@pytest.mark.req("SEC-46")
@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "is empty"),
        (b"{} x", "not valid JSON"),
        (b'{"a":NaN}', "not valid JSON"),
        (b'"\xff"', "not valid JSON"),
        (b'"\xed\xa0\x80"', "not valid JSON"),
        (b'"\\ud800"', "not valid JSON"),
        (b'"a\x00b"', "not valid JSON"),
        (b'"a\\u0000b"', "NUL"),
        (b'{"a":1,"a":1}', "same name twice"),
        (b'{"a":1,"\\u0061":2}', "same name twice"),
        (b'{"x":{"a":"\\":","a":2}}', "same name twice"),
        (b'{"x":":::","a":1,"a":": "}', "same name twice"),
        (b"[" * 33 + b"]" * 33, "deeper than 32"),
        (b'{"a":' * 33 + b"1" + b"}" * 33, "deeper than 32"),
        (b'[{"a":' * 17 + b"1" + b"}]" * 17, "deeper than 32"),
        (b'["]",' * 40 + b'"["' + b',"["]' * 40, "deeper than 32"),
        (b"[" * 100_000 + b"]" * 100_000, "deeper than 32"),
        (b"1" * 33, "longer than 32"),
        (b"[0." + b"1" * 31 + b"]", "longer than 32"),
        (b"[1e999]", "not valid JSON"),
        (b"[1e-309]", "out of range"),
        (b'{"a":1E-9999999999999999999}', "out of range"),
        (b"[0e309]", "out of range"),
        (b"[" + b"1," * 10_000 + b"1]", "more than 10000"),
        (b'{"a":[{"b":[' + b"1," * 10_000 + b"1]}]}", "more than 10000"),
        (b'["' + b"x" * 65_537 + b'"]', "longer than 65536"),
        (b"[" + b" " * LIMIT + b"]", "longer than"),
    ],
)
def test_dark_corners_of_json_are_refused(body: bytes, says: str) -> None:
    with pytest.raises(status.NotJson) as refused:
        json_text.read(body, limit=LIMIT)

    assert says in refused.value.message
    assert (refused.value.http_status, refused.value.status_code) == (400, 2000)


@pytest.mark.req("SEC-46")
@pytest.mark.parametrize(
    "body",
    [
        b"[" * 32 + b"]" * 32,
        b'[{"a":' * 16 + b"1" + b"}]" * 16,
        b'{"a":{"a":1},"b":[{"a":1},{"a":2}]}',
        b'["\\\\u0000","\\"a\\":1,\\"a\\":1"]',
        b'{"a":"x\\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[{"}',
        b'{"a" : "b" , "c"\n:\t4.00 }',
        b"[1e-30,true,false,null,-0.5E+3,12345678901234567890123456789012]",
        b"[1e308,-1E-308,0e+0]",
        b"[" + b"1," * 9_999 + b"1]",
        b'{"a":[[' + b"1," * 9_999 + b"1],[" + b"1," * 9_999 + b"1]]}",
        b'["' + b"x" * 65_536 + b'"]',
        "{'ö': 1}".replace("'", '"').encode(),
    ],
)
def test_good_json_comes_back_unchanged(body: bytes) -> None:
    assert json_text.read(body, limit=LIMIT) is body


@pytest.mark.req("SEC-46")
@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1,"a":2}', b'{"a":":x","a":1}', b'{"a" :":","a":1}', b'{"a" :1,"a":":"}', b'{"a":"\\u0000"}',
        b'{"a":1e400}', b'{"a":%b}' % (b"1" * 40), b'{"a":1,}', b'{"a":1}x', b'{"a":{"b":1,"b":":"}}', b"[1]", b"",
        b'{"a":' + b"[" * 1_500 + b"]" * 1_500 + b"}",
    ],
)  # fmt: skip
def test_nothing_is_plain_that_would_be_refused(body: bytes) -> None:
    assert json_text.plain(body) is None


@pytest.mark.parametrize("body", [b'{"status_code":1000,"data":[{"a":"b:c"}]}', b'{"a":12.5,"b":"x:y","c":null}'])
def test_what_is_plain_comes_back_read(body: bytes) -> None:
    assert json_text.plain(body) == json.loads(body)
