"""BENCH-02 and BENCH-03: what it costs to receive a push, keep it durably and mark it for ten receivers."""

from __future__ import annotations

from collections.abc import Iterable

from tests.load import objects, registry
from tests.load.client import TIME
from tests.load.harness import CONNECTIONS, Lab, Line, Process, http, trouble

RECEIVERS = 10
_LOCATIONS = 512  # a multiple of the connections, so that each has Locations of its own
_HUB = "/ocpi/hub/2.2.1/receiver/locations/NL/TNM"
_HEADERS = registry.headers(registry.CPO_TOKEN, registry.CPO, registry.HUB)


def patch_status(lab: Lab) -> Iterable[Line]:
    """BENCH-02: an EVSE's status received, stored and marked for 10 receivers."""
    hub = _hub(lab, "patch_status")
    address = _baseline(lab, "patch_status_baseline")
    objects.load_plain(address, _LOCATIONS)
    objects.load_three(address, _LOCATIONS)
    one, three = lab.bare("one_statement", address), lab.bare("three_tables", address)
    found = lab.compare(
        {
            "hub": (hub, lab.requests(_patches(_HUB))),
            "one statement": (one, lab.requests(_patches("/one/locations/NL/TNM"))),
            "three tables": (three, lab.requests(_patches("/three/locations/NL/TNM"))),
        }
    )
    lab.stop(hub, one, three)
    details = {name: side.details() for name, side in found.items()}
    for baseline, text, goal in (
        ("one statement", "bare Django view, one raw statement, nobody marked", 0.5),
        ("three tables", "DRF and ORM on three tables, nobody marked", 2.0),
    ):
        yield Line(
            f"BENCH-02 EVSE status PATCH, marked for {RECEIVERS}, beside {baseline}", found["hub"].per_second,
            "requests per second", text, found[baseline].per_second, goal=goal, note=trouble(found), details=details,
        )  # fmt: skip


def put_location(lab: Lab) -> Iterable[Line]:
    """BENCH-03: a Location with 10 EVSEs received, stored and marked for 10 receivers."""
    hub = _hub(lab, "put_location")
    address = _baseline(lab, "put_location_baseline")
    objects.load_three(address, _LOCATIONS)
    three = lab.bare("three_tables", address)
    found = lab.compare(
        {
            "hub": (hub, lab.requests(_puts(_HUB))),
            "three tables": (three, lab.requests(_puts("/three/locations/NL/TNM"))),
        }
    )
    lab.stop(hub, three)
    yield Line(
        f"BENCH-03 PUT Location with {objects.EVSES} EVSEs, marked for {RECEIVERS}", found["hub"].per_second,
        "requests per second", "DRF and ORM on three tables, nobody marked", found["three tables"].per_second, goal=10,
        note=trouble(found), details={name: side.details() for name, side in found.items()},
    )  # fmt: skip


def _hub(lab: Lab, name: str) -> Process:
    """Start a hub that knows the Locations; nobody is at the receivers' addresses, and no worker runs."""
    database = lab.database(name)
    ids = lab.seed(database, registry.platforms([9], receivers=RECEIVERS))
    objects.load_shared(database, ids["cpo"], _LOCATIONS)
    return lab.instance("hub", database)


def _baseline(lab: Lab, name: str) -> str:
    return lab.baseline_database(name)


def _patches(prefix: str) -> Iterable[bytes]:
    """Return a PATCH for each EVSE; those of one connection are of Locations that no other changes."""
    for round_number in range(objects.EVSES):
        for number in range(1, _LOCATIONS + 1):
            status = "CHARGING" if (round_number + number) % 2 else "AVAILABLE"
            body = f'{{"status":"{status}","last_updated":"{TIME}"}}'.encode()
            index = round_number % objects.EVSES
            yield http("PATCH", f"{prefix}/LOC{number}/{objects.uid(number, index)}", _HEADERS, body)


def _puts(prefix: str) -> Iterable[bytes]:
    for number in range(1, 8 * CONNECTIONS + 1):
        body = objects.text(objects.location(number, stamp=TIME)).encode()
        yield http("PUT", f"{prefix}/LOC{number}", _HEADERS, body)
