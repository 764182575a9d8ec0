"""Security profiles 1 to 3 at a real gateway: passwords in every spelling, TLS, client certificates, a new password."""

from __future__ import annotations

import asyncio
import ssl
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidMessage, InvalidStatus
from websockets.typing import Subprotocol

from cpo.gateway import passwords
from tests.certificates import ORGANISATION, Root, server_files
from tests.gateway_support import BOOT, PASSWORD, Node, Point, World, eventually, refusal
from tests.gateway_support import world_fixture as world_fixture

ROOT, OTHER = Root(), Root("Somebody Else")
SPELLINGS: list[str | bytes] = [PASSWORD, PASSWORD.upper(), bytes.fromhex(PASSWORD)]


def trust(world: World, root: Root = ROOT, *, party_id: str = "TNM", revocation_list: str = "") -> int:
    rows = world.rows(
        """INSERT INTO cpo_certificateauthority (country_code, party_id, organisation, certificates, revocation_list)
           VALUES ('NL', %s, %s, %s, %s) RETURNING id""",
        party_id, root.organisation, root.certificate, revocation_list,
    )  # fmt: skip
    return int(rows[0]["id"])


class Tls:
    """The files of a gateway and of its clients."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.certificate, self.key = server_files(folder)
        self.settings: dict[str, Any] = {"tls_certificate": self.certificate, "tls_key": self.key, "tls_port": 0}

    def context(self, client: tuple[Any, str] | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.certificate)
        if client is not None:
            file = self.folder / f"{client[0].serial}.pem"
            file.write_text(client[0].chain + client[1])
            context.load_cert_chain(file)
        return context

    def secured(self, node: Node) -> Node:
        """Return the same node by its other port."""
        secured = Node(node.gateway.tls_port, node.gateway)
        secured.url = secured.url.replace("ws://", "wss://")
        return secured


@pytest.fixture
def tls(tmp_path: Path) -> Tls:
    return Tls(tmp_path)


async def status(node: Node, identity: str, password: str | bytes | None = None, **options: Any) -> int:
    """Return how a handshake ends: 101, the status of the refusal, or 0 if TLS itself fails."""
    try:
        async with node.connect(identity, password, **options) as point:
            assert "currentTime" in await point.call("Heartbeat", {})
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code
    except (ssl.SSLError, OSError, EOFError, InvalidMessage):
        return 0


async def stay(*points: Point) -> None:
    """See that charge points are answered."""
    for point in points:
        assert "currentTime" in await point.call("Heartbeat", {})


async def is_cut(point: Point, why: str = "") -> None:
    """Wait until the gateway cuts a connection for what is wrong with the certificate it came with."""
    await asyncio.wait_for(point.socket.wait_closed(), 20)
    assert point.socket.close_code == 1008
    assert why in str(point.socket.close_reason)


@pytest.mark.req("OCPP-04", "OCPP-05", "OCPP-126")
def test_profiles_one_and_two_take_the_password_in_every_spelling(world: World, tls: Tls) -> None:
    world.add("ONE", PASSWORD)
    world.add("PLAIN", PASSWORD, refuses_tls=True)
    world.add("TWO", PASSWORD, security_profile=2)

    async def scenario(node: Node) -> None:
        secured, context = tls.secured(node), tls.context()
        for shown in SPELLINGS:
            assert await status(node, "ONE", shown) == 101
            assert await status(secured, "ONE", shown, ssl=context) == 101
            assert await status(secured, "TWO", shown, ssl=context) == 101
            assert await status(node, "TWO", shown) == 401
        assert await status(secured, "TWO", "wrong", ssl=context) == 401
        assert await status(node, "PLAIN", PASSWORD) == 101
        assert await status(secured, "PLAIN", PASSWORD, ssl=context) == 401

    world.run(scenario, decide=None, **tls.settings)


@pytest.mark.req("OCPP-06", "OCPP-126")
def test_profile_three_asks_for_the_charge_points_own_certificate(world: World, tls: Tls) -> None:
    authority = trust(world)
    trust(world, OTHER, party_id="OTH")
    point_id = world.add("THREE", security_profile=3)
    world.add("TWO", PASSWORD, security_profile=2)
    world.execute(
        """INSERT INTO cpo_bootrecord (charge_point_id, vendor, model, serial, box_serial, firmware, iccid, imsi,
               meter_type, meter_serial, protocol, reason, first_at, last_at)
           VALUES (%s, 'V', 'M', 'SERIAL-7', '', '', '', '', '', '', '1.6', '', now(), now())""",
        point_id,
    )  # fmt: skip
    revoked = ROOT.client("THREE")
    world.execute(
        """INSERT INTO cpo_stationcertificate (charge_point_id, authority_id, kind, state, csr, serial, revoked_at)
           VALUES (%s, %s, 'ChargingStationCertificate', 'INSTALLED', '', %s, now())""",
        point_id, authority, revoked[0].serial,
    )  # fmt: skip

    async def scenario(node: Node) -> None:
        secured = tls.secured(node)
        assert await status(secured, "THREE", ssl=tls.context(ROOT.client("THREE"))) == 101
        assert await status(secured, "THREE", ssl=tls.context(ROOT.client("SERIAL-7"))) == 101
        assert await status(secured, "TWO", ssl=tls.context(ROOT.client("TWO"))) == 101
        assert await status(secured, "TWO", PASSWORD, ssl=tls.context(ROOT.client("ONE"))) == 101
        refused = [
            ROOT.client("FOUR"),
            ROOT.client("THREE", organisation="The Old Motion"),
            OTHER.client("THREE"),
            revoked,
        ]
        for number, client in enumerate(refused):
            node.gateway._door._failures.__init__(5, 300)  # type: ignore[misc]
            assert await status(secured, "THREE", ssl=tls.context(client)) == 401, number
        assert await status(secured, "THREE", ssl=tls.context()) == 401
        assert await status(secured, "THREE", ssl=tls.context(Root("Unknown").client("THREE"))) == 0

    world.run(scenario, decide=None, **tls.settings)

    events = world.rows("SELECT kind, info, source FROM cpo_stationevent ORDER BY id")
    assert {row["kind"] for row in events} == {"ClientCertificateRefused"}
    assert [row["info"].partition(" (")[0] for row in events] == [
        "its CN is another charge point", f"its O is not {ORGANISATION}", "it does not chain to the tenant's root",
        "it is revoked",
    ]  # fmt: skip


@pytest.mark.req("OCPP-06")
def test_who_came_with_a_certificate_that_is_revoked_then_is_cut_at_the_next_sweep(world: World, tls: Tls) -> None:
    authorities = {"TNM": trust(world), "OTH": trust(world, OTHER, party_id="OTH")}
    ids = {identity: world.add(identity, security_profile=3) for identity in ("CUT", "STAYS", "OTHERS")}
    clients = {identity: ROOT.client(identity) for identity in ids}
    # The same serial number of another tenant's authority is another certificate.
    revoked = {"CUT": "TNM", "OTHERS": "OTH"}

    async def scenario(node: Node) -> None:
        secured = tls.secured(node)
        async with AsyncExitStack() as stack:
            points = {
                identity: await stack.enter_async_context(secured.connect(identity, ssl=tls.context(client)))
                for identity, client in clients.items()
            }
            await stay(*points.values())
            for identity, party_id in revoked.items():
                world.execute(
                    """INSERT INTO cpo_stationcertificate (charge_point_id, authority_id, kind, state, csr, serial,
                           revoked_at) VALUES (%s, %s, 'ChargingStationCertificate', 'INSTALLED', '', %s, now())""",
                    ids[identity], authorities[party_id], clients[identity][0].serial,
                )  # fmt: skip
            await node.gateway._refresh()
            await is_cut(points["CUT"])
            await stay(points["STAYS"], points["OTHERS"])

    world.run(scenario, decide=None, **tls.settings)


@pytest.mark.req("OCPP-06")
def test_who_stands_on_a_certificate_of_a_changed_authority_is_judged_again_at_the_next_sweep(
    world: World, tls: Tls
) -> None:
    authority = trust(world)
    trust(world, OTHER, party_id="OTH")
    identities = ("LISTED", "STAYS", "LATE", "OTHERS", "PASSWORD")
    for identity in identities:
        world.add(identity, PASSWORD if identity == "PASSWORD" else "", security_profile=2)
    world.execute("UPDATE cpo_chargepoint SET party_id = 'OTH' WHERE identity = 'OTHERS'")
    clients = {each: ROOT.client(each) for each in identities[:3]}
    clients["OTHERS"] = OTHER.client("OTHERS", organisation=OTHER.organisation)
    other_root = Root()

    async def scenario(node: Node) -> None:
        secured = tls.secured(node)

        async with AsyncExitStack() as stack:
            points = {
                each: await stack.enter_async_context(secured.connect(each, ssl=tls.context(client)))
                for each, client in clients.items()
            }
            points["PASSWORD"] = await stack.enter_async_context(
                secured.connect("PASSWORD", PASSWORD, ssl=tls.context())
            )
            await stay(*points.values())
            # Revoked elsewhere: a new list of the authority.
            listed = ROOT.revoking(clients["LISTED"][0].serial)
            world.execute("UPDATE cpo_certificateauthority SET revocation_list = %s WHERE id = %s", listed, authority)
            await node.gateway._refresh()
            await is_cut(points["LISTED"], "it is revoked")
            # Nothing that concerns them has changed.
            world.execute("UPDATE cpo_certificateauthority SET days = days + 1")
            await node.gateway._refresh()
            await stay(*(points[each] for each in identities if each != "LISTED"))
            # Replaced; but who came before is believed as long as the former root is named too.
            both = other_root.certificate + ROOT.certificate
            for certificates, cutting in ((both, False), (other_root.certificate, True)):
                world.execute(
                    "UPDATE cpo_certificateauthority SET certificates = %s, revocation_list = '' WHERE id = %s",
                    certificates, authority,
                )  # fmt: skip
                await node.gateway._refresh()
                if not cutting:
                    await stay(points["STAYS"], points["LATE"])
            for identity in ("STAYS", "LATE"):
                await is_cut(points[identity], "does not chain")
            world.execute("DELETE FROM cpo_certificateauthority WHERE party_id = 'OTH'")
            await node.gateway._refresh()
            await is_cut(points["OTHERS"], "no authority")
            await stay(points["PASSWORD"])

    world.run(scenario, decide=None, **tls.settings)


@pytest.mark.req("OCPP-07", "OCPP-06")
@pytest.mark.parametrize(("proxies", "expected"), [({"127.0.0.1"}, 101), (set(), 401)], ids=["our proxy", "a stranger"])
def test_a_certificate_in_a_header_counts_only_from_our_proxy(world: World, proxies: set[str], expected: int) -> None:
    trust(world)
    world.add("THREE", security_profile=3)
    chain = ROOT.client("THREE")[0].chain.replace("\n", " ")

    async def scenario(node: Node) -> None:
        headers = {"X-Forwarded-Proto": "https", "X-SSL-Client-Cert": chain}
        try:
            async with connect(
                f"{node.url}/THREE", additional_headers=headers, subprotocols=[Subprotocol("ocpp1.6")], proxy=None
            ):
                found = 101
        except InvalidStatus as refused:
            found = refused.response.status_code
        assert found == expected

    world.run(scenario, decide=None, trusted_proxies=frozenset(proxies))


@pytest.mark.req("OCPP-04")
def test_a_gateway_may_take_nobody_without_tls(world: World, tls: Tls) -> None:
    world.add("ONE", PASSWORD)

    async def scenario(node: Node) -> None:
        assert await status(node, "ONE", PASSWORD) == 403
        assert await status(tls.secured(node), "ONE", PASSWORD, ssl=tls.context()) == 101

    world.run(scenario, decide=None, plain=False, **tls.settings)


@pytest.mark.req("OCPP-04")
def test_a_renewed_certificate_and_a_new_authority_count_without_a_restart(world: World, tls: Tls) -> None:
    world.add("THREE", security_profile=3)

    async def scenario(node: Node) -> None:
        secured, client = tls.secured(node), ROOT.client("THREE")
        assert await status(secured, "THREE", ssl=tls.context(client)) == 401
        trust(world)
        server_files(tls.folder)
        assert await status(secured, "THREE", ssl=tls.context(client)) == 0
        assert node.gateway._tls is not None
        await node.gateway._tls.refresh()
        assert await status(secured, "THREE", ssl=tls.context(client)) == 101

    world.run(scenario, decide=None, **tls.settings)


@pytest.mark.req("OCPP-05")
def test_both_passwords_are_good_until_the_charge_point_comes_with_the_new_one(world: World) -> None:
    new = "ab" * 20
    world.add("CP1", PASSWORD, next_password_digest=passwords.digest(new, world.config.secret_key))

    async def scenario(node: Node) -> None:
        assert await status(node, "CP1", PASSWORD) == 101
        assert await status(node, "CP1", PASSWORD) == 101
        assert await status(node, "CP1", bytes.fromhex(new)) == 101
        assert await status(node, "CP1", new) == 101
        assert await status(node, "CP1", PASSWORD) == 401

    world.run(scenario, decide=None)

    [row] = world.rows("SELECT password_digest, next_password_digest FROM cpo_chargepoint")
    assert row == {"password_digest": passwords.digest(new, world.config.secret_key), "next_password_digest": ""}


@pytest.mark.req("OCPP-08", "SEC-61")
def test_failed_attempts_and_takeovers_are_security_events(world: World) -> None:
    point_id = world.add("CP1", PASSWORD)

    async def scenario(node: Node) -> None:
        for _ in range(5):
            assert (await refusal(node, "NOBODY", "wrong")).response.status_code == 401
        held = [node.connect("CP1", PASSWORD) for _ in range(5)]
        for each in held:
            # Only who has been taken in can be taken over.
            await (await each.__aenter__()).call("Heartbeat", {})
        await eventually(lambda: len(world.rows("SELECT 1 FROM cpo_stationevent")) == 2)
        for each in held:
            await each.__aexit__(None, None, None)

    world.run(scenario, decide=None)

    events = world.rows("SELECT kind, identity, charge_point_id, critical, source FROM cpo_stationevent ORDER BY id")
    assert [tuple(row.values()) for row in events] == [
        ("RepeatedAuthenticationFailures", "NOBODY", None, True, "GATEWAY"),
        ("RepeatedTakeovers", "CP1", point_id, True, "GATEWAY"),
    ]


@pytest.mark.req("OCPP-90")
def test_what_was_signed_comes_after_the_answer_to_the_request(world: World) -> None:
    point_id = world.add("CP1", PASSWORD)
    seen: list[Any] = []

    def decide(action: str, payload: dict[str, Any]) -> dict[str, Any] | None:
        if action != "SignCertificate":
            return {}
        # As bad as it can be: what was signed is asked for before there is an answer.
        world.ask(point_id, "CertificateSigned", {"certificateChain": "chain"})
        time.sleep(0.7)
        return {"status": "Accepted"}

    async def scenario(node: Node) -> None:
        async with node.connect("CP1", PASSWORD) as point:
            await point.call("BootNotification", BOOT)
            await point.send([2, "sign", "SignCertificate", {"csr": "request"}])
            seen.extend([await point.receive(), await point.receive()])
            await point.send([3, seen[1][1], {"status": "Accepted"}])
            await asyncio.sleep(0.1)

    world.run(scenario, decide=decide)

    assert seen[0] == [3, "sign", {"status": "Accepted"}]
    assert seen[1][0:1] + seen[1][2:] == [2, "CertificateSigned", {"certificateChain": "chain"}]
