"""What a simulated charge point makes of a firmware, its signature, and an address."""

from __future__ import annotations

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from cpo.simulator import files, jobs
from cpo.simulator.files import NoTransfer
from cpo.simulator.local_list import CAPACITY, PER_MESSAGE, Entry, LocalList
from tests.certificates import Root


@pytest.mark.parametrize(
    ("content", "version"),
    [
        (b"2.7.1\n\x00\x01", "2.7.1"),
        (b"3.0", "3.0"),
        (b"\x7fELF\n", hashlib.sha256(b"\x7fELF\n").hexdigest()[:12]),
        (b"x" * 51, hashlib.sha256(b"x" * 51).hexdigest()[:12]),
        (b"", hashlib.sha256(b"").hexdigest()[:12]),
    ],
)
def test_a_firmware_says_its_version(content: bytes, version: str) -> None:
    assert jobs.version_of(content) == version


@pytest.mark.req("OCPP-85")
def test_only_a_firmware_that_its_certificate_signed_is_taken() -> None:
    signed, key_text = Root().client("Firmware")
    key = load_pem_private_key(key_text.encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    signature = base64.b64encode(key.sign(b"2.0\n", ec.ECDSA(hashes.SHA256()))).decode()

    assert jobs.is_signed(b"2.0\n", signature, signed.chain)
    assert not jobs.is_signed(b"2.1\n", signature, signed.chain)
    assert not jobs.is_signed(b"2.0\n", "no base64", signed.chain)
    assert not jobs.is_signed(b"2.0\n", signature, Root().client("Firmware")[0].chain)
    assert not jobs.is_signed(b"2.0\n", signature, "no certificate")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x/y", "http://", "nothing", "http://[", "http://x:no/"])
def test_only_http_is_known(url: str) -> None:
    with pytest.raises(NoTransfer):
        files.fetch(url)


@pytest.mark.req("OCPP-87")
def test_a_list_is_taken_whole_or_not_at_all() -> None:
    known = LocalList()
    good, past = Entry("Accepted"), Entry("Accepted", until="2020-01-01T00:00:00Z")
    for start in range(0, CAPACITY, PER_MESSAGE):
        told = [(f"T{number}", good) for number in range(start, start + PER_MESSAGE)]
        assert known.send(start + 1, full=start == 0, told=told) == "Accepted"
    version = known.version

    assert known.send(version + 1, full=False, told=[("T0", None), ("NEW", good), ("OTHER", good)]) == "Failed"
    assert known.send(version + 1, full=False, told=[("A", good), ("a", good)]) == "Failed"
    assert known.send(version + 1, full=True, told=[("A", None)]) == "Failed"
    assert known.send(version, full=False, told=[]) == "VersionMismatch"
    assert (known.version, len(known)) == (version, CAPACITY)
    assert known.send(1, full=True, told=[("OLD", past), ("BAD", Entry("Blocked")), ("GOOD", good)]) == "Accepted"
    assert [known.refuses(tag) for tag in ("old", "bad", "good", "unknown")] == [True, True, False, False]
