"""BENCH-04: pages of a long list beside serializers; the deepest page; a long table beside a short one."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Iterable

from tests.load import objects, registry
from tests.load.harness import Lab, Line, Process, http, say, trouble

_LIMIT = 100
_LOCATIONS, _CDRS, _FEW = 100_000, 1_000_000, 1_000
_HEADERS = registry.headers(registry.EMSP_TOKEN, registry.EMSP, registry.CPO)
_SIDE = {"OCPI_SIDES": "cpo", "OCPI_PARTIES": "NL*TNM:CPO"}
_ONE = 2  # connections: a crawl is one request after the other
_NEXT = re.compile(r'<[^>]*?//[^/>]+([^>]*)>; *rel="next"')


def lists(lab: Lab) -> Iterable[Line]:
    """BENCH-04: a page of 100 Locations out of many; the deepest page; 1,000 CDRs and 1,000,000."""
    locations, cdrs = (max(_FEW, int(number * lab.options.scale)) for number in (_LOCATIONS, _CDRS))
    large, small, baseline = (
        lab.database("lists_large"),
        lab.database("lists_small"),
        lab.baseline_database("lists_drf"),
    )
    for database in (large, small):
        lab.seed(database, registry.platforms([9], receivers=1))
    say(f"loading {locations:,} Locations twice and {cdrs:,} CDRs")
    objects.load_cpo(large, locations)
    objects.load_cdrs(large, cdrs, registry.EMSP)
    objects.load_cdrs(small, _FEW, registry.EMSP)
    objects.load_three(baseline, locations)
    cpo, few = lab.instance("cpo", large, _SIDE), lab.instance("cpo-few", small, _SIDE)
    drf = lab.bare("three_tables", baseline)
    first = f"/ocpi/cpo/2.2.1/locations?limit={_LIMIT}"
    deepest = _next(cpo, f"{first}&offset={locations - 2 * _LIMIT}")
    listed = f"/ocpi/cpo/2.2.1/cdrs?limit={_LIMIT}"
    found = lab.compare(
        {
            "first page": (cpo, lab.requests([http("GET", first, _HEADERS)])),
            "deepest page": (cpo, lab.requests([http("GET", deepest, _HEADERS)])),
            "DRF": (drf, lab.requests([http("GET", f"/three/locations?limit={_LIMIT}", _HEADERS)])),
            "many CDRs": (cpo, lab.requests([http("GET", listed, _HEADERS)])),
            "few CDRs": (few, lab.requests([http("GET", listed, _HEADERS)])),
        },
        connections=_ONE,
    )
    lab.stop(cpo, few, drf)
    details = {name: side.details() | {"bytes": side.octets // max(side.count, 1)} for name, side in found.items()}
    pages = "pages per second"
    note = trouble(found)
    yield Line(
        f"BENCH-04 Page of {_LIMIT} Locations out of {locations:,}", found["first page"].per_second, pages,
        "DRF ModelSerializer with prefetch", found["DRF"].per_second, goal=20, note=note, details=details,
    )  # fmt: skip
    yield Line(
        f"BENCH-04 The deepest page of {locations:,} Locations", found["deepest page"].per_second, pages,
        "the first page", found["first page"].per_second, goal=0.5, note=note, details=details,
    )  # fmt: skip
    yield Line(
        f"BENCH-04 Page of {_LIMIT} CDRs out of {cdrs:,}", found["many CDRs"].per_second, pages,
        f"out of {_FEW:,}", found["few CDRs"].per_second, goal=1 / 1.5, note=note, details=details,
    )  # fmt: skip


def _next(server: Process, path: str) -> str:
    """Return the path of the page behind this one, as its Link says."""
    request = urllib.request.Request(f"http://127.0.0.1:{server.port}{path}", headers=_HEADERS)
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 our own server
        found = _NEXT.search(answer.headers.get("Link") or "")
    if found is None:
        raise RuntimeError(f"{path} has no next page")
    return found[1]
