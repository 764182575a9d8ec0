"""invite_platform, register_platform, list_platforms: what an operator and a script see."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from ocpi.models import ConnectionStatus, CredentialsToken, Delivery, FinishedDelivery, Party, Platform
from tests.fixtures import Partner
from tests.people import Person
from tests.platforms import Listener

pytestmark = [pytest.mark.usefixtures("hub_side"), pytest.mark.django_db]


def run(*words: str) -> str:
    """Return what a command prints."""
    output = io.StringIO()
    call_command(*words, stdout=output)
    return output.getvalue()


def run_json(*words: str) -> Any:
    """Return the one JSON line a command prints."""
    text = run(*words, "--json")
    assert text.count("\n") == 1
    return json.loads(text)


@pytest.mark.req("CRED-09", "CRED-10", "SEC-08", "SEC-01")
def test_an_invitation_is_enough_to_register(listener: Listener) -> None:
    found = run_json("invite_platform", "--name", "Elbe", "--party", "DE*EMS:EMSP", "--party", "de*ems:CPO")

    assert set(found) == {"platform", "versions_url", "token_a"}
    assert found["versions_url"] == "http://127.0.0.1:8000/ocpi/versions"
    assert [str(party) for party in Party.objects.filter(approved=True, claimed=False).order_by("id")] == [
        "DE*EMS:EMSP",
        "DE*EMS:CPO",
    ]
    answer = Person(token=found["token_a"]).post("2.2.1/credentials", listener.credentials())
    assert answer.codes == (200, 1000)
    assert [str(party) for party in Party.objects.filter(approved=True, claimed=True)] == ["DE*EMS:EMSP"]


def test_an_invitation_notes_on_stderr_whose_roles_it_names(cpo: Person) -> None:
    holder = Platform.objects.get(pk=cpo.id).name
    output, errors = io.StringIO(), io.StringIO()
    words = ("--party", "NL*TNM:CPO", "--party", "NL*TNM:EMSP", "--json")
    call_command("invite_platform", "--name", "Elbe", *words, stdout=output, stderr=errors)

    assert json.loads(output.getvalue()).keys() == {"platform", "versions_url", "token_a"}
    assert errors.getvalue().splitlines() == [
        f"Note: {holder} acts as CPO for NL*TNM already: Elbe can do so only once {holder} has given that up"
    ]


@pytest.mark.req("SEC-08", "TRN-014")
def test_token_a_is_printed_once_and_kept_nowhere() -> None:
    token_a = run_json("invite_platform", "--name", "Elbe", "--any-role")["token_a"]

    assert token_a not in run("list_platforms") + run("list_platforms", "--json")
    assert token_a not in str(list(CredentialsToken.objects.values()) + list(Platform.objects.values()))
    assert f"token_a: {token_a}" not in run("invite_platform", "--name", "Waal")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--name", "Elbe", "--party", "DE-EMS"], "--party must look like NL[*]TNM:CPO"),
        (["--name", "Elbe", "--party", "DE*EMS:DRIVER"], "--party must look like"),
        (["--name", "Elbe", "--party", "DEU*EMS:CPO"], "--party must look like"),
        (["--name", "Elbe", "--party", "DE*EMSX:CPO"], "--party must look like"),
        (["--name", "  "], "--name must have"),
        (["--name", "x" * 101], "--name must have"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(words: list[str], sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence):
        run("invite_platform", *words)

    assert not Platform.objects.exists()


@pytest.mark.req("CRED-10", "CRED-40", "SEC-08")
def test_an_invitation_that_is_taken_back_lets_nobody_register(listener: Listener) -> None:
    token_a = run_json("invite_platform", "--name", "Elbe", "--any-role")["token_a"]

    assert run_json("unregister_platform", "--name", "Elbe")["state"] == "UNREGISTERED"

    assert Person(token=token_a).post("2.2.1/credentials", listener.credentials()).codes[0] == 401
    with pytest.raises(CommandError, match="neither registered nor invited"):
        run("unregister_platform", "--name", "Elbe")
    with pytest.raises(CommandError, match="No platform is called Waal"):
        run("unregister_platform", "--name", "Waal")


@pytest.mark.req("CRED-40", "CRED-43")
def test_a_platform_is_left_and_may_be_invited_again(cpo: Person) -> None:
    name = str(cpo.platform)

    said = run("unregister_platform", "--name", name, "--here-only")

    assert "was not told" in said
    assert cpo.get("2.2.1/credentials").codes == (401, 2000)
    assert run_json("invite_platform", "--name", name)["platform"] == cpo.id


@pytest.mark.req("SEC-08")
def test_a_registered_platform_is_not_invited_again(cpo: Person) -> None:
    with pytest.raises(CommandError, match="registered already"):
        run("invite_platform", "--name", str(cpo.platform))


@pytest.mark.req("CRED-24", "CRED-06")
def test_registering_with_a_partner_prints_what_came_of_it(listener: Listener) -> None:
    listener.roles = ["DE*EMS:EMSP", "DE*EMS:CPO"]

    found = run_json(
        "register_platform", "--name", "Elbe", "--versions-url", listener.versions_url, "--token", "their-token-A",
        "--party", "DE*EMS:EMSP",
    )  # fmt: skip

    assert (found["state"], found["version"]) == ("REGISTERED", "2.2.1")
    assert found["roles"] == ["DE*EMS:EMSP", "DE*EMS:CPO (pending)"]
    assert len(found["endpoints"]) == 15
    assert {"identifier": "locations", "role": "SENDER", "url": listener.endpoint("locations", "SENDER")} in found[
        "endpoints"
    ]


def test_registering_prints_the_same_for_people(listener: Listener) -> None:
    text = run(
        "register_platform", "--name", "Elbe", "--versions-url", listener.versions_url, "--token", "their-token-A",
        "--any-role",
    )  # fmt: skip

    assert "Elbe is REGISTERED, version 2.2.1" in text
    assert "DE*EMS:EMSP" in text
    assert "their-token-A" not in text


@pytest.mark.req("CRED-28", "TRN-014")
def test_a_refusal_is_a_sentence_with_their_words(listener: Listener) -> None:
    listener.reply("POST", "/ocpi/2.2.1/credentials", code=3001, message="your versions URL is down")

    with pytest.raises(CommandError, match="your versions URL is down") as failure:
        run("register_platform", "--name", "Elbe", "--versions-url", listener.versions_url, "--token", "their-token-A")

    assert "their-token-A" not in str(failure.value)


def test_platforms_are_listed_with_what_waits_for_them(partner: Partner, cpo: Person, invited: Person) -> None:
    rows = {row["name"]: row for row in run_json("list_platforms")}

    assert rows["NL*TNM:CPO"] == {
        "platform": cpo.id,
        "name": "NL*TNM:CPO",
        "state": "REGISTERED",
        "connection": "CONNECTED",
        "version": "2.2.1",
        "roles": ["NL*TNM:CPO"],
        "pending": 0,
        "marks": 0,
        "dead": 0,
    }
    assert (rows["invited"]["state"], rows["invited"]["connection"]) == ("INVITED", "PLANNED")


@pytest.mark.req("REL-25")
def test_a_paused_platform_is_listed_as_paused_and_people_are_told_why(cpo: Person) -> None:
    Platform.objects.filter(pk=cpo.id).update(paused_reason="it refuses our token: HTTP 401")

    (row,) = run_json("list_platforms")
    assert row["connection"] in ConnectionStatus
    assert "REGISTERED, PAUSED (it refuses our token: HTTP 401), NL*TNM:CPO;" in run("list_platforms")


def test_waiting_marked_and_dead_deliveries_are_counted(cpo: Person, emsp: Person) -> None:
    common = {"platform_id": cpo.id, "kind": "STATE", "slot": 0, "module": "tokens", "correlation_id": "c"}
    for number, state in enumerate(["PENDING", "PENDING", "MARKED"]):
        Delivery.objects.create(**common, state=state, source="x", source_id=number)
    for state in ("DEAD", "DELIVERED"):
        FinishedDelivery.objects.create(**common, state=state)

    rows = {row["platform"]: row for row in run_json("list_platforms")}

    assert (rows[cpo.id]["pending"], rows[cpo.id]["marks"], rows[cpo.id]["dead"]) == (2, 1, 1)
    assert (rows[emsp.id]["pending"], rows[emsp.id]["marks"], rows[emsp.id]["dead"]) == (0, 0, 0)


def test_an_empty_list_says_what_to_do() -> None:
    assert "invite_platform" in run("list_platforms")
    assert run_json("list_platforms") == []
