"""Credit CDRs: a copy of the original in which only the total is turned."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from ocpi.tariff_pricing.decimals import number, plain
from ocpi.tariff_pricing.errors import invalid

_SUFFIX: Final = "-C"
_LONGEST_CREDIT_ID: Final = 39
_CHANGED: Final = frozenset(("id", "credit", "credit_reference_id", "total_cost", "last_updated"))


def credit(cdr: Mapping[str, Any], *, last_updated: str) -> dict[str, Any]:
    """Return the Credit CDR that takes a CDR back.

    :raises NotPriceable: if it is itself a Credit CDR, or its id is too long.
    """
    if cdr.get("credit"):
        raise invalid("credit", "a Credit CDR cannot be credited")
    identity = f"{cdr.get('id')}{_SUFFIX}"
    if not isinstance(cdr.get("id"), str) or len(identity) > _LONGEST_CREDIT_ID:
        raise invalid("id", f"must be a string of at most {_LONGEST_CREDIT_ID - len(_SUFFIX)} characters")
    total = cdr.get("total_cost")
    if not isinstance(total, Mapping) or "excl_vat" not in total:
        raise invalid("total_cost", "is required")
    turned = {name: _turned(value, f"total_cost.{name}") for name, value in total.items()}
    return dict(cdr) | {
        "id": identity,
        "credit": True,
        "credit_reference_id": cdr["id"],
        "total_cost": turned,
        "last_updated": last_updated,
    }


def credit_differences(received: Mapping[str, Any], original: Mapping[str, Any]) -> list[str]:
    """Return the members in which a received Credit CDR differs from what the credit of the original must be."""
    wanted = credit(original, last_updated="")
    exact = ("credit", "credit_reference_id", "total_cost")
    names = sorted((set(received) | set(original)) - _CHANGED)
    different = [name for name in names if received.get(name) != original.get(name)]
    return different + [name for name in exact if received.get(name) != wanted[name]]


def _turned(value: object, field: str) -> Decimal | None:
    # Zero stays 0: "-0" is legal JSON, and confusing.
    return None if value is None else plain(number(value, field).copy_negate())
