"""The groups of people that `create_groups` makes: what each may see and do (SEC-53)."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import StringIO

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from ocpi import hosts
from ocpi.models import Party, Platform, RequestedHost
from tests.fixtures import Partner
from tests.people import Person
from tests.platforms import Listener

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("hub_side")]

YES = {"confirmed": "yes"}
OURS = ("ocpi", "hub", "cpo", "emsp")
Of = Callable[[str], Client]


@pytest.fixture
def of() -> Of:
    """Return who is in one of the groups, logged in."""
    call_command("create_groups", stdout=StringIO())

    def somebody(group: str) -> Client:
        user = User.objects.create_user(group, password="a long password of somebody", is_staff=True)
        user.groups.add(Group.objects.get(name=group))
        found = Client()
        found.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        return found

    return somebody


@pytest.fixture
def member(partner: Partner, listener: Listener) -> Person:
    return partner("DE*EMS:EMSP", listener=listener)


@pytest.mark.req("SEC-53")
def test_each_group_sees_every_page_of_ours(of: Of, member: Person) -> None:
    somebody = of("viewer")
    pages = [model._meta for model in admin.site._registry if model._meta.app_label in OURS]
    assert len(pages) > 60

    seen = {
        meta.label: somebody.get(reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist")).status_code
        for meta in pages
    }

    assert [label for label, code in seen.items() if code != 200] == []
    rights = {group.name: set(group.permissions.values_list("pk", flat=True)) for group in Group.objects.all()}
    assert rights["operator"] > rights["viewer"] < rights["security"]


@pytest.mark.req("SEC-53")
@pytest.mark.parametrize(
    ("group", "acts", "trusts", "accounts"),
    [("viewer", False, False, False), ("operator", True, False, False), ("security", True, True, True)],
)
def test_only_the_security_group_decides_whom_we_trust(
    of: Of, member: Person, group: str, acts: bool, trusts: bool, accounts: bool
) -> None:
    somebody = of(group)
    hosts.note(member.id, "new.example:443", "x")
    hosts.flush()
    party = Party.objects.get(party_id="EMS")
    Party.objects.filter(pk=party.pk).update(approved=False)

    somebody.post(reverse("admin:ocpi_platform_suspend", args=[member.id]), YES)
    suspended = Platform.objects.get(pk=member.id).connection == "SUSPENDED"
    for page, row in (("party", party), ("requestedhost", RequestedHost.objects.get())):
        chosen = {"action": "approve", "_selected_action": [str(row.pk)], **YES}
        somebody.post(reverse(f"admin:ocpi_{page}_changelist"), chosen)
    somebody.post(reverse("admin:ocpi_platform_invite"), {"name": "New", "parties": "NL*ABC:CPO"})
    somebody.post(reverse("admin:ocpi_platform_revoke_tokens", args=[member.id]), YES)

    assert suspended is acts
    assert Party.objects.filter(party_id="ABC", approved=True).exists() is trusts
    assert Party.objects.get(pk=party.pk).approved is trusts
    assert (RequestedHost.objects.get().decision == "APPROVED") is trusts
    assert (member.get("hub/2.2.1/sender/locations").codes == (401, 2000)) is trusts
    assert (somebody.get(reverse("admin:auth_user_changelist")).status_code == 200) is accounts


def test_what_people_made_of_a_group_stays_unless_it_is_to_be_made_anew() -> None:
    def run(*options: str) -> dict[str, int]:
        output = StringIO()
        call_command("create_groups", "--json", *options, stdout=output)
        made: dict[str, int] = json.loads(output.getvalue())
        return made

    first = run()
    Group.objects.get(name="viewer").permissions.clear()

    assert list(first) == ["viewer", "operator", "security"]
    assert run() == {}
    assert Group.objects.get(name="viewer").permissions.count() == 0
    assert run("--anew") == first
