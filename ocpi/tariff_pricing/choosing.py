"""Which Tariff prices what: the one a period names, or the first that is valid at the start."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from ocpi.tariff_pricing.compiled import Tariff, compile_tariff
from ocpi.tariff_pricing.errors import NotPriceable
from ocpi.tariff_pricing.instants import microseconds
from ocpi.tariff_pricing.reading import Document

_AD_HOC: Final = "AD_HOC_PAYMENT"
_PROFILES: Final = ("CHEAP", "FAST", "GREEN")


def assign(document: Document, given: Sequence[Mapping[str, Any]]) -> list[Tariff]:
    """Give each period its tariff and return the tariffs in use, in order of first use.

    :raises NotPriceable: if there is no tariff, none is valid, one is not known or has another currency.
    """
    own = document.raw.get("tariffs")
    inside = own if type(own) is list else list(own) if isinstance(own, Sequence) and not isinstance(own, str) else []
    candidates = list(given) or inside
    if not candidates:
        raise NotPriceable("no_tariff", "the document has no tariffs and none was given")
    if any(period.tariff_id is not None for period in document.periods):
        used = _by_id(document, candidates if candidates is inside else [*candidates, *_others(inside, candidates)])
    else:
        used = [_first_valid(document, candidates)]
        for period in document.periods:
            period.tariff = used[0]
            document.findings.add("periods_without_tariff_id")
    for tariff in used:
        if tariff.currency.upper() != document.currency.upper():
            text = f"tariff {tariff.id} is in {tariff.currency}, the document in {document.currency}"
            raise NotPriceable("currency_mismatch", text)
    if len(used) > 1:
        document.findings.add("multiple_tariffs")
    return used


def _by_id(document: Document, candidates: Sequence[Mapping[str, Any]]) -> list[Tariff]:
    found: dict[str, Tariff] = {}
    for period in document.periods:
        if period.tariff_id is None:
            document.findings.add("period_unpriced_no_tariff_id")
            continue
        key = period.tariff_id.lower()
        tariff = found.get(key)
        if tariff is None:
            tariff = found[key] = _named(document, candidates, period.tariff_id)
        period.tariff = tariff
    return list(found.values())


def _named(document: Document, candidates: Sequence[Mapping[str, Any]], tariff_id: str) -> Tariff:
    wanted = tariff_id.lower()
    first: Tariff | None = None
    valid: Tariff | None = None
    for each in candidates:
        if _id(each) == wanted:
            tariff = compile_tariff(each)
            first = first or tariff
            if valid is None and tariff.valid_at(document.start):
                valid = tariff
    if first is None:
        raise NotPriceable("unknown_tariff_id", f"no tariff {tariff_id} among the tariffs")
    if valid is None:
        document.findings.add("tariff_not_valid_at_start")
    return valid or first


def _others(more: Sequence[Mapping[str, Any]], known: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    ids = {_id(each) for each in known}
    return [each for each in more if _id(each) not in ids]


def _id(raw: object) -> str | None:
    identity = raw.get("id") if type(raw) is dict or isinstance(raw, Mapping) else None
    return identity.lower() if isinstance(identity, str) else None


def _first_valid(document: Document, candidates: Sequence[Mapping[str, Any]]) -> Tariff:
    for each in candidates:
        tariff = compile_tariff(each)
        if tariff.valid_at(document.start):
            return tariff
    raise NotPriceable("no_valid_tariff", "no tariff is valid at start_date_time")


def choose(tariffs: Sequence[Mapping[str, Any]], *, at: datetime, preference: str | None = None) -> Mapping[str, Any]:
    """Return the tariff a session of ours starts with: by charging preference, else REGULAR, else one without type.

    :raises NotPriceable: if none fits; a tariff for ad-hoc payment never serves a roaming token.
    """
    if not tariffs:
        raise NotPriceable("no_tariff", "the connector has no tariffs")
    start = microseconds(at)
    valid = [each for each in tariffs if compile_tariff(each).valid_at(start)]
    for kind in (_type_for(preference), "REGULAR", None):
        for each in valid:
            if each.get("type") == kind:
                return each
    raise NotPriceable("no_valid_tariff", "no tariff of the connector is valid for this session")


def _type_for(preference: str | None) -> str:
    if preference in _PROFILES:
        return f"PROFILE_{preference}"
    return preference or "REGULAR"
