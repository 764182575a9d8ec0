"""`price_cdr` and `check_cdr`: exit codes, exact members, and no database."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command, load_command_class
from django.core.management.base import CommandError

from ocpi import tariff_pricing
from tests.unit.tariff_cases import vector

ROOT = Path(__file__).parents[2]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Return the paths of a tariff and of CDRs that are right, wrong and impossible."""
    case, wrong = vector("V01"), vector("V02")
    contents = {
        "tariff": case["tariff"],
        "list": [vector("A49")["tariff"] | {"id": "T0"}, case["tariff"]],
        "cdr": case["cdr"],
        "own": case["cdr"] | {"tariffs": [case["tariff"]]},
        "wrong": wrong["cdr"],
        "sek": case["cdr"] | {"currency": "SEK"},
        "session": vector("A58")["session"],
    }
    paths = {}
    for name, content in contents.items():
        file = tmp_path / f"{name}.json"
        file.write_text(tariff_pricing.dumps(content))
        paths[name] = str(file)
    (tmp_path / "broken.json").write_text("{")
    return paths | {"broken": str(tmp_path / "broken.json"), "folder": str(tmp_path)}


def run(*arguments: str) -> Any:
    out = io.StringIO()
    call_command(*arguments, "--json", stdout=out)
    assert out.getvalue().count("\n") == 1
    return json.loads(out.getvalue())


@pytest.mark.req("PRI-122")
def test_a_price_has_exactly_the_promised_members(files: dict[str, str]) -> None:
    result = run("price_cdr", "--tariff", files["tariff"], "--cdr", files["cdr"], "--timezone", "Europe/Amsterdam")

    prices = "total_cost total_fixed_cost total_energy_cost total_time_cost total_parking_cost total_reservation_cost"
    others = "currency timezone total_energy total_time total_parking_time billed lines findings invoice limits policy"
    assert set(result) == set(prices.split()) | set(others.split())
    assert result["total_cost"] == {"excl_vat": "3.0000", "incl_vat": "3.6300"}
    assert result["total_fixed_cost"] is None
    assert (result["currency"], result["timezone"]) == ("EUR", "Europe/Amsterdam")
    assert result["billed"] == {"energy_kwh": "5", "time_s": "1800", "parking_s": None, "reservation_s": None}


@pytest.mark.req("PRI-122")
@pytest.mark.parametrize("tariffs", [[], ["list"], ["tariff", "tariff"]])
def test_tariffs_come_from_the_cdr_a_list_or_several_files(files: dict[str, str], tariffs: list[str]) -> None:
    given = [argument for name in tariffs for argument in ("--tariff", files[name])]

    assert run("price_cdr", *given, "--cdr", files["own"])["total_cost"]["excl_vat"] == "3.0000"


@pytest.mark.req("PRI-78", "PRI-122")
def test_a_running_session_is_priced(files: dict[str, str]) -> None:
    assert run("price_cdr", "--tariff", files["tariff"], "--cdr", files["session"])["total_time"] == "0.3411"


@pytest.mark.req("PRI-122")
def test_what_cannot_be_priced_exits_with_1_and_a_code(files: dict[str, str]) -> None:
    out = io.StringIO()

    with pytest.raises(CommandError, match="currency_mismatch") as caught:
        call_command("price_cdr", "--tariff", files["tariff"], "--cdr", files["sek"], "--json", stdout=out)

    assert caught.value.returncode == 1
    answer = json.loads(out.getvalue())
    assert (set(answer), answer["error"]) == ({"error", "message"}, "currency_mismatch")


@pytest.mark.req("PRI-122")
@pytest.mark.parametrize(
    "arguments",
    [
        ["--cdr", "{broken}"],
        ["--cdr", "{folder}"],
        ["--cdr", "{folder}/absent.json"],
        ["--cdr", "{list}"],
        ["--cdr", "{cdr}", "--tariff", "{broken}"],
        ["--cdr", "{cdr}", "--timezone", "Europe/Nowhere"],
        ["--cdr", "{cdr}", "--jsonl", "-"],
        ["--jsonl", "{folder}/absent.jsonl"],
        [],
    ],
)
def test_unreadable_input_and_bad_arguments_exit_with_2(files: dict[str, str], arguments: list[str]) -> None:
    with pytest.raises(CommandError) as caught:
        call_command("price_cdr", *(argument.format(**files) for argument in arguments))

    assert caught.value.returncode == 2


@pytest.mark.req("PRI-123")
def test_many_documents_give_one_line_each_in_order(files: dict[str, str], tmp_path: Path) -> None:
    case = vector("V01")
    tasks = [
        tariff_pricing.dumps({"cdr": case["cdr"], "tariff": case["tariff"], "timezone": None}),
        "not json",
        tariff_pricing.dumps({"cdr": case["cdr"], "tariffs": []}),
        tariff_pricing.dumps({"tariff": case["tariff"]}),
        tariff_pricing.dumps({"cdr": case["cdr"] | {"total_energy": 1}, "tariffs": [case["tariff"]]}),
    ]
    (tmp_path / "tasks.jsonl").write_text("\n".join(tasks) + "\n\n")
    out = io.StringIO()

    call_command("price_cdr", "--jsonl", str(tmp_path / "tasks.jsonl"), stdout=out)

    answers = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [each.get("error") for each in answers] == [None, "invalid_input", "no_tariff", "invalid_input", None]
    assert answers[4]["total_cost"]["excl_vat"] == "3.0000"


@pytest.mark.req("PRI-123")
def test_many_documents_may_come_on_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    case, out = vector("V01"), io.StringIO()
    task = tariff_pricing.dumps({"cdr": case["cdr"], "tariff": case["tariff"]})
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{task}\n{task}\n"))

    call_command("check_cdr", "--jsonl", "-", stdout=out)

    assert [json.loads(line)["verdict"] for line in out.getvalue().splitlines()] == ["match", "match"]


@pytest.mark.req("PRI-124")
@pytest.mark.parametrize("command", ["check_cdr", "validate_cdr"])
def test_a_check_tells_verdict_fields_diagnosis_and_findings(files: dict[str, str], command: str) -> None:
    result = run(command, "--tariff", files["tariff"], "--cdr", files["wrong"])

    assert result["verdict"] == "mismatch"
    assert result["fields"] == [
        "total_cost.excl_vat",
        "total_cost.incl_vat",
        "total_time_cost.excl_vat",
        "total_time_cost.incl_vat",
    ]
    assert result["diagnosis"] == ["no_step_size"]
    assert result["findings"] == []
    assert run(command, "--cdr", files["own"])["verdict"] == "match"
    assert run(command, "--cdr", files["cdr"])["reason"] == "no_tariff"


@pytest.mark.req("PRI-122", "PRI-124")
def test_without_json_people_get_a_table(files: dict[str, str]) -> None:
    price, check = io.StringIO(), io.StringIO()

    call_command("price_cdr", "--tariff", files["tariff"], "--cdr", files["cdr"], stdout=price)
    call_command("check_cdr", "--tariff", files["tariff"], "--cdr", files["wrong"], stdout=check)

    assert "total 3.0000 EUR excl. VAT, 3.6300 incl. VAT" in price.getvalue()
    assert price.getvalue().count("total_energy_cost") == 1
    assert check.getvalue().startswith("mismatch\n")
    assert "total_cost.excl_vat: claimed 2.6500, computed 3.0000 (-0.3500)" in check.getvalue()


@pytest.mark.req("PRI-122")
def test_it_works_while_the_database_is_unreachable(files: dict[str, str]) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DATABASE", "REDIS"))}
    environment |= {"DATABASE_URL": "postgres://nobody@127.0.0.1:1/none", "REDIS_URL": "redis://127.0.0.1:1/0"}
    environment |= {"SECRET_KEY": "s" * 60, "FIELD_KEYS": "A" * 43 + "="}
    command = [sys.executable, "manage.py", "price_cdr", "--tariff", files["tariff"], "--cdr", files["cdr"], "--json"]

    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)

    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["total_cost"] == {"excl_vat": "3.0000", "incl_vat": "3.6300"}


@pytest.mark.req("PRI-122")
@pytest.mark.parametrize("name", ["price_cdr", "check_cdr", "validate_cdr"])
def test_no_system_check_is_run(name: str) -> None:
    assert list(load_command_class("ocpi", name).requires_system_checks) == []
