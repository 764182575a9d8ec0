"""load_tokens: our Tokens from a file, checked as the API checks them, and pushed."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from emsp.models import Token
from ocpi import sample_data
from ocpi.models import Delivery
from tests.conformance.suites import LATER, LATEST, at_most
from tests.fixtures import Document
from tests.people import Person

pytestmark = pytest.mark.usefixtures("emsp_side", "db")


def load(path: Path, *options: str) -> dict[str, Any]:
    printed = io.StringIO()
    call_command("load_tokens", str(path), "--json", *options, stdout=printed)
    found: dict[str, Any] = json.loads(printed.getvalue())
    return found


@pytest.fixture
def file(tmp_path: Path, document: Document) -> Path:
    path = tmp_path / "tokens.json"
    path.write_text(json.dumps([document("token_rfid"), document("token_app_user")], indent=2))
    return path


@pytest.mark.req("TOK-11", "PIT-47")
def test_tokens_are_stored_and_pushed_to_each_cpo_and_hub(file: Path, cpo: Person, hub: Person) -> None:
    report = load(file)

    assert report == {"read": 2, "created": 2, "updated": 0, "unchanged": 0, "refused": []}
    rfid = Token.objects.get(type="RFID")
    assert (rfid.uid, rfid.contract_id, rfid.valid) == ("04C7A1E2B95D80", "DE-EMS-C00004711-A", True)
    left = Delivery.objects.filter(source="emsp.Token", source_id=rfid.pk).order_by("platform_id")
    assert [(row.platform_id, row.to_party_id, row.path, row.query) for row in left] == [
        (cpo.id, "TNM", "DE/EMS/04C7A1E2B95D80", ""),
        (hub.id, "HUB", "DE/EMS/04C7A1E2B95D80", ""),
    ]
    assert set(Delivery.objects.exclude(source_id=rfid.pk).values_list("query", flat=True)) == {"type=APP_USER"}


def test_a_second_load_changes_and_pushes_nothing(file: Path, cpo: Person) -> None:
    load(file)
    Delivery.objects.all().delete()

    assert load(file)["unchanged"] == 2
    assert not Delivery.objects.exists()


def test_a_changed_token_is_newer_than_before_even_if_the_file_is_not(
    file: Path, cpo: Person, document: Document
) -> None:
    load(file)
    file.write_text(json.dumps({"status_code": 1000, "data": [document("token_rfid", valid=False)]}))

    assert load(file)["updated"] == 1

    token = Token.objects.get(type="RFID")
    assert not token.valid
    stored = json.loads(token.document)
    assert stored["valid"] is False
    assert stored["last_updated"] > document("token_rfid")["last_updated"]


def test_what_breaks_the_table_or_is_not_ours_is_refused_and_the_rest_loaded(file: Path, document: Document) -> None:
    foreign, broken = document("token_rfid", party_id="XXX"), document("token_rfid", uid="B", whitelist="SOMETIMES")
    file.write_text(json.dumps([foreign, broken, document("token_rfid", uid="GOOD")]))

    report = load(file)

    assert (report["read"], report["created"]) == (3, 1)
    assert [(each["id"], each["field"]) for each in report["refused"]] == [
        ("04C7A1E2B95D80", "party_id"),
        ("B", "whitelist"),
    ]
    assert Token.objects.get().uid == "GOOD"


def test_dry_run_counts_and_writes_nothing(file: Path) -> None:
    assert load(file, "--dry-run")["created"] == 2
    assert not Token.objects.exists()


def test_party_says_whose_tokens_they_are(file: Path, document: Document) -> None:
    file.write_text(json.dumps([document("token_rfid", country_code="XX", party_id="XXX")]))

    assert load(file, "--party", "de*ems")["created"] == 1

    assert json.loads(Token.objects.get().document)["party_id"] == "EMS"
    with pytest.raises(CommandError, match="NL\\*TNM is not an eMSP party"):
        load(file, "--party", "NL*TNM")


@pytest.mark.req("TRN-097")
def test_another_spelling_is_the_same_token(file: Path, document: Document) -> None:
    load(file)
    file.write_text(json.dumps([document("token_rfid", uid="04c7a1e2b95d80", last_updated=LATER)]))

    assert load(file)["updated"] == 1
    assert Token.objects.filter(type="RFID").count() == 1


def test_the_same_token_twice_in_a_file_is_kept_in_its_order(file: Path, document: Document) -> None:
    versions = [document("token_rfid", contract_id=name, last_updated=LATEST) for name in ("A", "B")]
    file.write_text(json.dumps(versions))

    assert load(file)["created"] == 1
    assert Token.objects.get().contract_id == "B"


def test_many_tokens_take_few_statements(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json.gz"
    path.write_bytes(gzip.compress(sample_data.dumps(list(sample_data.tokens(1000))).encode()))

    with at_most(10):
        assert load(path)["created"] == 1000


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    path.write_text('[{"uid": "1"')

    with pytest.raises(CommandError, match=r"tokens\.json"):
        load(path)
