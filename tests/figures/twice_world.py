"""The rows of FIG-10 in a fresh database: `python -m tests.figures.twice_world cpo` prints the partner's token."""

from __future__ import annotations

import json
import os
import sys

import django

NOWHERE = "http://127.0.0.1:2047"


def main(side: str) -> str:
    """Connect the partner of this side and return the token that it shows us."""
    from tests.cpo_support import add_location, add_point, add_tariff, tariff, with_tariff
    from tests.fixtures import DOCUMENTS, connect

    if side == "emsp":
        return connect("NL*TNM:CPO").token
    add_tariff(tariff())
    add_point(add_location(with_tariff(json.loads((DOCUMENTS / "location.json").read_text()))))
    # Nobody listens there: what is counted is what the charge point is asked, not what the eMSP hears of it.
    return connect("DE*EMS:EMSP", url=NOWHERE).token


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")
    django.setup()
    print(json.dumps({"token": main(sys.argv[1])}), flush=True)
