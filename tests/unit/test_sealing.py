"""Tokens for our calls are kept under a key that can be changed while everything runs (SEC-04)."""

from __future__ import annotations

import base64
import io
import json
import os

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django.fixtures import Settings

from cpo.modules import certificates_authorities, certificates_backends
from ocpi import secrets, snapshot, targets
from ocpi.models import Platform
from ocpi.modules import sealing
from tests.fixtures import Partner

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("hub_side")]


def new_key() -> str:
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


def rotate(*options: str) -> dict[str, object]:
    written = io.StringIO()
    call_command("rotate_keys", "--json", *options, stdout=written)
    found: dict[str, object] = json.loads(written.getvalue())
    return found


@pytest.mark.req("SEC-04")
def test_after_a_rotation_the_old_key_opens_nothing_and_is_not_needed(partner: Partner, settings: Settings) -> None:
    people = [partner("DE*EMS:EMSP"), partner("NL*TNM:CPO")]
    partner(name="invited", state="INVITED", purpose="A", endpoints=())
    old = list(settings.FIELD_KEYS)
    settings.FIELD_KEYS = [new_key(), *old]

    with pytest.raises(CommandError, match="older key"):
        rotate("--check")
    first = rotate()
    second = rotate("--check")

    assert first == {"sealed_anew": 2, "left": 0, "unopened": []}
    assert second == {"sealed_anew": 0, "left": 2, "unopened": []}
    settings.FIELD_KEYS = settings.FIELD_KEYS[:1]
    snapshot.changed()
    assert [snapshot.current().platforms[person.id].target().token for person in people] == [
        person.token_out for person in people
    ]
    settings.FIELD_KEYS = old
    for row in Platform.objects.exclude(token_out=""):
        with pytest.raises(secrets.Unsealable):
            secrets.decrypt(row.token_out, context=targets.token_context(row.pk))


@pytest.mark.req("SEC-04")
def test_a_token_that_was_moved_to_another_platform_opens_nothing(partner: Partner) -> None:
    one, other = partner("DE*EMS:EMSP"), partner("NL*TNM:CPO")
    Platform.objects.filter(pk=other.id).update(token_out=Platform.objects.get(pk=one.id).token_out)
    snapshot.changed()

    assert snapshot.current().platforms[one.id].target().token == one.token_out
    with pytest.raises(secrets.Unsealable):
        snapshot.current().platforms[other.id].target()


@pytest.mark.req("SEC-04")
def test_a_token_whose_key_is_gone_is_named_and_the_others_are_sealed(partner: Partner, settings: Settings) -> None:
    lost = partner("DE*EMS:EMSP", name="Lost")
    settings.FIELD_KEYS = [new_key()]
    kept = partner("NL*TNM:CPO")
    settings.FIELD_KEYS = [new_key(), *settings.FIELD_KEYS]

    with pytest.raises(CommandError, match="Lost"):
        rotate()

    assert secrets.sealed_with_newest(Platform.objects.get(pk=kept.id).token_out)
    assert not secrets.sealed_with_newest(Platform.objects.get(pk=lost.id).token_out)


@pytest.mark.req("SEC-04")
def test_nobody_changes_a_token_while_it_is_sealed_anew(partner: Partner, settings: Settings) -> None:
    partner("DE*EMS:EMSP")
    settings.FIELD_KEYS = [new_key(), *settings.FIELD_KEYS]

    with CaptureQueriesContext(connection) as asked:
        rotate()

    read, written = (
        [place for place, query in enumerate(asked) if begins in query["sql"] and ends in query["sql"]]
        for begins, ends in (('FROM "ocpi_platform"', "FOR UPDATE"), ('UPDATE "ocpi_platform"', "token_out"))
    )
    assert len(read) == len(written) == 1
    assert read < written


@pytest.mark.req("SEC-04", "OCPP-90")
def test_what_an_authority_of_charge_points_keeps_is_sealed_anew_too(cpo_side: None, settings: Settings) -> None:
    own = certificates_authorities.create("NL", "TNM", organisation="The New Motion", by="tester")
    asked = certificates_authorities.create(
        "DE", "OTH", organisation="Other", url="https://ca.example.com/", token="t0ken",
        certificates=own.certificates, by="tester",
    )  # fmt: skip
    key = secrets.decrypt(own.key, context=certificates_backends.context("NL", "TNM", "key"))
    settings.FIELD_KEYS = [new_key(), *settings.FIELD_KEYS]

    assert rotate() == {"sealed_anew": 2, "left": 0, "unopened": []}

    settings.FIELD_KEYS = settings.FIELD_KEYS[:1]
    for row in (own, asked):
        row.refresh_from_db()
    assert secrets.decrypt(own.key, context=certificates_backends.context("NL", "TNM", "key")) == key
    assert secrets.decrypt(asked.token, context=certificates_backends.context("DE", "OTH", "token")) == "t0ken"


def test_every_column_said_to_be_sealed_is_known_to_the_rotation() -> None:
    told = {
        (model, field.name)
        for model in apps.get_models()
        for field in model._meta.get_fields()
        if str(getattr(field, "help_text", "")).startswith("sealed")
    }

    assert len(told) >= 2
    assert told <= {(column.model, column.name) for column in sealing.columns()}
