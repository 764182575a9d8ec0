"""Two real instances register with each other, renew and part, over real HTTP."""

from __future__ import annotations

import uuid

import pytest
import requests

from ocpi import secrets
from tests.instances import run_instance
from tests.platforms import Listener, eventually


@pytest.mark.req("CRED-06", "CRED-24", "CRED-25", "PIT-09", "PIT-03", "CRED-13")
def test_two_instances_with_one_busy_web_thread_each_register() -> None:
    alone = {"WEB_THREADS": "2", "WEB_PROCESSES": "1"}
    with (
        run_instance("hub", parties=["NL*HUB:HUB"], settings=alone) as hub,
        run_instance("emsp", parties=["DE*EMS:EMSP"], settings=alone) as emsp,
    ):
        invitation = hub.manage("invite_platform", "--name", "Elbe", "--party", "DE*EMS:EMSP")

        found = emsp.manage(
            "register_platform", "--name", "Hub", "--versions-url", invitation["versions_url"],
            "--token", invitation["token_a"], "--party", "NL*HUB:HUB",
        )  # fmt: skip

        assert (found["state"], found["roles"]) == ("REGISTERED", ["NL*HUB:HUB"])
        (row,) = hub.manage("list_platforms")
        assert (row["state"], row["connection"], row["roles"]) == ("REGISTERED", "CONNECTED", ["DE*EMS:EMSP"])


@pytest.mark.req("PIT-17", "TRN-024", "TRN-022", "PIT-13", "TRN-058", "PIT-22", "SEC-07")
def test_what_a_web_server_could_spoil_survives_it() -> None:
    with (
        run_instance("emsp", parties=["DE*EMS:EMSP"]) as emsp,
        Listener(["BE*HUB:HUB"]) as hub,
    ):
        token = emsp.manage("invite_platform", "--name", "Hub", "--any-role")["token_a"]

        def call(method: str, path: str, body: object = None) -> requests.Response:
            headers = {
                "Authorization": secrets.authorization(token, base64_token=True),
                "X-Request-ID": str(uuid.uuid4()),
                "X-Correlation-ID": str(uuid.uuid4()),
            }
            answer = requests.request(
                method, f"{emsp.url}/ocpi/{path}", json=body, headers=headers, timeout=20, allow_redirects=False
            )
            assert answer.headers["X-Request-ID"] == headers["X-Request-ID"]
            assert answer.headers["X-Correlation-ID"] == headers["X-Correlation-ID"]
            assert answer.headers["Content-Type"] == "application/json"
            return answer

        assert call("GET", "versions/").status_code == 200
        token = call("POST", "2.2.1/credentials/", hub.credentials()).json()["data"]["token"]
        info = {"country_code": "NL", "party_id": "T/M", "role": "CPO", "status": "CONNECTED",
                "last_updated": "2026-01-31T08:00:00Z"}  # fmt: skip
        assert call("PUT", "2.2.1/hubclientinfo/NL/T%2FM/", info).status_code == 201
        assert call("GET", "2.2.1/hubclientinfo/NL/T%2FM").json()["data"] == info
        assert call("GET", "2.2.1/hubclientinfo/NL/T/M").status_code == 404
        assert call("PATCH", "versions", {}).status_code == 405
        # Another process takes the token away: this one knows at once (SEC-07).
        emsp.query("DELETE FROM ocpi_credentialstoken RETURNING id")
        eventually(lambda: call("GET", "versions").status_code == 401, seconds=2)
