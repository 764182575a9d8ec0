"""Edges of what a gateway node does: at its door, in the line of frames, with operations, over its health."""

import asyncio
import base64
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
import urllib3
from websockets.datastructures import Headers
from websockets.http11 import Request
from websockets.typing import Subprotocol

from cpo.gateway import actions, passwords, store
from cpo.gateway.server import Gateway
from tests.certificates import Root
from tests.gateway_support import BOOT, PASSWORD, STATUS, Node, World, eventually, refusal
from tests.gateway_support import world_fixture as world_fixture

# ---------------------------------------------------------------- the door


@pytest.mark.req("OCPP-02")
@pytest.mark.parametrize("first", ["ocpp1.6", "ocpp2.0.1"])
def test_of_two_versions_the_one_the_charge_point_names_first_is_spoken(world: World, first: str) -> None:
    world.add("CP1", PASSWORD, protocols='["ocpp1.6", "ocpp2.0.1"]')
    names = [Subprotocol(first), *(Subprotocol(name) for name in ("ocpp1.6", "ocpp2.0.1") if name != first)]

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD, subprotocols=names) as point:
            assert point.socket.subprotocol == first
            await point.call("Heartbeat", {})
            [held] = node.gateway.connections.values()
            assert held.version == first.removeprefix("ocpp")

    world.run(scenario, decide=None)


@pytest.mark.req("OCPP-03")
def test_strangers_are_counted_and_the_one_not_seen_for_longest_makes_room(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "UNKNOWN_KEPT", 3)

    async def scenario(node: Node) -> None:
        for name in ("OLD", "AGAIN", "A", "AGAIN", "B"):
            await refusal(node, name, "wrong")

    world.run(scenario, decide=None)

    listed = world.rows("SELECT identity, count, last_seen_at > first_seen_at AS again FROM cpo_unknownchargepoint")
    assert sorted((row["identity"], row["count"], row["again"]) for row in listed) == [
        ("A", 1, False), ("AGAIN", 2, True), ("B", 1, False),
    ]  # fmt: skip


@pytest.mark.req("OCPP-05", "OCPP-114")
def test_a_slow_hash_is_compared_in_a_thread_and_a_fast_one_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add("SLOW", password_digest=passwords.digest_typed("open sesame"), security_profile=1)
    world.add("FAST", PASSWORD)
    matches = passwords.matches
    on_the_loop: list[bool] = []

    def noted(*values: Any) -> bool:
        on_the_loop.append(threading.current_thread() is threading.main_thread())
        return matches(*values)

    async def scenario(node: Node) -> None:
        monkeypatch.setattr(passwords, "matches", noted)
        for name, password in (("SLOW", "open sesame"), ("FAST", PASSWORD)):
            async with node.connect(name, password) as point:
                await point.call("Heartbeat", {})

    world.run(scenario, decide=None)

    assert on_the_loop == [False, True]


@pytest.mark.req("OCPP-05")
def test_a_new_password_shown_by_somebody_else_does_not_take_the_place_of_the_old_one(world: World) -> None:
    fresh = "f" * 40
    secret = world.config.secret_key
    world.add("CP1", PASSWORD, next_password_digest=passwords.digest(fresh, secret))

    async def scenario(node: Node) -> None:
        assert (await refusal(node, "CP1", fresh, user="CP2")).response.status_code == 401
        async with node.connect("CP1", PASSWORD) as point:
            await point.call("Heartbeat", {})
        [row] = world.rows("SELECT password_digest, next_password_digest <> '' AS waits FROM cpo_chargepoint")
        assert row == {"password_digest": passwords.digest(PASSWORD, secret), "waits": True}
        async with node.connect("CP1", fresh) as point:
            await point.call("Heartbeat", {})
        assert (await refusal(node, "CP1", PASSWORD)).response.status_code == 401

    world.run(scenario, decide=None)


@pytest.mark.req("OCPP-07", "SEC-64")
def test_of_the_addresses_a_proxy_names_only_the_last_is_its_own_word(world: World) -> None:
    """Whatever comes before it was said by the client: who believed it would count failures against others."""
    world.add("CP1", PASSWORD)
    token = base64.b64encode(f"CP1:{PASSWORD}".encode()).decode()

    async def scenario(node: Node) -> None:
        headers = Headers({"Authorization": f"Basic {token}", "Sec-WebSocket-Protocol": "ocpp1.6"})
        headers["X-Forwarded-For"] = "192.0.2.66"
        headers["X-Forwarded-For"] = "192.0.2.77, 198.51.100.9"
        for peer, address in (("127.0.0.1", "198.51.100.9"), ("127.0.0.2", "127.0.0.2")):
            admitted = await node.gateway._door.admit(Request("/ocpp/CP1", headers), peer)
            assert admitted.address == address

    world.run(scenario, decide=None, trusted_proxies=frozenset({"127.0.0.1"}))


@pytest.mark.req("OCPP-07", "OCPP-06")
@pytest.mark.parametrize(
    ("peer", "scheme", "counts"),
    [
        ("127.0.0.1", "https", True),
        ("127.0.0.1", "http", False),
        ("127.0.0.1", "", False),
        ("127.0.0.2", "https", False),
    ],
)
def test_a_certificate_in_a_header_counts_from_our_proxy_over_tls_alone(
    world: World, peer: str, scheme: str, counts: bool
) -> None:
    shown, _ = Root().client("CP1")
    headers = Headers({"X-SSL-Client-Cert": quote(shown.chain), **({"X-Forwarded-Proto": scheme} if scheme else {})})

    async def scenario(node: Node) -> None:
        origin = node.gateway._door._origin(Request("/ocpp/CP1", headers), peer, secure=False, shown=None)
        assert (origin.certificate is not None) is counts

    world.run(scenario, decide=None, trusted_proxies=frozenset({"127.0.0.1"}))


# ---------------------------------------------------------------- the line of frames


@pytest.mark.req("OCPP-11")
def test_whoever_talks_is_not_pinged(world: World) -> None:
    cp = world.add("CP1", PASSWORD)

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD) as point:
            await point.call("Heartbeat", {})
            held = node.gateway.connections[cp]
            held.pinged_at = held.heard_at - 1000
            held.keep_alive(held.heard_at + 59)
            assert held.pinged_at == held.heard_at - 1000
            held.keep_alive(held.heard_at + 60)
            assert held.pinged_at == held.heard_at + 60

    world.run(scenario, decide=None)


@pytest.mark.req("OCPP-12")
def test_a_node_is_ready_only_with_its_store_its_notes_and_its_registry(world: World) -> None:
    async def scenario(node: Node) -> None:
        def ready() -> int:
            return urllib3.request("GET", f"{node.http}/ready", retries=False).status

        gateway = node.gateway
        assert await asyncio.to_thread(ready) == 200
        for owner, name in ((gateway.registry, "reachable"), (gateway, "_alive")):
            setattr(owner, name, False)
            assert not gateway.is_ready()
            setattr(owner, name, True)
        gateway._bus.listening.clear()
        assert not gateway.is_ready()
        gateway._bus.listening.set()
        gateway.draining = True
        assert await asyncio.to_thread(ready) == 503
        gateway.draining = False
        assert await asyncio.to_thread(ready) == 200

    world.run(scenario, decide=None)


@pytest.mark.req("OCPP-26", "OCPP-21")
def test_message_ids_are_each_charge_points_own_and_stand_for_ten_minutes(world: World) -> None:
    for name in ("CP1", "CP2"):
        world.add(name, PASSWORD)

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD) as point, node.connect("CP2", PASSWORD) as other:
            for each in (point, other):
                assert await each.call("StatusNotification", STATUS, "one") == {}
            for minutes, rows in ((9, 2), (2, 3)):
                world.execute("UPDATE cpo_inboxmessage SET received_at = received_at - %s", timedelta(minutes=minutes))
                assert await point.call("StatusNotification", STATUS, "one") == {}
                assert len(world.inbox()) == rows

    world.run(scenario, decide=None)


@pytest.mark.req("OCPP-27")
def test_nothing_of_an_error_of_ours_is_told_where_nothing_is_kept(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add("CP1", PASSWORD)

    def broken(*_: Any) -> Any:
        raise RuntimeError("the secret inside")

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD) as point:
            with monkeypatch.context() as patched:
                patched.setitem(actions.V16, "Heartbeat", replace(actions.V16["Heartbeat"], answer=broken))
                refused = await point.ask([2, "m1", "Heartbeat", {}])
            assert refused == [4, "m1", "InternalError", "internal error", {}]
            assert "currentTime" in await point.call("Heartbeat", {})

    world.run(scenario, decide=None)


@pytest.mark.req("OCPP-28")
def test_a_frame_too_many_waits_until_the_bucket_has_filled(world: World) -> None:
    cp = world.add("CP1", PASSWORD)

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD) as point:
            await point.call("Heartbeat", {})
            held = node.gateway.connections[cp]
            held._tokens = 3.0
            for _ in range(3):
                await asyncio.wait_for(held._pace(), 5)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(held._pace(), 0.1)

    world.run(scenario, decide=None, frames_per_second=0.001, frames_burst=10)


# ---------------------------------------------------------------- boot and operations


@pytest.mark.req("OCPP-32")
@pytest.mark.parametrize("version", ["2.0.1", "2.1"])
def test_a_pending_station_of_either_version_of_ocpp_2_only_boots(world: World, version: str) -> None:
    name = f"ocpp{version}"
    world.add("CS1", PASSWORD, protocols=f'["{name}"]', boot_status="Pending")
    status = {"timestamp": "2026-05-01T12:00:00Z", "connectorStatus": "Available", "evseId": 1, "connectorId": 1}

    async def scenario(node: Node) -> None:
        async with node.connect("CS1", PASSWORD, subprotocols=[Subprotocol(name)]) as point:
            assert (await point.ask([2, "1", "StatusNotification", status]))[2] == "SecurityError"
            booted = {"reason": "PowerUp", "chargingStation": {"vendorName": "V", "model": "M"}}
            assert (await point.call("BootNotification", booted))["status"] == "Pending"

    world.run(scenario, decide=None)


@pytest.mark.req("OCPP-32")
def test_a_rejected_charge_point_is_only_asked_to_boot_and_a_pending_one_anything(world: World) -> None:
    rejected = world.add("NO", PASSWORD, boot_status="Rejected")
    pending = world.add("SOON", PASSWORD, boot_status="Pending")

    async def scenario(node: Node) -> None:
        async with node.connect("NO", PASSWORD) as point, node.connect("SOON", PASSWORD) as other:
            ended = await world.ended(world.ask(rejected, "ClearCache", {}))
            assert (ended["state"], ended["error"]) == ("CANCELLED", "the charge point is rejected")
            world.ask(rejected, "TriggerMessage", {"requestedMessage": "StatusNotification"})
            world.ask(rejected, "TriggerMessage", {"requestedMessage": "BootNotification"})
            _, message_id, action, payload = await point.receive()
            assert (action, payload) == ("TriggerMessage", {"requestedMessage": "BootNotification"})
            await point.send([3, message_id, {"status": "Accepted"}])
            assert (await point.call("BootNotification", BOOT))["status"] == "Rejected"
            world.ask(pending, "ClearCache", {})
            assert (await other.receive())[2] == "ClearCache"

    world.run(scenario, decide=None)


@pytest.mark.req("OCPP-25", "OCPP-23")
def test_an_answer_to_another_id_ends_no_operation(world: World) -> None:
    cp = world.add("CP1", PASSWORD)

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD) as point:
            operation = world.ask(cp, "ClearCache", {})
            _, message_id, *_ = await point.receive()
            await point.send([3, "another", {"status": "Rejected"}])
            await point.send([4, "another", "InternalError", "", {}])
            await point.call("Heartbeat", {})  # so both have been read
            [row] = world.rows("SELECT state FROM cpo_operation")
            assert row["state"] == "SENT"
            await point.send([3, message_id, {"status": "Accepted"}])
            await point.send([3, message_id, {"status": "Rejected"}])  # ended already
            ended = await world.ended(operation)
            assert (ended["state"], ended["answer"]) == ("ANSWERED", '{"status": "Accepted"}')
            await point.call("Heartbeat", {})

    world.run(scenario, decide=None)


@pytest.mark.req("OCPP-80")
def test_an_operation_that_has_expired_is_not_sent_to_who_comes_late(world: World) -> None:
    cp = world.add("CP1", PASSWORD)
    past = datetime.now(UTC) - timedelta(seconds=1)

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD) as point:
            await point.call("Heartbeat", {})
            world.ask(cp, "ClearCache", {}, deliver_later=True, expires_at=past)
            world.ask(cp, "GetLocalListVersion", {})
            assert (await point.receive())[2] == "GetLocalListVersion"
            await eventually(lambda: bool(world.rows("SELECT FROM cpo_operation WHERE state = 'EXPIRED'")))

    world.run(scenario, decide=None)


@pytest.mark.req("OCPP-80")
def test_what_is_delivered_later_outlives_the_sweeps(world: World) -> None:
    cp = world.add("CP1", PASSWORD)
    long_ago = datetime.now(UTC) - timedelta(minutes=5)
    world.ask(cp, "ClearCache", {}, deliver_later=True, created_at=long_ago)
    world.ask(cp, "Reset", {"type": "Soft"}, created_at=long_ago)

    async def scenario(node: Node) -> None:
        await node.gateway.runner.sweep()
        found = world.rows("SELECT action, state, error FROM cpo_operation ORDER BY action")
        assert [tuple(row.values()) for row in found] == [
            ("ClearCache", "QUEUED", ""),
            ("Reset", "CONNECTION_LOST", "OFFLINE"),
        ]

    world.run(scenario, decide=None)


@pytest.mark.req("OCPP-101", "OCPP-09")
def test_a_node_with_an_older_socket_claims_no_operation(world: World) -> None:
    cp = world.add("CP1", PASSWORD)

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD) as point:
            await point.call("Heartbeat", {})
            world.execute("UPDATE cpo_chargepoint SET epoch = epoch + 1")  # elsewhere, and nobody has told
            world.ask(cp, "ClearCache", {})
            node.gateway.runner.wake(cp)
            with pytest.raises(TimeoutError):
                await point.receive(0.5)
            [row] = world.rows("SELECT state, sent_at FROM cpo_operation")
            assert row == {"state": "QUEUED", "sent_at": None}

    world.run(scenario, decide=None)


@pytest.mark.req("OCPP-33")
def test_a_charge_point_that_boots_of_its_own_accord_is_not_asked_to(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add("CP1", PASSWORD, boot_data=None)
    monkeypatch.setattr("cpo.gateway.server._INTRODUCE_SECONDS", 0.5)

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD) as point:
            await point.call("BootNotification", BOOT)
            with pytest.raises(TimeoutError):
                await point.receive(1.0)

    world.run(scenario, decide=None)

    assert world.rows("SELECT FROM cpo_operation") == []


@pytest.mark.req("OCPP-105")
def test_records_are_read_again_twice_a_minute_at_least_and_without_a_note(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    cp = world.add("CP1", PASSWORD)
    every: dict[str, float] = {}

    async def noted(gateway: Gateway, seconds: float, work: Any) -> None:
        every[work.__name__] = seconds
        await work()

    async def scenario() -> None:
        monkeypatch.setattr(Gateway, "_every", noted)
        async with world.node() as node, node.connect("CP1", PASSWORD) as point:
            await point.call("Heartbeat", {})
            assert every["_refresh"] <= 30
            with psycopg.connect(world.conninfo, autocommit=True) as quiet:
                quiet.execute("SET session_replication_role = replica")  # no trigger tells of it
                quiet.execute("UPDATE cpo_chargepoint SET boot_status = 'Pending'")
            await node.gateway._refresh()
            assert node.gateway.connections[cp].record.boot_status == "Pending"

    world.run_bare(scenario, decide=None)
