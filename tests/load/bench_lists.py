"""BENCH-04: pages of a long list beside serializers; deep pages, pages since a moment, a long table and a short one."""

from __future__ import annotations

import re
import sys
import urllib.request
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from tests.load import objects, registry
from tests.load.harness import Lab, Line, Measured, Process, http, say, trouble

_LIMIT = 100
_LOCATIONS, _CDRS, _FEW = 100_000, 1_000_000, 1_000
_HEADERS = registry.headers(registry.EMSP_TOKEN, registry.EMSP, registry.CPO)
_SIDE = {"OCPI_SIDES": "cpo", "OCPI_PARTIES": "NL*TNM:CPO"}
_ONE = 2  # connections: a crawl is one request after the other
_NEXT = re.compile(r'<[^>]*?//[^/>]+([^>]*)>; *rel="next"')
_COMPACT = "import django; django.setup(); from ocpi import counts; counts.compact()"
_START = datetime.fromisoformat(objects.FIRST_CHANGE)
_OLD = "2020-01-01T00:00:00Z"


def lists(lab: Lab) -> Iterable[Line]:
    """BENCH-04: pages of 100 Locations and CDRs: the first, the deepest, since a moment; 1,000 CDRs and 1,000,000."""
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
    for database in (large, small):
        compacted = {"DATABASE_URL": database, "DJANGO_SETTINGS_MODULE": "hub.settings"}
        lab.run([sys.executable, "-c", _COMPACT], compacted)
        objects.vacuum(database)
    cpo, few = lab.instance("cpo", large, _SIDE), lab.instance("cpo-few", small, _SIDE)
    drf = lab.bare("three_tables", baseline)
    sides = {
        **_pages("Locations", cpo, locations, _location_spans(locations)),
        **_pages("CDRs", cpo, cdrs, _cdr_spans(cdrs)),
        "few CDRs": (few, f"/ocpi/cpo/2.2.1/cdrs?limit={_LIMIT}"),
        "DRF": (drf, f"/three/locations?limit={_LIMIT}"),
    }
    found = lab.compare(
        {name: (server, lab.requests([http("GET", path, _HEADERS)])) for name, (server, path) in sides.items()},
        connections=_ONE,
    )
    lab.stop(cpo, few, drf)
    yield from _lines(found, locations, cdrs)


def _pages(name: str, server: Process, count: int, spans: Mapping[str, str]) -> dict[str, tuple[Process, str]]:
    """Return the pages of a list that are compared: what they are, and their path."""
    path = f"/ocpi/cpo/2.2.1/{name.lower()}?limit={_LIMIT}"
    found = {
        "first": path,
        "deepest by Link": _next(server, f"{path}&offset={count - 2 * _LIMIT}")[0],
        "deepest by offset": f"{path}&offset={count - _LIMIT}",
    }
    for span, query in spans.items():
        found[span] = f"{path}&{query}"
        link, total = _next(server, found[span])
        found[f"{span}, deepest by Link"] = link if total <= 2 * _LIMIT else _next(
            server, f"{found[span]}&offset={total - 2 * _LIMIT}")[0]  # fmt: skip
        say(f"{name} {span}: {total:,} match")
    found[f"{next(iter(spans))}, deepest by offset"] = f"{path}&{next(iter(spans.values()))}&offset={count - _LIMIT}"
    return {f"{name}: {page}": (server, query) for page, query in found.items()}


def _cdr_spans(count: int) -> dict[str, str]:
    """Return ranges of time in which all, half, few and a stretch of the CDRs were made, one of them in each minute."""
    half, few = _minute(count // 2), _minute(count - 150)
    until = _minute(count // 2 + min(10_000, count // 4))
    return {
        "date_from old": f"date_from={_OLD}",
        "date_from at the half": f"date_from={half}",
        "date_from recent": f"date_from={few}",
        "a stretch": f"date_from={half}&date_to={until}",
    }


def _location_spans(count: int) -> dict[str, str]:
    """Return the same for Locations, which were changed at any time in two years, whatever their ids."""
    year, end = 365 * 24 * 60, 2 * 365 * 24 * 60
    return {
        "date_from old": f"date_from={_OLD}",
        "date_from at the half": f"date_from={_minute(year)}",
        "date_from recent": f"date_from={_minute(end - 150 * end // count)}",
        "a stretch": f"date_from={_minute(year)}&date_to={_minute(year + year // 5)}",
    }


def _minute(number: int) -> str:
    return (_START + timedelta(minutes=number)).isoformat().replace("+00:00", "Z")


def _lines(found: dict[str, Measured], locations: int, cdrs: int) -> Iterable[Line]:
    details = {name: side.details() | {"bytes": side.octets // max(side.count, 1)} for name, side in found.items()}
    pages, note = "pages per second", trouble(found)
    first = {"Locations": found["Locations: first"].per_second, "CDRs": found["CDRs: first"].per_second}
    yield Line(
        f"BENCH-04 Page of {_LIMIT} Locations out of {locations:,}", first["Locations"], pages,
        "DRF ModelSerializer with prefetch", found["DRF"].per_second, goal=20, note=note, details=details,
    )  # fmt: skip
    yield Line(
        f"BENCH-04 Page of {_LIMIT} CDRs out of {cdrs:,}", first["CDRs"], pages,
        f"out of {_FEW:,}", found["few CDRs"].per_second, goal=1 / 1.5, note=note,
    )  # fmt: skip
    for name, side in found.items():
        kind, _, page = name.partition(": ")
        if page and page != "first":
            count = locations if kind == "Locations" else cdrs
            # By CPU time, PostgreSQL's included: what else the machine does would count more than the page.
            yield Line(
                f"BENCH-04 {kind} out of {count:,}, {page}", side.per_whole_cpu_second,
                "pages per CPU second of server and database", "the first page",
                found[f"{kind}: first"].per_whole_cpu_second, goal=0.5, note=note,
            )  # fmt: skip


def _next(server: Process, path: str) -> tuple[str, int]:
    """Return the path of the page behind this one, as its Link says (of this one, if there is none), and the total."""
    request = urllib.request.Request(f"http://127.0.0.1:{server.port}{path}", headers=_HEADERS)
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 our own server
        link, total = _NEXT.search(answer.headers.get("Link") or ""), int(answer.headers["X-Total-Count"])
    return (path if link is None else link[1]), total
