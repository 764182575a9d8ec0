"""Six Tariffs of one CPO: start fee, night discount, parking fee, fast charging with a cap, free, and a plain price."""

from decimal import Decimal

from ocpi.sample_data.draw import BASE, DAY, Document, rounded, stamp, stream

# A connector finds its tariff by the prefix: DC for fast chargers, everything else for AC.
TARIFF_IDS = ("AC-STANDARD", "AC-START", "AC-NIGHT", "AC-TIME", "AC-FREE", "DC-FAST")

# Standard rates in percent of the operator's country.
_RATES = (
    "NL 21,DE 19,BE 21,FR 20,AT 20,CH 8.1,LU 17,DK 25,SE 25,NO 25,FI 25.5,PL 23,CZ 21,HU 27,ES 21,PT 23,IT 22,GB 20"
)
_VAT = {country: Decimal(rate) for country, rate in (entry.split(" ") for entry in f"{_RATES},IE 23".split(","))}


def tariffs(country_code: str, party_id: str, *, seed: int = 1, currency: str = "EUR") -> list[Document]:
    """Return the Tariffs named in TARIFF_IDS; the seed moves the prices, never the structure."""
    draw = stream("tariff", seed, 0)
    vat = _VAT.get(country_code.upper(), Decimal(20))

    def component(dimension: str, price: str, step_size: int = 1) -> Document:
        amount = rounded(Decimal(price) + Decimal(draw.randrange(5)) / 100) if price != "0.00" else Decimal(price)
        return {"type": dimension, "price": amount, "vat": vat, "step_size": step_size}

    def price(excl_vat: str) -> Document:
        amount = Decimal(excl_vat)
        return {"excl_vat": amount, "incl_vat": rounded(amount * (100 + vat) / 100)}

    def tariff(number: int, text: str, elements: list[Document], **members: object) -> Document:
        tariff_id = TARIFF_IDS[number]
        return {
            "country_code": country_code,
            "party_id": party_id,
            "id": tariff_id,
            "currency": currency,
            "type": "REGULAR",
            "tariff_alt_text": [{"language": "en", "text": text}],
            "tariff_alt_url": f"https://{party_id.lower()}.example/tariffs/{tariff_id.lower()}",
            **members,
            "elements": elements,
            "last_updated": stamp(BASE - 90 * DAY + number * 3600),
        }

    night = {"start_time": "22:00", "end_time": "06:00"}
    return [
        tariff(0, "One price per kilowatt hour, day and night.", [_element(component("ENERGY", "0.42"))]),
        tariff(
            1,
            "A start fee and a price per kilowatt hour.",
            [_element(component("FLAT", "0.35"), component("ENERGY", "0.36"))],
            min_price=price("0.50"),
        ),
        tariff(
            2,
            "Cheaper from ten in the evening until six in the morning.",
            [_element(component("ENERGY", "0.29"), restrictions=night), _element(component("ENERGY", "0.46"))],
            energy_mix={"is_green_energy": True, "supplier_name": "Waterland Energie"},
        ),
        tariff(
            3,
            "By the hour; please make room when the car is full.",
            [_element(component("TIME", "1.80", 60), component("PARKING_TIME", "3.00", 300))],
        ),
        tariff(4, "Charging is free here.", [_element(component("FLAT", "0.00"))]),
        tariff(
            5,
            "Fast charging, never more than the stated maximum.",
            [_element(component("FLAT", "0.50"), component("ENERGY", "0.64"))],
            max_price=price("30.00"),
        ),
    ]


def _element(*components: Document, restrictions: Document | None = None) -> Document:
    element: Document = {"price_components": list(components)}
    if restrictions:
        element["restrictions"] = restrictions
    return element
