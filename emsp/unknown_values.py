"""Values that 2.2.1 does not know and that were kept all the same: operators are shown which (PIT-44)."""

from __future__ import annotations

from django.utils.html import format_html_join

from ocpi import documents
from ocpi.admin_pages import badge, member
from ocpi.v2_2_1.locations import ConnectorType

_KNOWN = frozenset(each.value for each in ConnectorType)


def unknown_standards(document: str) -> list[str]:
    """Return the standards of an EVSE's Connectors that are no ConnectorType."""
    _, connectors = documents.take_parts(document, "connectors")
    found = [member(connector, "standard") for connector in connectors]
    return [str(standard) for standard in found if standard not in _KNOWN]


def marks(document: str) -> str:
    """Return a mark for each unknown value of an EVSE."""
    return format_html_join(
        " ", "{}", ((badge(f"unknown value: {each}", "odd"),) for each in unknown_standards(document))
    )
