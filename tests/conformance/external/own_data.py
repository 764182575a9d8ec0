"""What the platform under test has when it is ours: a registered tester, and objects in every list."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from typing import Any

import django

LISTED = 7  # of each kind: enough for pages of two


def fill() -> None:
    """Fill the instance's database, and print the token it gives to the tester."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "hub.settings"
    django.setup()
    from tests.conformance.external import own_rows

    print(json.dumps({"token": own_rows.write()}))


def moment(number: int) -> datetime:
    """Return the last_updated of the object with this number."""
    return datetime(2026, 1, 10, 8, 0, tzinfo=UTC) + timedelta(hours=number)


def later(document: Any, number: int) -> Any:
    """Return a document with another last_updated."""
    return document | {"last_updated": moment(number).strftime("%Y-%m-%dT%H:%M:%SZ")}
