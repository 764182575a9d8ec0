"""A revoked token is unknown in every process, also in one whose listener has lost its connection (SEC-07)."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection
from pytest_django.fixtures import Settings

from ocpi import secrets, snapshot
from ocpi.models import CredentialsToken
from ocpi.modules import renewal
from tests.fixtures import Partner
from tests.platforms import eventually

NAME = "another process of the revocation test"
PROJECT = Path(__file__).resolve().parents[2]
OTHER = """
import sys, time, django
django.setup()
from ocpi import snapshot
for line in sys.stdin:
    known = snapshot.current().tokens.get(line.strip())
    print("known" if known and known.valid(time.time()) else "unknown", flush=True)
"""


@pytest.fixture
def other() -> Iterator[subprocess.Popen[str]]:
    """Another process of this instance; it says whether it knows a digest."""
    place = connection.get_connection_params()
    address = f"postgresql://{place.get('user', '')}:{place.get('password', '')}@"
    address += f"{place['host']}:{place['port']}/{place['dbname']}"
    settings = {
        "DATABASE_URL": address,
        "OCPI_SNAPSHOT_LISTEN": "true",
        "DJANGO_SETTINGS_MODULE": "hub.settings",
        "PGAPPNAME": NAME,
    }
    with subprocess.Popen(
        [sys.executable, "-c", OTHER],
        cwd=PROJECT,
        env={**os.environ, **settings},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        assert process.stdin
        process.stdin.close()
        process.wait(20)


def says(process: subprocess.Popen[str], digest: str) -> str:
    assert process.stdin
    assert process.stdout
    process.stdin.write(digest + "\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


@pytest.mark.req("SEC-07")
@pytest.mark.django_db(transaction=True)
def test_another_process_knows_no_revoked_token(hub_side: None, partner: Partner, other: subprocess.Popen[str]) -> None:
    first, second = partner("DE*EMS:EMSP"), partner("NL*TNM:CPO")
    digests = [secrets.digest(person.token) for person in (first, second)]
    assert [says(other, digest) for digest in digests] == ["known", "known"]

    renewal.revoke(first.id)

    eventually(lambda: says(other, digests[0]) == "unknown", seconds=20)
    assert says(other, digests[1]) == "known"

    with connection.cursor() as cursor:  # what is announced from here on, until it is back, it does not hear
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = %s "
            "AND (query = %s OR query LIKE '%%clock_timestamp()%%')",  # it listens, and asks for the time
            [NAME, f"LISTEN {snapshot.CHANNEL}"],
        )
        assert cursor.fetchone() == (1,)
    renewal.revoke(second.id)

    eventually(lambda: says(other, digests[1]) == "unknown", seconds=20)


@pytest.mark.req("SEC-07")
@pytest.mark.django_db
def test_without_a_listener_nothing_in_memory_is_trusted_for_long(
    hub_side: None, partner: Partner, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    person = partner("DE*EMS:EMSP")
    digest = secrets.digest(person.token)
    assert digest in snapshot.current().tokens
    now = 1000.0
    monkeypatch.setattr(snapshot, "_deaf_since", now)
    monkeypatch.setattr(time, "monotonic", lambda: now)
    CredentialsToken.objects.all().delete()
    assert digest in snapshot.current().tokens
    assert snapshot.at_hand() is snapshot.current()

    now += 1.1

    assert snapshot.at_hand() is None
    assert digest not in snapshot.current().tokens
