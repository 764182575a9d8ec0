"""What an operator may do about tokens, hosts and TLS, and who may not (SEC-07, SEC-21, SEC-31, SEC-53)."""

from __future__ import annotations

import html
import os
import ssl
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from ocpi import client, connection, host_actions, hosts, snapshot, targets
from ocpi.models import AuditEntry, CredentialsToken, Platform, RequestedHost, TlsSettings
from tests.admin_world import operator_fixture as operator_fixture
from tests.admin_world import viewer_fixture as viewer_fixture
from tests.fixtures import Partner
from tests.people import Person
from tests.platforms import Listener
from tests.unit.hostile_server import Authority, HostileServer, answer, keep_answering

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("hub_side")]

LOCATIONS = "hub/2.2.1/sender/locations"
YES = {"confirmed": "yes"}


def url(action: str, person: Person) -> str:
    return reverse(f"admin:ocpi_platform_{action}", args=[person.id])


@pytest.fixture
def member(partner: Partner, listener: Listener) -> Person:
    return partner("DE*EMS:EMSP", listener=listener)


@pytest.fixture
def hand(db: None) -> Client:
    """Somebody who may act on platforms, but not on tokens, hosts and certificates."""
    found = Client()
    user = User.objects.create_user("hand", password="a long password of a hand", is_staff=True)
    names = ["view_platform", "change_platform", "view_requestedhost", "view_credentialstoken"]
    user.user_permissions.add(*Permission.objects.filter(codename__in=names, content_type__app_label="ocpi"))
    found.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return found


@pytest.mark.req("SEC-07", "SEC-53")
def test_a_token_is_renewed_from_the_admin_after_a_question(
    operator: Client, member: Person, listener: Listener
) -> None:
    asked = operator.post(url("renew_token", member))
    assert "Renew the tokens of this platform?" in asked.content.decode()
    assert listener.received("PUT") == []

    operator.post(url("renew_token", member), YES)

    sent = listener.received("PUT", "/ocpi/2.2.1/credentials")[0].json["token"]
    assert Person(token=sent, parties=member.parties).get(LOCATIONS).codes == (200, 1000)
    assert member.get(LOCATIONS).codes == (401, 2000)  # ended by the first use of the new one (CRED-37)


@pytest.mark.req("SEC-07")
def test_a_renewal_that_is_refused_says_so_and_changes_nothing(
    operator: Client, member: Person, listener: Listener
) -> None:
    listener.reply("PUT", "/ocpi/2.2.1/credentials", status=500)

    page = operator.post(url("renew_token", member), YES, follow=True).content.decode()

    assert "HTTP 500" in html.unescape(page)
    assert member.get(LOCATIONS).codes == (200, 1000)


@pytest.mark.req("SEC-07", "SEC-53", "CRED-35")
def test_tokens_are_revoked_at_once_after_a_question(operator: Client, member: Person) -> None:
    operator.post(url("revoke_tokens", member))
    assert member.get(LOCATIONS).codes == (200, 1000)

    operator.post(url("revoke_tokens", member), YES)

    assert member.get(LOCATIONS).codes == (401, 2000)
    assert not CredentialsToken.objects.filter(platform_id=member.id).exists()


@pytest.mark.req("SEC-21", "SEC-53")
def test_a_host_is_approved_after_a_question_and_shown_on_the_platforms_page(operator: Client, member: Person) -> None:
    hosts.note(member.id, "new.example:443", "response_url: https://new.example/x")
    hosts.flush()
    chosen = {"action": "approve", "_selected_action": [str(RequestedHost.objects.get().pk)]}
    changelist = reverse("admin:ocpi_requestedhost_changelist")
    page = operator.get(reverse("admin:ocpi_platform_change", args=[member.id])).content.decode()
    assert f"{changelist}?platform__id__exact={member.id}" in html.unescape(page)

    asked = operator.post(changelist, chosen)
    assert "go to these hosts?" in asked.content.decode()
    assert "new.example:443" not in Platform.objects.get(pk=member.id).hosts
    operator.post(changelist, {**chosen, **YES})

    assert "new.example:443" in snapshot.current().platforms[member.id].hosts
    operator.post(changelist, {**chosen, "action": "refuse", **YES})
    assert "new.example:443" not in snapshot.current().platforms[member.id].hosts


@pytest.mark.req("SEC-53", "SEC-21", "SEC-07", "SEC-31")
@pytest.mark.parametrize("who", ["viewer", "hand"])
def test_tokens_hosts_and_certificates_need_rights_of_their_own(
    who: str, member: Person, request: pytest.FixtureRequest
) -> None:
    somebody: Client = request.getfixturevalue(who)
    hosts.note(member.id, "new.example:443", "x")
    hosts.flush()
    chosen = {"action": "approve", "_selected_action": [str(RequestedHost.objects.get().pk)], **YES}

    names = ("renew_token", "revoke_tokens", "tls", "unregister", "unregister_here")
    answers = [somebody.post(url(name, member), YES) for name in names]
    somebody.post(reverse("admin:ocpi_requestedhost_changelist"), chosen)

    assert [got.status_code for got in answers] == [403] * len(names)
    assert member.get(LOCATIONS).codes == (200, 1000)
    assert RequestedHost.objects.get().decision == "WAITING"


# ---- leaving


@pytest.mark.req("CRED-40", "CRED-43")
def test_a_registration_is_ended_from_the_admin_and_the_partner_is_told(
    operator: Client, member: Person, listener: Listener
) -> None:
    assert "End the registration" in operator.post(url("unregister", member)).content.decode()
    listener.reply("DELETE", "/ocpi/2.2.1/credentials", status=500)
    refused = operator.post(url("unregister", member), YES, follow=True).content.decode()
    assert "HTTP 500" in html.unescape(refused)
    assert member.get(LOCATIONS).codes == (200, 1000)

    listener.reply("DELETE", "/ocpi/2.2.1/credentials")
    page = operator.post(url("unregister", member), YES, follow=True).content.decode()

    assert "was told, and is unregistered" in html.unescape(page)
    assert member.get(LOCATIONS).codes == (401, 2000)


@pytest.mark.req("CRED-40")
def test_a_platform_that_is_gone_is_left_without_being_told(
    operator: Client, member: Person, listener: Listener
) -> None:
    operator.post(url("unregister_here", member), YES)

    assert listener.requests == []
    assert member.get(LOCATIONS).codes == (401, 2000)
    assert Platform.objects.get(pk=member.id).state == "UNREGISTERED"
    assert AuditEntry.objects.filter(action="platform.unregister_here", actor="operator").exists()


# ---- TLS


@pytest.fixture
def authority(tmp_path: Path, settings: Settings) -> Authority:
    settings.OCPI_CERTIFICATES = str(tmp_path)
    return Authority(tmp_path)


@pytest.mark.req("SEC-31")
def test_a_platform_is_checked_with_its_own_authority_and_gets_our_certificate(
    operator: Client, member: Person, authority: Authority
) -> None:
    authority.certificate_file("ours.example")
    context = authority.server_context("localhost", "127.0.0.1")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=authority.pem)
    with HostileServer(keep_answering(answer()), tls=context) as server:
        place = f"https://127.0.0.1:{server.port}/x"
        Platform.objects.filter(pk=member.id).update(hosts=[f"127.0.0.1:{server.port}"])
        snapshot.changed()
        with pytest.raises(client.ClientError):
            client.send(snapshot.current().platforms[member.id].target(), "GET", place, timeout=3)
        assert server.requests == []

        operator.post(url("tls", member), {"authorities_pem": authority.pem, "certificate": "ours.example.pem"})

        target = snapshot.current().platforms[member.id].target()
        assert client.send(target, "GET", place, timeout=3).ok
        page = operator.get(reverse("admin:ocpi_platform_change", args=[member.id])).content.decode()
        assert "checked with 1 of its own authorities; our certificate is ours.example.pem" in page

        operator.post(url("tls", member), {"authorities_pem": "", "certificate": ""})

        assert not TlsSettings.objects.exists()
        assert AuditEntry.objects.filter(action="platform.tls", actor="operator").count() == 2
        with pytest.raises(client.Unreachable):
            client.send(snapshot.current().platforms[member.id].target(), "GET", place, timeout=3)


@pytest.mark.req("SEC-31")
def test_and_so_is_the_handshake_with_it(member: Person, authority: Authority) -> None:
    certificate = authority.certificate_file("ours.example").name
    host_actions.set_tls(member.id, authorities_pem=authority.pem, certificate=certificate, actor="operator")

    known = snapshot.current().platforms[member.id].target()
    target = targets.under_way(Platform.objects.get(pk=member.id), "its token B", "new.example")

    assert (target.authorities_pem, target.certificate_file) == (authority.pem, known.certificate_file)
    assert known.certificate_file.endswith("ours.example.pem")
    assert (target.token, target.hosts) == ("its token B", known.hosts | {"new.example"})


@pytest.mark.req("SEC-31")
def test_what_is_no_certificate_and_any_key_is_refused_by_the_form(
    operator: Client, member: Person, authority: Authority, tmp_path: Path
) -> None:
    (tmp_path / "broken.pem").write_text("no certificate")
    key = authority.certificate_file("ours.example").read_text()
    tries = [
        {"authorities_pem": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"},
        {"authorities_pem": "trust me"},
        {"authorities_pem": key},
        {"certificate": "broken.pem"},
        {"certificate": "../ours.example.pem"},
        {"certificate": "/etc/passwd"},
    ]

    answers = [operator.post(url("tls", member), {"authorities_pem": "", "certificate": "", **one}) for one in tries]

    assert [got.status_code for got in answers] == [200] * len(tries)
    assert not TlsSettings.objects.exists()


@pytest.mark.req("SEC-31")
def test_a_renewed_certificate_file_is_read_again(authority: Authority) -> None:
    file = authority.certificate_file("ours.example")
    first = connection.tls_context("", str(file))
    assert connection.tls_context("", str(file)) is first
    stat = os.stat(file)

    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1_000_000))

    assert connection.tls_context("", str(file)) is not first


@pytest.mark.req("SEC-31")
def test_no_setting_and_no_platform_leaves_the_check_out(authority: Authority, settings: Settings) -> None:
    contexts: list[Any] = [connection.tls_context(), connection.tls_context(authority.pem)]

    assert all(context.verify_mode is ssl.CERT_REQUIRED and context.check_hostname for context in contexts)
    assert not [name for name in dir(settings) if "VERIFY" in name or "INSECURE" in name]
