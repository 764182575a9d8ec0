"""What the demo says of its own speed: a change belongs to the notification that caused it, or to none."""

from __future__ import annotations

from typing import Any

import pytest

from hub.demo import report


def events(*given: tuple[float, str]) -> list[dict[str, Any]]:
    return [{"evse": "E1", "at": at, "status": status} for at, status in given]


@pytest.mark.parametrize(
    ("sent", "commits", "expected"),
    [
        ([(1, "A"), (5, "C")], [(1.5, "A"), (5.25, "C")], [500, 250]),
        # Both were on their way at once.
        ([(1, "A"), (2, "C")], [(3, "A"), (4, "C")], [2000, 2000]),
        # A transaction's end frees the EVSE, and the charge point says so afterwards.
        ([(1, "A"), (5, "C"), (9.5, "A"), (20, "C")], [(1.5, "A"), (5.5, "C"), (9, "A"), (20.5, "C"), (30, "A")],
         [500, 500, 500]),
        # What is repeated causes nothing.
        ([(1, "A"), (4, "A"), (5, "C")], [(1.5, "A"), (5.5, "C"), (9, "A")], [500, 500]),
        ([(5, "C")], [(4, "C")], []),
    ],
)  # fmt: skip
def test_a_change_belongs_to_the_last_notification_that_can_have_caused_it(
    sent: list[tuple[float, str]], commits: list[tuple[float, str]], expected: list[float]
) -> None:
    found = report.status_latencies(events(*sent), events(*commits))

    assert found == pytest.approx(expected)


def test_what_is_said_of_another_evse_causes_nothing() -> None:
    sent = [{"evse": "E2", "at": 1.0, "status": "A"}]

    assert report.status_latencies(sent, events((2, "A"))) == []
