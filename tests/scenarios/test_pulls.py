"""An eMSP catches up with a CPO over real HTTP: by itself after registration, and after its process was killed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.instances import ROOT, Instance, run_instance
from tests.platforms import eventually

DOCUMENT = json.loads((ROOT / "tests/documents/2.2.1/location.json").read_text())
COUNT, PER_PAGE = 400, 5
# Whoever is about to note that page waits for who holds the lock: only so it is certain to be in the middle.
_HALT_AT = 8
_HALT = f"""
CREATE FUNCTION halt() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_advisory_xact_lock({_HALT_AT}); RETURN NEW; END $$;
CREATE TRIGGER halt BEFORE UPDATE ON ocpi_pullcursor FOR EACH ROW WHEN (NEW.pages = {_HALT_AT}) EXECUTE FUNCTION halt();
"""
_HALTED = f"""
FROM pg_locks WHERE locktype = 'advisory' AND objid = {_HALT_AT} AND NOT granted
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""  # noqa: S608 (a constant)


def _load(cpo: Instance, folder: Path, count: int) -> None:
    found = [{**DOCUMENT, "id": f"LOC-{number:05}"} for number in range(count)]
    file = folder / "locations.json"
    file.write_text(json.dumps(found))
    assert cpo.manage("load_locations", str(file))["created"] == count


def _register(cpo: Instance, emsp: Instance) -> None:
    token_a = cpo.manage("invite_platform", "--name", "Drivers", "--party", "DE*EMS:EMSP")["token_a"]
    emsp.manage(
        "register_platform", "--name", "Polder", "--versions-url", cpo.versions_url, "--token", token_a,
        "--party", "NL*TNM:CPO",
    )  # fmt: skip


def _locations(instance: Instance, side: str) -> list[tuple[Any, ...]]:
    """Return each Location with its EVSEs as it is stored."""
    removed = "WHERE l.gone_at IS NULL" if side == "emsp" else ""
    return instance.query(
        f"SELECT l.object_id, l.document::jsonb, (SELECT jsonb_agg(e.document::jsonb ORDER BY e.uid) "  # noqa: S608
        f"FROM {side}_evse e WHERE e.location_id = l.id) FROM {side}_location l {removed} ORDER BY l.object_id"
    )


@pytest.fixture
def cpo() -> Iterator[Instance]:
    with run_instance("cpo", parties=["NL*TNM:CPO"], settings={"OCPI_PAGE_LIMIT": str(PER_PAGE)}) as running:
        yield running


@pytest.mark.req("REL-37", "TRN-101", "REL-36")
def test_an_emsp_killed_in_the_middle_of_a_pull_goes_on_where_it_was_and_ends_equal(
    cpo: Instance, tmp_path: Path
) -> None:
    _load(cpo, tmp_path, COUNT)
    with run_instance("emsp", parties=["DE*EMS:EMSP"]) as emsp:
        _register(cpo, emsp)
        # What changes while the eMSP is away only leaves a mark.
        cpo.query("UPDATE ocpi_platform SET connection = 'OFFLINE' RETURNING 1")
        cpo.manage("push_all")
        marks = "SELECT count(*) FROM ocpi_delivery WHERE state = 'MARKED'"
        assert cpo.query(marks)[0][0] == COUNT
        with psycopg.connect(emsp.environment["DATABASE_URL"], autocommit=True) as holder:
            holder.execute(_HALT)
            holder.execute(f"SELECT pg_advisory_lock({_HALT_AT})")
            process = subprocess.Popen(
                [sys.executable, "manage.py", "pull", "--module", "locations", "--json"], env=dict(emsp.environment),
                cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            eventually(lambda: emsp.query(f"SELECT 1 {_HALTED}"))
            process.send_signal(signal.SIGKILL)
            process.wait()
            # A server learns that its client is gone when it has something to say to it; that is not waited for.
            holder.execute(f"SELECT pg_terminate_backend(pid, 60000) {_HALTED}")
            holder.execute("DROP FUNCTION halt CASCADE")
        [(before,)] = emsp.query("SELECT pages FROM ocpi_pullcursor WHERE module = 'locations'")
        assert before == _HALT_AT - 1
        assert len(_locations(emsp, "emsp")) == before * PER_PAGE

        # Its claim ends by itself; that time is not waited for.
        emsp.query("UPDATE ocpi_pullcursor SET claimed_until = now() - interval '1 s' RETURNING 1")
        found = emsp.manage("pull", "--module", "locations")["Polder"]["locations"]

        assert (found["pages"], found["read"], found["created"]) == (COUNT // PER_PAGE, COUNT, COUNT)
        assert _locations(emsp, "emsp") == _locations(cpo, "cpo")
        asked = cpo.query(
            "SELECT count(*) FROM ocpi_exchange WHERE direction = 'IN' AND url LIKE '%%/cpo/2.2.1/locations%%'"
        )
        assert asked[0][0] <= COUNT // PER_PAGE + 2
        eventually(lambda: cpo.query(marks)[0][0] == 0)  # those of a page go once it is written out


@pytest.mark.req("TRN-101", "REL-07")
def test_after_registration_everything_comes_by_itself(cpo: Instance, tmp_path: Path) -> None:
    _load(cpo, tmp_path, 30)
    with run_instance("emsp", parties=["DE*EMS:EMSP"], worker=True) as emsp:
        _register(cpo, emsp)
        eventually(lambda: _locations(emsp, "emsp") == _locations(cpo, "cpo"), seconds=60)

        modules = "SELECT module FROM ocpi_pullcursor WHERE result = 'DONE' ORDER BY module"
        eventually(lambda: [row[0] for row in emsp.query(modules)] == ["cdrs", "locations", "sessions", "tariffs"])


@pytest.mark.req("TRN-101", "HUB-57", "HUB-75")
def test_through_a_hub_lists_of_all_come_from_it_and_lists_of_one_party_from_that_party(tmp_path: Path) -> None:
    few = {"OCPI_PAGE_LIMIT": "2"}
    with (
        run_instance("hub", parties=["NL*HUB:HUB"], worker=True, settings=few) as hub,
        run_instance("cpo", parties=["NL*TNM:CPO"], worker=True, settings={**few, "OCPI_PULLS": "false"}) as cpo,
        run_instance("emsp", parties=["DE*EMS:EMSP"]) as emsp,
    ):
        for instance, party in ((cpo, "NL*TNM:CPO"), (emsp, "DE*EMS:EMSP")):
            token_a = hub.manage("invite_platform", "--name", party, "--party", party)["token_a"]
            instance.manage(
                "register_platform", "--name", "Hub", "--versions-url", hub.versions_url, "--token", token_a,
                "--party", "NL*HUB:HUB",
            )  # fmt: skip
        tariff = json.loads((ROOT / "tests/documents/2.2.1/tariff.json").read_text())
        file = tmp_path / "tariffs.json"
        file.write_text(json.dumps([{**tariff, "id": f"T{number}"} for number in range(5)]))
        cpo.manage("load_tariffs", str(file))
        eventually(lambda: hub.query("SELECT count(*) FROM hub_sharedobject")[0][0] == 5, seconds=60)
        session = json.loads((ROOT / "tests/documents/2.2.1/session.json").read_text())
        for number in range(5):
            cpo.query(
                "INSERT INTO cpo_session (country_code, party_id, object_id, last_updated, document, status, "
                "token_uid, start_date_time, emsp_country_code, emsp_party_id, location_id) VALUES "
                "('NL', 'TNM', %s, %s, %s, 'COMPLETED', '1', %s, 'DE', 'EMS', 'L') RETURNING 1",
                [f"S{number}", session["last_updated"], json.dumps({**session, "id": f"S{number}"}),
                 session["start_date_time"]],
            )  # fmt: skip
        # Whom a hub speaks for, it tells first.
        connected = "SELECT 1 FROM ocpi_party WHERE through_hub AND country_code = 'NL' AND status = 'CONNECTED'"
        eventually(lambda: emsp.query(connected))
        found = emsp.manage("pull", "--module", "tariffs")["Hub"]
        assert (found["tariffs"]["read"], found["tariffs"]["ignored"], found["tariffs"]["pages"]) == (5, 0, 3)
        _load(cpo, tmp_path, 1)
        brought = "SELECT 1 FROM hub_sharedobject WHERE module = 'locations' AND container_id IS NULL"
        eventually(lambda: hub.query(brought), seconds=60)
        assert emsp.manage("pull", "--module", "locations")["Hub"]["locations"]["read"] == 1

        sessions = emsp.manage("pull", "--module", "sessions")["Hub"]["sessions"]

        assert (sessions["created"], sessions["pages"]) == (5, 3)
        logged = "SELECT from_party, to_party FROM ocpi_exchange WHERE module = 'sessions' AND method = 'GET'"
        asked = eventually(lambda: cpo.query(logged))  # what is logged is written a moment later
        assert set(asked) == {("DE*EMS", "NL*TNM")}
