"""Who may connect to a real gateway, and who is told to go away."""

import asyncio
import base64

import pytest
import urllib3
from websockets.datastructures import Headers
from websockets.http11 import Request
from websockets.typing import Subprotocol

from cpo.gateway import passwords
from cpo.gateway.handshake import Refused
from tests.gateway_support import (
    BOOT,
    PASSWORD,
    STATUS,
    Node,
    World,
    refusal,
)
from tests.gateway_support import (
    world_fixture as world_fixture,
)


@pytest.mark.req("OCPP-01", "OCPP-02", "OCPP-03", "OCPP-05", "SEC-60")
def test_wrong_passwords_and_unknown_identities_get_the_same_401(world: World) -> None:
    world.add("CP1", PASSWORD)

    async def scenario(node: Node) -> None:
        wrong = await refusal(node, "CP1", "wrong")
        unknown = await refusal(node, "NOBODY", "wrong")
        none = await refusal(node, "CP1")
        other = await refusal(node, "CP1", PASSWORD, user="CP2")
        for refused in (wrong, unknown, none, other):
            assert refused.response.status_code == 401
            assert refused.response.body == wrong.response.body
        assert (await refusal(node, "CP%201", PASSWORD)).response.status_code == 400
        assert (await refusal(node, "C" * 49, PASSWORD)).response.status_code == 400
        bad = await refusal(node, "CP1", PASSWORD, subprotocols=[Subprotocol("ocpp1.5")])
        assert bad.response.status_code == 400
        assert b"ocpp1.6" in (bad.response.body or b"")
        assert (await refusal(node, "CP1", PASSWORD, subprotocols=None)).response.status_code == 400
        many = [Subprotocol("ocpp2.0"), Subprotocol("ocpp1.6")]
        async with node.connect("cp1", PASSWORD, subprotocols=many) as point:
            assert point.socket.subprotocol == "ocpp1.6"

    world.run(scenario, decide=None)

    [listed] = world.rows("SELECT * FROM cpo_unknownchargepoint")
    assert (listed["identity"], listed["count"], listed["address"]) == ("NOBODY", 1, "127.0.0.1")


@pytest.mark.req("SEC-50")
def test_of_an_unknown_charge_point_no_query_is_kept(world: World) -> None:
    async def scenario(node: Node) -> None:
        assert (await refusal(node, f"NOBODY?password={PASSWORD}", "wrong")).response.status_code == 401

    world.run(scenario, decide=None)

    [listed] = world.rows("SELECT identity, path FROM cpo_unknownchargepoint")
    assert listed == {"identity": "NOBODY", "path": "/ocpp/NOBODY"}


@pytest.mark.req("OCPP-05")
@pytest.mark.parametrize("shown", [PASSWORD, PASSWORD.upper(), bytes.fromhex(PASSWORD)], ids=["hex", "HEX", "bytes"])
def test_a_key_may_be_shown_as_hex_text_or_as_bytes(world: World, shown: str | bytes) -> None:
    world.add("CP1", PASSWORD)

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", shown) as point:
            assert "currentTime" in await point.call("Heartbeat", {})

    world.run(scenario, decide=None)


@pytest.mark.req("OCPP-05")
def test_a_password_a_person_thought_of_is_compared_too(world: World) -> None:
    world.add("CP1", password_digest=passwords.digest_typed("open sesame"), security_profile=1)

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", "open sesame") as point:
            assert "currentTime" in await point.call("Heartbeat", {})
        assert (await refusal(node, "CP1", "open barley")).response.status_code == 401

    world.run(scenario, decide=None)


@pytest.mark.req("OCPP-08")
def test_five_wrong_passwords_close_the_door_for_that_pair_only(world: World) -> None:
    world.add("CP1", PASSWORD)
    world.add("CP2", PASSWORD)

    async def scenario(node: Node) -> None:
        codes = [(await refusal(node, "CP1", "wrong")).response.status_code for _ in range(6)]
        assert codes == [401, 401, 401, 401, 401, 429]
        assert (await refusal(node, "CP1", PASSWORD)).response.status_code == 429
        async with node.connect("CP2", PASSWORD) as point:
            await point.call("Heartbeat", {})

    world.run(scenario, decide=None)


@pytest.mark.req("OCPP-04")
def test_a_connection_below_the_profile_is_refused_and_one_above_is_let_in(world: World) -> None:
    world.add("OPEN")
    world.add("TLS", PASSWORD, security_profile=2)

    async def scenario(node: Node) -> None:
        async with node.connect("OPEN") as point:
            await point.call("Heartbeat", {})
        async with node.connect("OPEN", "whatever") as point:
            await point.call("Heartbeat", {})
        assert (await refusal(node, "TLS", PASSWORD)).response.status_code == 401

    world.run(scenario, decide=None)


@pytest.mark.req("OCPP-07")
@pytest.mark.parametrize(("proxies", "in_"), [({"127.0.0.1"}, True), (set(), False)], ids=["our proxy", "a stranger"])
def test_a_scheme_named_in_a_header_counts_only_from_our_proxy(world: World, proxies: set[str], in_: bool) -> None:
    world.add("TLS", security_profile=0)
    world.add("TLS2", PASSWORD, security_profile=2)

    async def scenario(node: Node) -> None:
        door = node.gateway._door
        token = base64.b64encode(f"TLS2:{PASSWORD}".encode()).decode()
        headers = Headers(
            {"X-Forwarded-Proto": "https", "Authorization": f"Basic {token}", "Sec-WebSocket-Protocol": "ocpp1.6"}
        )
        try:
            await door.admit(Request("/ocpp/TLS2", headers), "127.0.0.1")
            admitted = True
        except Refused:
            admitted = False
        assert admitted is in_

    world.run(scenario, decide=None, trusted_proxies=frozenset(proxies))


@pytest.mark.req("OCPP-03", "OCPP-31", "OCPP-32")
@pytest.mark.parametrize(("mode", "status", "interval"), [("pending", "Pending", 60), ("accept", "Accepted", 300)])
def test_an_unknown_charge_point_is_taken_in_if_the_setting_says_so(
    world: World, mode: str, status: str, interval: int
) -> None:
    async def scenario(node: Node) -> None:
        async with node.connect("NEW1") as point:
            answer = await point.call("BootNotification", BOOT)
            assert (answer["status"], answer["interval"]) == (status, interval)
            assert await point.call("StatusNotification", STATUS) == {}

    world.run(scenario, decide=None, unknown=mode)

    assert world.rows("SELECT boot_status, party_id FROM cpo_chargepoint") == [
        {"boot_status": status, "party_id": "TNM"}
    ]
    assert len(world.rows("SELECT 1 FROM cpo_unknownchargepoint")) == 1


@pytest.mark.req("OCPP-32", "OCPP-105")
def test_a_rejected_charge_point_may_only_boot_and_a_change_counts_at_once(world: World) -> None:
    point_id = world.add("CP1", PASSWORD, boot_status="Rejected")

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD) as point:
            assert (await point.call("BootNotification", BOOT))["status"] == "Rejected"
            assert (await point.ask([2, "a", "StatusNotification", STATUS]))[:3] == [4, "a", "SecurityError"]
            world.execute("UPDATE cpo_chargepoint SET boot_status = 'Accepted' WHERE id = %s", point_id)
            await asyncio.sleep(0.3)
            assert (await point.call("BootNotification", BOOT))["status"] == "Accepted"
            assert await point.call("StatusNotification", STATUS) == {}

    world.run(scenario, decide=None)

    assert [row["action"] for row in world.inbox()] == ["BootNotification", "BootNotification", "StatusNotification"]


@pytest.mark.req("OCPP-12")
def test_health_and_ready_answer_on_the_same_port(world: World) -> None:
    async def scenario(node: Node) -> None:
        def status(path: str) -> int:
            with urllib3.PoolManager() as pool:
                return pool.request("GET", node.http + path, retries=False).status

        assert await asyncio.to_thread(status, "/health") == 200
        assert await asyncio.to_thread(status, "/ready") == 200
        node.gateway.draining = True
        assert await asyncio.to_thread(status, "/ready") == 503
        assert await asyncio.to_thread(status, "/health") == 200

    world.run(scenario, decide=None)


@pytest.mark.req("SEC-64")
def test_an_address_that_connects_too_fast_is_told_to_wait_before_the_database_is_asked(world: World) -> None:
    async def scenario(node: Node) -> None:
        request = Request("/ocpp/NOBODY", Headers())
        statuses = []
        for _ in range(4):
            with pytest.raises(Refused) as refused:
                await node.gateway._door.admit(request, "192.0.2.1")
            statuses.append(refused.value.status)
        assert statuses == [401, 401, 429, 429]

    world.run(scenario, decide=None, handshakes_burst=2, handshakes_per_second=0.1)

    assert world.rows("SELECT count FROM cpo_unknownchargepoint") == [{"count": 2}]
