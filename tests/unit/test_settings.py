"""The settings: typed, safe by default, checked; and the middleware that OCPI requests do not meet."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import path

from hub import environment, log_lines
from ocpi import checks

ROOT = Path(__file__).resolve().parents[2]
DATABASE = "postgresql://somebody:hidden@127.0.0.1:1/nothing"


def _settings(expression: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Evaluate an expression over the settings of a fresh process that has only these variables."""
    code = f"from hub import settings; import json; print(json.dumps({expression}))"
    kept = {"PATH": os.environ["PATH"]}
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=kept | variables, capture_output=True, text=True)


@pytest.mark.req("SEC-52")
@pytest.mark.parametrize("missing", ["SECRET_KEY", "FIELD_KEYS"])
def test_a_missing_secret_is_named_and_nothing_secret_is_shown(missing: str) -> None:
    given = {"DATABASE_URL": DATABASE, **environment.new_secrets()}
    secrets_given = [value for name, value in given.items() if name != missing]

    refused = _settings("1", **{name: value for name, value in given.items() if name != missing})

    assert refused.returncode != 0
    assert f"{missing} is not set" in refused.stderr
    assert not any(value in refused.stderr for value in secrets_given)
    assert _settings("1", **given).returncode == 0


@pytest.mark.req("SEC-52")
@pytest.mark.parametrize("address", ["redis://:p%40ss@host:6379/3", "rediss://host", "unix:///run/valkey.sock?db=1"])
def test_the_address_of_a_redis_is_taken_as_it_is(address: str) -> None:
    assert json.loads(_settings("settings.REDIS_URL", REDIS_URL=address).stdout) == address


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://127.0.0.1:8001", "sessionid_8001"),
        ("http://127.0.0.1:8002", "sessionid_8002"),
        ("https://ocpi.example.com", "sessionid"),
    ],
)
def test_instances_on_one_host_do_not_log_each_other_out(url: str, name: str) -> None:
    expression = "getattr(settings, 'SESSION_COOKIE_NAME', 'sessionid')"

    assert json.loads(_settings(expression, OCPI_BASE_URL=url).stdout) == name


@pytest.mark.req("SEC-52")
def test_without_a_database_the_secrets_are_new_in_each_process() -> None:
    assert _settings("settings.SECRET_KEY").stdout != _settings("settings.SECRET_KEY").stdout


@pytest.mark.req("SEC-52")
@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("DATABASE_URL", "mysql://somebody:hidden@host/name"),
        ("DATABASE_URL", "postgresql://somebody:hidden/word@host:5432/name"),
        ("DATABASE_URL", "postgresql://somebody:hidden@host:99999/name"),
        ("DATABASE_URL", "postgresql://somebody:hidden@host:5432,other:99999/name"),
        ("DATABASE_URL", "postgresql://somebody:[hidden@host/name"),
        ("DATABASE_URL", "postgresql://somebody:hidden℀@host/name"),
        ("REDIS_URL", "http://:hidden@host:6379/0"),
        ("REDIS_URL", "redis://:hidden/word@host:6379/0"),
        ("REDIS_URL", "redis://:[hidden@host:6379/0"),
    ],
)
def test_a_wrong_address_of_a_server_is_refused_without_showing_its_password(name: str, address: str) -> None:
    refused = _settings("1", **{"DATABASE_URL": DATABASE, **environment.new_secrets(), name: address})

    assert f"{name} must look like {'postgresql' if name == 'DATABASE_URL' else 'redis'}://" in refused.stderr
    assert "hidden" not in refused.stderr


def test_a_database_address_is_taken_apart_with_its_escapes_and_options() -> None:
    address = "postgresql://ann:p%40ss@db.example:6432/my%2Bbase?sslmode=require"

    found = json.loads(_settings("settings.DATABASES['default']", DATABASE_URL=address, **_secrets()).stdout)

    assert (found["USER"], found["PASSWORD"], found["HOST"], found["PORT"]) == ("ann", "p@ss", "db.example", "6432")
    assert found["NAME"] == "my+base"
    assert found["OPTIONS"]["sslmode"] == "require"
    assert "statement_timeout=30000" in found["OPTIONS"]["options"]


@pytest.mark.parametrize(
    ("places", "hosts", "ports"),
    [
        ("db1:5432,db2:6432", "db1,db2", "5432,6432"),
        ("db1,db2", "db1,db2", ""),
        ("db1:6432,db2", "db1,db2", "6432,"),
        ("db1,[2001:db8::1]:6432", "db1,2001:db8::1", ",6432"),
    ],
)
def test_a_database_address_names_several_hosts_as_libpq_has_it(
    places: str, hosts: str, ports: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"postgresql://ann:hidden@{places}/name?target_session_attrs=read-write"
    monkeypatch.setenv("DATABASE_URL", address)

    found = environment.database("DATABASE_URL", "")

    assert (found["HOST"], found["PORT"], found["USER"], found["PASSWORD"]) == (hosts, ports, "ann", "hidden")
    assert found["OPTIONS"] == {"target_session_attrs": "read-write"}
    said = psycopg.conninfo.conninfo_to_dict(address)
    assert (said["host"], said["port"]) == (hosts, ports or ",")


@pytest.mark.req("REL-54")
def test_options_in_the_database_address_come_after_the_limits_and_not_in_place_of_them() -> None:
    address = f"{DATABASE}?options=-c%20search_path%3Docpi"

    found = json.loads(_settings("settings.DATABASES['default']", DATABASE_URL=address, **_secrets()).stdout)

    options = found["OPTIONS"]["options"]
    assert options.startswith("-c statement_timeout=30000 -c idle_in_transaction_session_timeout=30000 ")
    assert options.endswith(" -c search_path=ocpi")


@pytest.mark.req("REL-54")
def test_a_transaction_has_thirty_seconds_unless_the_environment_says_otherwise() -> None:
    assert _settings("settings.OCPI_TRANSACTION_TIMEOUT", DATABASE_URL=DATABASE, **_secrets()).stdout.strip() == "30"


def _secrets() -> dict[str, str]:
    return environment.new_secrets()


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("PORT", "eighty", "PORT must be a whole number"),
        ("OCPI_RATE_PER_PLATFORM", "many", "OCPI_RATE_PER_PLATFORM must be requests per second"),
        ("OCPI_TRUSTED_PROXIES", "10.0.0.1,proxy", "OCPI_TRUSTED_PROXIES must hold addresses and networks"),
        ("OCPI_PAGE_LIMIT", "0", "OCPI_PAGE_LIMIT must be at least 1"),
        ("OCPI_REQUEST_TIMEOUT", "-1", "OCPI_REQUEST_TIMEOUT must be a number of seconds above 0"),
        ("OCPI_REQUEST_TIMEOUT", "nan", "OCPI_REQUEST_TIMEOUT must be a number of seconds above 0"),
        ("DEBUG", "maybe", "DEBUG must be true or false"),
        ("OCPP_UNKNOWN", "perhaps", "OCPP_UNKNOWN must be one of reject, pending, accept"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_with_the_variable_s_name(
    variable: str, value: str, sentence: str
) -> None:
    refused = _settings("1", **{variable: value})

    assert refused.returncode != 0
    assert sentence in refused.stderr


@pytest.mark.req("SEC-24")
@pytest.mark.parametrize(
    ("variables", "required"),
    [
        ({}, True),
        ({"OCPI_BASE_URL": "https://ocpi.example.com"}, True),
        ({"OCPI_BASE_URL": "http://10.1.2.3", "OCPI_ALLOWED_NETWORKS": "127.0.0.0/8"}, True),
        ({"OCPI_BASE_URL": "https://ocpi.example.com", "OCPI_ALLOWED_NETWORKS": "127.0.0.0/8"}, True),
        ({"OCPI_ALLOWED_NETWORKS": "127.0.0.0/8"}, False),
        ({"OCPI_BASE_URL": "http://localhost:8000", "OCPI_ALLOWED_NETWORKS": "127.0.0.0/8"}, False),
    ],
)
def test_partners_need_tls_unless_we_live_in_an_allowed_network_ourselves(
    variables: dict[str, str], required: bool
) -> None:
    assert json.loads(_settings("settings.OCPI_TLS_REQUIRED", **variables).stdout) is required


@pytest.mark.req("SEC-27")
def test_a_proxy_for_the_way_out_is_named_by_its_own_setting_alone() -> None:
    others = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "no_proxy")
    proxy = "http://proxy.example:3128"

    assert json.loads(_settings("settings.OCPI_EGRESS_PROXY", **dict.fromkeys(others, proxy)).stdout) == ""
    assert json.loads(_settings("settings.OCPI_EGRESS_PROXY", OCPI_EGRESS_PROXY=proxy).stdout) == proxy


@pytest.mark.req("SEC-28", "SEC-08", "SEC-07", "HUB-69", "REL-24", "REL-38")
def test_how_long_is_waited_and_how_long_tokens_live_unless_the_environment_says_otherwise() -> None:
    wanted = {
        "OCPI_CONNECT_TIMEOUT": 3, "OCPI_REQUEST_TIMEOUT": 10, "OCPI_TOKEN_A_DAYS": 7, "OCPI_TOKEN_DAYS": 30,
        "OCPI_ALLOWED_NETWORKS": [], "OCPI_PRIVATE_NETWORKS_CONFIRMED": False, "OCPI_TLS_REQUIRED": True,
        "OCPI_FORWARD_TIMEOUT": 25, "OCPI_AUTHORIZE_TIMEOUT": 8, "OCPI_FORWARDS_PER_PLATFORM": 8,
        "OCPI_CLIENT_INFO_PAUSE": 60,
    }  # fmt: skip

    found = json.loads(_settings(f"{{name: getattr(settings, name) for name in {sorted(wanted)}}}").stdout)

    assert found == wanted


@pytest.mark.req("SEC-67")
def test_celery_takes_json_only_keeps_no_results_and_never_waits_long_for_redis() -> None:
    assert settings.CELERY_ACCEPT_CONTENT == ["json"]
    assert settings.CELERY_RESULT_BACKEND is None
    assert settings.CELERY_TASK_PUBLISH_RETRY is False
    assert settings.CELERY_BROKER_TRANSPORT_OPTIONS["socket_timeout"] <= 0.5
    assert settings.CELERY_BEAT_SCHEDULER == "celery.beat:Scheduler"  # the default one keeps its file with pickle


@pytest.mark.parametrize(
    ("sides", "identity"),
    [
        (["hub"], None),
        (["cpo"], None),
        (["emsp"], None),
        (["cpo", "emsp"], None),
        (["hub", "cpo"], "ocpi.E002"),
        (["hub", "cpo", "emsp"], "ocpi.E002"),
        (["nsp"], "ocpi.E001"),
        ([], "ocpi.E001"),
        (["cpo", "cpo"], "ocpi.E001"),
    ],
)
def test_only_possible_sides_are_accepted(sides: list[str], identity: str | None) -> None:
    with override_settings(OCPI_SIDES=sides):
        found = [message.id for message in checks.sides(None)]

    assert found == ([identity] if identity else [])


@pytest.mark.parametrize(
    ("check", "changed", "identity"),
    [
        (checks.addresses, {"OCPI_BASE_URL": "ocpi.example.com"}, "ocpi.E003"),
        (checks.addresses, {"OCPI_ALLOWED_NETWORKS": ["10.0.0.1/8"]}, "ocpi.E004"),
        (checks.addresses, {"OCPI_ALLOWED_NETWORKS": ["0.0.0.0/0"]}, "ocpi.E016"),
        (checks.addresses, {"OCPI_ALLOWED_NETWORKS": ["::/0"]}, "ocpi.E016"),
        (checks.durations, {"OCPI_PUSH_TTL": 5.0, "OCPI_REQUEST_TIMEOUT": 10.0}, "ocpi.E005"),
        (checks.durations, {"OCPI_FORWARD_TIMEOUT": 2.0, "OCPI_CONNECT_TIMEOUT": 3.0}, "ocpi.E006"),
        (checks.durations, {"OCPI_ACTIVE_PROFILE_SECONDS": 299}, "ocpi.E009"),
        (checks.durations, {"OCPI_ACTIVE_PROFILE_SECONDS": 3601}, "ocpi.E009"),
        (checks.keys, {"FIELD_KEYS": ["short"]}, "ocpi.E007"),
        (checks.keys, {"FIELD_KEYS": []}, "ocpi.E007"),
        (checks.deployment, {"OCPI_BASE_URL": "http://ocpi.example.com"}, "ocpi.E010"),
        (checks.deployment, {"SECRET_KEY": "a" * 64}, "ocpi.E011"),
        (checks.deployment, {"FIELD_KEYS": ["A" * 43 + "="]}, "ocpi.E012"),
        (checks.deployment, {"OCPI_ALLOWED_NETWORKS": ["10.0.0.0/8"]}, "ocpi.E013"),
    ],
)
@pytest.mark.req("SEC-24", "SEC-52")
def test_each_setting_that_cannot_work_is_named(
    check: Callable[..., list[Any]], changed: dict[str, Any], identity: str
) -> None:
    sound = {"OCPI_BASE_URL": "https://ocpi.example.com", "OCPI_ALLOWED_NETWORKS": [], **_sound_secrets()}

    with override_settings(**sound):
        assert check(None) == []
    with override_settings(**sound | changed):
        found = check(None)

    assert [message.id for message in found] == [identity]
    assert found[0].msg.startswith(next(iter(changed)))


def _sound_secrets() -> dict[str, Any]:
    made = environment.new_secrets()
    return {"SECRET_KEY": made["SECRET_KEY"], "FIELD_KEYS": [made["FIELD_KEYS"]]}


@pytest.mark.req("SEC-24")
def test_private_networks_can_be_confirmed_for_deployment() -> None:
    sound = {"OCPI_BASE_URL": "https://ocpi.example.com", "OCPI_ALLOWED_NETWORKS": ["10.0.0.0/8"], **_sound_secrets()}

    with override_settings(**sound):
        assert [message.id for message in checks.deployment(None)] == ["ocpi.E013"]
    for settled in ({"OCPI_PRIVATE_NETWORKS_CONFIRMED": True}, {"DEBUG": True}):
        with override_settings(**sound, **settled):
            assert checks.deployment(None) == []


@pytest.mark.req("SEC-50")
@pytest.mark.parametrize("lines", [log_lines.TextLines(), log_lines.JsonLines()])
def test_credentials_never_reach_a_log_line(lines: logging.Formatter) -> None:
    said = "Authorization: Token SGVsbG8gd29ybGQ= and Basic dXNlcjpwYXNz and postgresql://ann:hidden@db/x"
    record = logging.makeLogRecord({"msg": said, "levelname": "INFO", "name": "ocpi"})

    line = lines.format(record)

    assert not any(secret in line for secret in ("SGVsbG8", "dXNlcj", "hidden"))
    assert "Token ****" in line


def _cookies(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"session={hasattr(request, 'session')} user={hasattr(request, 'user')}")


urlpatterns = [
    path("ocpi/2.2.1/x", _cookies),
    path("api/ocpp/v1/x", _cookies),
    path("page/x", _cookies),
    path("admin/", admin.site.urls),
]


@pytest.mark.parametrize("machine", ["/ocpi/2.2.1/x", "/api/ocpp/v1/x"])
def test_requests_of_machines_meet_no_admin_middleware(machine: str) -> None:
    with override_settings(ROOT_URLCONF=__name__):
        answer = Client().post(machine)
        page = Client().get("/page/x")

    assert answer.content == b"session=False user=False"
    assert "Content-Security-Policy" not in answer.headers
    assert page.content == b"session=True user=True"


@pytest.mark.req("SEC-54")
def test_pages_forbid_foreign_scripts_and_framing() -> None:
    with override_settings(ROOT_URLCONF=__name__):
        page = Client().get("/page/x")

    assert page.headers["Content-Security-Policy"].startswith("default-src 'self'; frame-ancestors 'none'")
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert page.headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.req("SEC-53")
@pytest.mark.django_db
def test_a_page_that_changes_something_needs_the_csrf_token() -> None:
    with override_settings(ROOT_URLCONF=__name__):
        refused = Client(enforce_csrf_checks=True).post("/page/x")
        machine = Client(enforce_csrf_checks=True).post("/ocpi/2.2.1/x")

    assert refused.status_code == 403
    assert machine.status_code == 200


@pytest.mark.req("SEC-53")
def test_session_cookies_are_closed_to_scripts_and_other_sites_and_end_after_half_an_hour() -> None:
    secure = json.loads(_settings("settings.SESSION_COOKIE_SECURE", OCPI_BASE_URL="https://ocpi.example.com").stdout)

    assert secure is True
    assert settings.SESSION_COOKIE_HTTPONLY is True
    assert settings.SESSION_COOKIE_SAMESITE == "Strict"
    assert settings.SESSION_COOKIE_AGE == 30 * 60


@pytest.mark.req("SEC-53")
@pytest.mark.django_db
def test_the_sixth_login_from_one_address_is_locked_even_with_the_right_password() -> None:
    User.objects.create_superuser("ann", password="right")
    User.objects.create_superuser("ben", password="right")
    browser = Client()
    with override_settings(ROOT_URLCONF=__name__):
        for _ in range(settings.AXES_FAILURE_LIMIT):
            browser.post("/admin/login/", {"username": "ann", "password": "wrong"})

        locked = browser.post("/admin/login/", {"username": "ann", "password": "right"})
        welcome = browser.post("/admin/login/", {"username": "ben", "password": "right"})

    assert locked.status_code == 429
    assert welcome.status_code == 302


def test_an_environment_reader_names_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOT_THERE", raising=False)

    with pytest.raises(ImproperlyConfigured, match="NOT_THERE is not set"):
        environment.text("NOT_THERE")
