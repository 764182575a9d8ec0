"""What was counted of a platform, after what waits in memory was written."""

from __future__ import annotations

from ocpi import defects
from ocpi.models import Deviation
from tests.people import Person


def counted(person: Person) -> dict[str, int]:
    """Return how often each kind of deviation was seen, by kind."""
    defects.flush()
    return dict(Deviation.objects.filter(platform_id=person.id).order_by("kind").values_list("kind", "count"))


def example(person: Person, kind: str) -> str:
    """Return where a kind was seen last."""
    defects.flush()
    return Deviation.objects.get(platform_id=person.id, kind=kind).example
