"""What the support of an eMSP does in the admin: a lost card is blocked, a place is found by the id on the pole."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from emsp.models import EVSE, Token
from ocpi.models import AuditEntry, Delivery
from tests.admin_world import operator_fixture as operator_fixture
from tests.admin_world import viewer_fixture as viewer_fixture
from tests.emsp_support import cpo_fixture as cpo_fixture
from tests.emsp_support import evse_fixture as evse_fixture
from tests.emsp_support import token_fixture as token_fixture
from tests.people import Person

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("emsp_side")]

YES = {"confirmed": "yes"}


def press(client: Client, button: str, token: Token) -> Any:
    return client.post(reverse(f"admin:emsp_token_{button}", args=[token.pk]), YES, follow=True)


@pytest.mark.req("TOK-12", "TOK-11", "SEC-53")
def test_a_drivers_card_is_blocked_and_let_in_again(
    operator: Client, viewer: Client, token: Token, cpo: Person
) -> None:
    refused = press(viewer, "block", token).status_code
    asked = operator.get(reverse("admin:emsp_token_block", args=[token.pk])).content.decode()
    untouched = Token.objects.get(pk=token.pk)

    press(operator, "block", token)

    blocked = Token.objects.get(pk=token.pk)
    assert (refused, untouched.valid, "Block this Token?" in asked) == (403, True, True)
    assert (blocked.valid, json.loads(blocked.document)["valid"]) == (False, False)
    assert blocked.last_updated > token.last_updated
    assert Delivery.objects.filter(source="emsp.Token", source_id=token.pk, platform_id=cpo.id).exists()
    assert AuditEntry.objects.filter(action="token.block", actor="operator").exists()
    assert "blocked already" in press(operator, "block", token).content.decode()

    press(operator, "unblock", token)
    assert Token.objects.get(pk=token.pk).valid


def test_an_evse_is_found_by_the_id_on_the_pole(operator: Client, evse: EVSE) -> None:
    evse_id = json.loads(evse.document)["evse_id"]

    found = operator.get(reverse("admin:emsp_evse_changelist"), {"q": evse_id.lower()}).content.decode()
    other = operator.get(reverse("admin:emsp_evse_changelist"), {"q": evse_id + "*9"}).content.decode()

    page = reverse("admin:emsp_evse_change", args=[evse.pk])
    assert (page in found, page in other) == (True, False)
