"""Which tenant a record of a caller's belongs to: its own, or the one it names."""

from __future__ import annotations

from typing import Any

from cpo.api.errors import Forbidden, Invalid, NotFound
from cpo.api.principals import Principal
from ocpi import ours
from ocpi.enums import Role
from ocpi.headers import Address


def of_new(caller: Principal, named: str | None) -> Address:
    """Return whose a new record is: the named tenant, else the caller's, else our first one.

    :raises Forbidden: if the caller may not act for it.
    :raises Invalid: if it is none of ours.
    """
    if named is None:
        if caller.tenant is not None:
            return caller.tenant
        mine = ours.addresses(Role.CPO)
        if not mine:
            raise Invalid("party: must be there, this instance has no CPO party", field="party", rule="required")
        return mine[0]
    country_code, _, party_id = named.upper().partition("*")
    if not caller.sees(country_code, party_id):
        raise Forbidden(f"the token is not for {named}")
    found = next((each for each in ours.addresses(Role.CPO) if each.key == (country_code, party_id)), None)
    if found is None:
        raise Invalid(f"party: {named} is none of our CPO parties", field="party", rule="known")
    return found


def of_query(caller: Principal, rows: Any, asked: dict[str, str]) -> Any:
    """Leave in a query what the caller sees, and of that what belongs to the party it asks for."""
    rows = caller.own(rows)
    if "party" in asked:
        country_code, _, party_id = asked["party"].partition("*")
        rows = rows.filter(country_code__iexact=country_code, party_id__iexact=party_id)
    return rows


def only(rows: list[Any], what: str) -> Any:
    """Return the one record that is meant.

    :raises NotFound: if there is none.
    :raises Invalid: if several tenants have it and the caller does not say which.
    """
    if not rows:
        raise NotFound(f"there is no {what}")
    if len(rows) > 1:
        raise Invalid(f"several tenants have {what}: say ?party=", field="party", rule="required")
    return rows[0]
