"""How charge points say they are set: kept from what they answer and report, for people and for plans."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from cpo.models import ChargePoint, ConfigurationValue
from cpo.ocpp.device_words import Said

_LONGEST = 10_000


def keep(charge_point: ChargePoint, said: Iterable[Said], *, at: datetime, all_of_it: bool = False) -> int:
    """Keep settings as they were said; with `all_of_it` what was not said this time is forgotten. Return how many."""
    rows = {
        one.key.casefold(): ConfigurationValue(
            charge_point=charge_point, key=_clean(one.key)[:200], value=_clean(one.value)[:_LONGEST],
            readonly=one.readonly, read_at=at,
        )
        for one in said
        if one.value is not None
    }  # fmt: skip
    ConfigurationValue.objects.bulk_create(
        rows.values(), update_conflicts=True, unique_fields=["charge_point", "key"],
        update_fields=["value", "readonly", "read_at"],
    )  # fmt: skip
    if all_of_it:
        ConfigurationValue.objects.filter(charge_point=charge_point, read_at__lt=at).delete()
    return len(rows)


def values(charge_point: ChargePoint) -> dict[str, str | None]:
    """Return the settings as they were said last."""
    return dict(ConfigurationValue.objects.filter(charge_point=charge_point).values_list("key", "value"))


def set_value(charge_point_id: int, key: str, value: str, *, at: datetime) -> None:
    """Note that a charge point has taken a value."""
    ConfigurationValue.objects.update_or_create(
        charge_point_id=charge_point_id, key=key, defaults={"value": value, "read_at": at}
    )


def _clean(text: str) -> str:
    return text.replace("\x00", "")
