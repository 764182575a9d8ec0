"""Fill a CPO: `python -m tests.figures.gateway_seed` reads from standard input which charge points it is to have.

Each has a Location, an EVSE with a tariff, and the one password; the cards of one eMSP are good everywhere.
"""

from __future__ import annotations

import json
import os
import sys

import django

# Each charge point has the one EVSE of its Location.
_EVSES = """
    UPDATE cpo_evse AS e SET charge_point_id = p.id, connector_id = 1
    FROM cpo_location AS l, cpo_chargepoint AS p WHERE e.location_id = l.id AND p.location_id = l.object_id
"""
OWNER, EMSP = ("NL", "TNM"), ("DE", "EMS")


def main() -> None:
    """Create Tariffs, Locations, charge points and Tokens."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")
    django.setup()
    from django.conf import settings
    from django.db import connection, transaction

    from cpo.gateway import passwords
    from cpo.gateway_models import ChargePoint
    from cpo.modules import charge_points, locations_loading, tariffs_loading, tokens
    from ocpi import sample_data
    from ocpi.headers import Address
    from tests.load import seed

    wanted = json.load(sys.stdin)
    seed.fill(wanted["platforms"])
    owner = Address(*OWNER)
    with transaction.atomic():
        texts = [sample_data.dumps(each) for each in sample_data.tariffs(*OWNER)]
        tariffs_loading.keep([tariffs_loading.check(_octets(text), owners=[owner]) for text in texts])
        places = sample_data.locations(
            len(wanted["points"]), country_code=OWNER[0], party_id=OWNER[1], evses=1, status="AVAILABLE"
        )
        documents = [_octets(sample_data.dumps(each)) for each in places]
        for start in range(0, len(documents), 500):
            batch = documents[start : start + 500]
            locations_loading.keep([locations_loading.check(each, owners=[owner]) for each in batch])
        # As generated passwords are kept: what a person thought of would cost a slow hash in each handshake.
        digest = passwords.digest(wanted["password"], str(settings.SECRET_KEY))
        ChargePoint.objects.bulk_create(
            ChargePoint(
                identity=identity, country_code=owner.country_code, party_id=owner.party_id, security_profile=1,
                location_id=json.loads(document)["id"], password_digest=digest,
                protocols=charge_points.PROTOCOLS[version],
            )
            for (identity, version), document in zip(wanted["points"], documents, strict=True)
        )  # fmt: skip
        with connection.cursor() as cursor:
            cursor.execute(_EVSES)
        for uid in wanted["cards"]:
            card = {
                "country_code": EMSP[0], "party_id": EMSP[1], "uid": uid, "type": "RFID", "issuer": "EMS",
                "contract_id": f"DE-EMS-C{uid[-9:]}", "valid": True, "whitelist": "ALWAYS",
                "last_updated": "2026-01-01T00:00:00Z",
            }  # fmt: skip
            tokens.keep(Address(*EMSP), uid, json.dumps(card).encode(), asked_type=None)
    print(json.dumps({"charge_points": len(wanted["points"])}))


def _octets(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


if __name__ == "__main__":
    main()
