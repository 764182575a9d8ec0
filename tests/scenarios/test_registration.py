"""Two real instances register with each other, renew and part, over real HTTP."""

from __future__ import annotations

import pytest

from tests.instances import run_instance


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
