"""Every page of the admin: opens with data, shows no secret, escapes what partners send, changes nothing by itself.

A page is made once for all that is looked for in it.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from cpo import models as cpo_models
from emsp import models as emsp_models
from hub.models import Permission, SharedObject
from ocpi import secrets
from ocpi.models import Delivery, Exchange, MeterKey, Platform, StatementTerms
from tests.admin_devices import LINK_DIGEST, NEXT_DIGEST, SEALED
from tests.admin_world import (
    API_TOKEN_DIGEST,
    CALLBACK_KEY,
    CDR_KEY,
    COMMAND_KEY,
    EVIL,
    PARTNER_PATH,
    PASSWORD_HASH,
)
from tests.admin_world import operator_fixture as operator_fixture
from tests.admin_world import shared_world_fixture as shared_world_fixture

REGISTERED = sorted(admin.site._registry, key=lambda model: model._meta.label)
WRITTEN_BY_OPERATORS = (
    User, Group, Permission, cpo_models.TenantPolicy, cpo_models.ProvisioningPlan, StatementTerms, MeterKey,
)  # fmt: skip
Pages = Callable[[type[Model]], dict[str, str]]


def _name(model: type[Model]) -> str:
    return str(model._meta.label)


def _content(client: Client, url: str) -> str:
    answer = client.get(url)
    assert answer.status_code == 200, (url, answer.status_code)
    return str(answer.content.decode())


@pytest.fixture(scope="module")
def seen() -> dict[type[Model], dict[str, str]]:
    return {}


@pytest.fixture
def pages(shared_world: dict[str, Any], operator: Client, seen: dict[type[Model], dict[str, str]]) -> Pages:
    """Return the list and the first three pages of a model by their URLs, as an operator sees them."""

    def of(model: type[Model]) -> dict[str, str]:
        if model not in seen:
            stem = f"admin:{model._meta.app_label}_{model._meta.model_name}"
            rows = model._default_manager.order_by("pk")[:3]
            urls = [reverse(f"{stem}_changelist"), *(reverse(f"{stem}_change", args=[row.pk]) for row in rows)]
            seen[model] = {url: _content(operator, url) for url in urls}
        return seen[model]

    return of


@pytest.fixture
def hidden(shared_world: dict[str, Any]) -> list[str]:
    """Return what nobody may see."""
    people = [shared_world["owner"], shared_world["drivers"]]
    tokens = [text for person in people for text in (person.token, person.token_out, secrets.digest(person.token))]
    sealed = [str(Platform.objects.get(pk=person.id).token_out) for person in people]
    sealed += [SEALED, NEXT_DIGEST, LINK_DIGEST]
    found = [*tokens, *sealed, API_TOKEN_DIGEST, CALLBACK_KEY, COMMAND_KEY, CDR_KEY, PASSWORD_HASH, PARTNER_PATH]
    assert all(found)
    return found


@pytest.mark.req("SEC-50")
@pytest.mark.parametrize("model", REGISTERED, ids=_name)
def test_the_list_and_the_page_of_every_model_open_with_data_and_show_no_secret(
    model: type[Model], pages: Pages, hidden: list[str]
) -> None:
    found = pages(model)

    assert len(found) >= 2, f"the world has no {model._meta.label}"
    for url, content in found.items():
        assert "</html>" in content, url
        assert [secret for secret in hidden if secret in html.unescape(content)] == [], url


@pytest.mark.req("SEC-50")
def test_the_first_page_shows_no_secret(operator: Client, hidden: list[str]) -> None:
    content = html.unescape(_content(operator, "/admin/"))

    assert [secret for secret in hidden if secret in content] == []


@pytest.mark.req("SEC-55")
@pytest.mark.parametrize(
    "model",
    [
        Platform, Delivery, Exchange, SharedObject, cpo_models.Location, cpo_models.ChargePoint, emsp_models.Location,
        cpo_models.UnknownChargePoint, emsp_models.CDR, cpo_models.BootRecord, cpo_models.StationEvent,
        cpo_models.DataTransfer, cpo_models.StationCertificate, cpo_models.DeviceFile,
    ],
    ids=_name,
)  # fmt: skip
def test_what_partners_send_shows_as_text(model: type[Model], pages: Pages) -> None:
    contents = pages(model).values()

    assert not any(EVIL in content for content in contents)
    assert any(EVIL in html.unescape(re.sub(r"</?span[^>]*>", "", content)) for content in contents)


@pytest.mark.parametrize("model", [model for model in REGISTERED if model not in WRITTEN_BY_OPERATORS], ids=_name)
def test_nothing_but_accounts_permissions_and_policies_can_be_added_changed_or_deleted(
    model: type[Model], operator: Client, shared_world: dict[str, Any]
) -> None:
    names = [f"admin:{model._meta.app_label}_{model._meta.model_name}_{what}" for what in ("delete", "change")]
    pk = model._default_manager.order_by("pk")[0].pk

    answers = [operator.post(reverse(name, args=[pk]), {"post": "yes"}) for name in names]
    answers.append(operator.get(reverse(names[0].replace("_delete", "_add"))))

    assert [answer.status_code for answer in answers] == [403, 403, 403]
    assert model._default_manager.filter(pk=pk).exists()
