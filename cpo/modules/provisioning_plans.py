"""Which settings a charge point is to have, and which of them differ from what it says (OCPP-34)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from django.db import transaction
from django.db.models import Q

from cpo.models import ChargePoint, ProvisioningPlan
from cpo.ocpp import device_calls
from ocpi import audit

# Not by a plan: a password is rolled so that both are good for a while.
_SECRET = frozenset({"authorizationkey", "securityctrlr.basicauthpassword"})
_WORDS = frozenset({"true", "false"})


def wanted(charge_point: ChargePoint, *, model: tuple[str, str]) -> dict[str, str]:
    """Return the settings of all plans for it; where two name a key, the nearer plan wins, then the newer one."""
    vendor, name = (word.casefold() for word in model)
    plans = ProvisioningPlan.objects.filter(
        Q(charge_point=None) | Q(charge_point=charge_point),
        active=True,
        protocol=device_calls.words(charge_point.protocol).PROTOCOL,
        country_code__iexact=charge_point.country_code,
        party_id__iexact=charge_point.party_id,
    ).prefetch_related("settings")
    fitting = [plan for plan in plans if plan.vendor.casefold() in ("", vendor) and plan.model.casefold() in ("", name)]
    fitting.sort(key=lambda plan: (plan.charge_point_id is not None, bool(plan.model), bool(plan.vendor), plan.pk))
    found: dict[str, tuple[str, str]] = {}
    for plan in fitting:
        for setting in plan.settings.all():
            found[setting.key.casefold()] = (setting.key, setting.value)
    return dict(found.values())


@transaction.atomic
def keep(plan: ProvisioningPlan, settings: Mapping[str, str], *, by: str) -> None:
    """Make these the settings of a plan, which is there already; they count from the next boot on."""
    plan.settings.all().delete()
    for key, value in settings.items():
        plan.settings.create(key=key, value=value)
    audit.record("provisioning_plan.keep", actor=by, about=plan.name, details={"keys": sorted(settings)[:100]})


def is_same(wanted_value: str, actual: str | None) -> bool:
    """Say whether a charge point is set as wanted: blanks around values and commas, and the case of truth, are not."""
    if actual is None:
        return False
    return _plain(wanted_value) == _plain(actual)


def _plain(value: str) -> str:
    text = ",".join(part.strip() for part in value.split(","))
    return text.lower() if text.lower() in _WORDS else text


def differing(plan: Mapping[str, str], actual: Mapping[str, str | None]) -> list[str]:
    """Return the keys that have to be set; the case of keys does not matter."""
    said = {key.casefold(): value for key, value in actual.items()}
    return [key for key, value in plan.items() if not is_same(value, said.get(key.casefold()))]


def check_lines(lines: Iterable[str], *, protocol: str) -> dict[str, str]:
    """Return the settings in lines like `HeartbeatInterval = 300`.

    :raises ValueError: naming the line and what is wrong with it.
    """
    words, found = device_calls.words(protocol), dict[str, str]()
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        key, equals, value = (part.strip() for part in line.partition("="))
        if not equals:
            raise ValueError(f"line {number}: a setting is written key = value")
        if not words.is_key(key):
            shape = "Component.Variable" if protocol != "1.6" else "1 to 50 characters"
            raise ValueError(f"line {number}: a key of OCPP {protocol} is {shape}")
        if key.casefold() in _SECRET:
            raise ValueError(f"line {number}: a password is not set by a plan; roll it on the page of the charge point")
        longest = 500 if protocol == "1.6" else 1000
        if len(value) > longest:
            raise ValueError(f"line {number}: a value has at most {longest} characters")
        if key.casefold() in {known.casefold() for known in found}:
            raise ValueError(f"line {number}: {key} is there twice")
        found[key] = value
    return found
