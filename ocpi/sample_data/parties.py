"""Who owns the samples: invented companies behind the party ids, their credentials roles and ClientInfo."""

from collections.abc import Iterable

from ocpi.sample_data.draw import BASE, Document, stamp

_NAMES = {
    "TNM": "Tulp Net Mobiliteit",
    "EMS": "Elbe Mobil Service",
    "HUB": "Open Roaming Hub",
    "ALF": "Alpenstrom Ladenetz",
    "BEC": "Belgische Energie Centrale",
    "VLT": "Voltaire Recharge",
    "NOR": "Nordlys Lading",
    "SOL": "Solana Movilidad",
}


def business_details(party: str) -> Document:
    """Return the BusinessDetails of a party id; the same id always gives the same company."""
    name = _NAMES.get(party.upper(), f"{party.upper()} Mobility")
    site = f"https://{party.lower()}.example"
    logo = {
        "url": f"{site}/img/logo.png",
        "thumbnail": f"{site}/img/logo_thumb.png",
        "category": "OPERATOR",
        "type": "png",
        "width": 512,
        "height": 512,
    }
    return {"name": name, "website": site, "logo": logo}


def credentials_roles(parties: Iterable[tuple[str, str, str]]) -> list[Document]:
    """Return the CredentialsRoles of (country_code, party_id, role) triples."""
    return [
        {
            "role": role,
            "business_details": business_details(party_id),
            "party_id": party_id,
            "country_code": country_code,
        }
        for country_code, party_id, role in parties
    ]


def client_info(country_code: str, party_id: str, role: str, *, status: str = "CONNECTED") -> Document:
    return {
        "party_id": party_id,
        "country_code": country_code,
        "role": role,
        "status": status,
        "last_updated": stamp(BASE),
    }
