"""A platform that has to show a client certificate beside its token (SEC-65)."""

from __future__ import annotations

import hashlib
import ssl
from pathlib import Path
from urllib.parse import quote

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from ocpi import client_certificate, host_actions, snapshot
from ocpi.models import AuditEntry, TlsSettings
from tests.admin_world import operator_fixture as operator_fixture
from tests.fixtures import Partner
from tests.people import Person
from tests.platforms import Listener
from tests.unit.hostile_server import Authority

pytestmark = [pytest.mark.django_db, pytest.mark.req("SEC-65")]

HEADER = "X-SSL-Client-Cert"
ONE, OTHER = "a1" * 32, "b2" * 32


@pytest.fixture
def member(hub_side: None, partner: Partner, settings: Settings) -> Person:
    """An eMSP that has to show one of two certificates; the front server is where all tests come from."""
    settings.OCPI_TRUSTED_PROXIES = ["127.0.0.1"]
    found = partner("DE*EMS:EMSP", name="Drivers")
    host_actions.set_tls(found.id, authorities_pem="", certificate="", client_sha256=f"{ONE}\n{OTHER}", actor="alice")
    return found


def ask(person: Person, listener: Listener, shown: str | None) -> int:
    """Have a Direct request sent through the hub; return the HTTP status."""
    headers = {HEADER: shown}
    answer = person.get("hub/2.2.1/sender/locations", to="NL*TNM", headers=headers, documented=False)
    assert answer.codes in ((200, 1000), (401, 2000))
    return answer.codes[0]


@pytest.fixture
def owner(hub_side: None, partner: Partner, listener: Listener) -> Person:
    listener.reply("GET", "/", data=[], headers={"X-Total-Count": "0", "X-Limit": "10"})
    return partner("NL*TNM:CPO", listener=listener)


def test_the_token_is_good_with_the_certificate_only(
    front_door: str, member: Person, owner: Person, listener: Listener
) -> None:
    shown = [None, "", "c3" * 32, ONE[:-1], f"{ONE},{ONE}", ONE, OTHER.upper(), ":".join(["b2"] * 32)]

    got = [ask(member, listener, each) for each in shown]

    assert got == [401] * 5 + [200] * 3
    # What it proves is between it and our front server: nobody behind us is told.
    assert not any(HEADER.lower() in {name.lower() for name in one.headers} for one in listener.received())
    assert ask(member, listener, None) == 401  # nothing of this was remembered


def test_nobody_but_the_front_server_says_what_was_shown(
    front_door: str, member: Person, owner: Person, listener: Listener, settings: Settings
) -> None:
    settings.OCPI_TRUSTED_PROXIES = ["192.0.2.0/24"]

    assert ask(member, listener, ONE) == 401


def test_who_need_not_show_any_comes_in_as_before(
    front_door: str, member: Person, owner: Person, partner: Partner, listener: Listener
) -> None:
    assert ask(partner("BE*MSX:EMSP"), listener, None) == 200


def test_configuration_modules_ask_for_it_too(member: Person) -> None:
    assert member.get("versions", documented=False).codes[0] == 401
    assert member.get("versions", headers={HEADER: ONE}).codes == (200, 1000)


def test_a_certificate_itself_is_as_good_as_its_fingerprint(tmp_path: Path) -> None:
    pem = Authority(tmp_path).certificate_file("partner.example").read_text()
    pem = pem[pem.index("-----BEGIN CERT") : pem.index("-----END CERTIFICATE-----") + 25]
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()

    assert client_certificate.fingerprint(quote(pem)) == digest
    assert client_certificate.fingerprints(f"{pem}\n{ONE}, {ONE.upper()}") == [digest, ONE]


@pytest.mark.parametrize("text", ["", "no certificate", "a1" * 20, "-----BEGIN CERTIFICATE-----\nAAAA", "é" * 64])
def test_what_is_neither_proves_nothing(text: str) -> None:
    assert client_certificate.fingerprint(text) == ""


def test_an_operator_sets_and_clears_it(operator: Client, member: Person, settings: Settings) -> None:
    url = reverse("admin:ocpi_platform_tls", args=[member.id])
    rest = {"authorities_pem": "", "certificate": ""}

    refused = operator.post(url, {**rest, "client_sha256": "a1b2"}).content.decode()
    operator.post(url, {**rest, "client_sha256": ONE.upper()})

    assert "is no SHA-256 fingerprint" in refused
    assert TlsSettings.objects.get().client_sha256 == ONE
    assert snapshot.current().platforms[member.id].client_certificates == (ONE,)
    assert ONE in AuditEntry.objects.filter(action="platform.tls", actor="operator").get().details
    page = operator.get(reverse("admin:ocpi_platform_change", args=[member.id])).content.decode()
    assert "it has to show a certificate" in page

    settings.OCPI_TRUSTED_PROXIES = []
    assert (
        "OCPI_TRUSTED_PROXIES names no front server"
        in operator.post(url, {**rest, "client_sha256": ONE}).content.decode()
    )
    operator.post(url, rest)
    assert not TlsSettings.objects.exists()
