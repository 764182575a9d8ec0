"""The page of a message: its way through this platform as a picture, its legs and its deliveries as tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.urls import reverse

from ocpi import exchange_message, exchange_picture, ours
from ocpi.admin_pages import badge, without_keys
from ocpi.exchange_message import Message, failed
from ocpi.exchange_picture import Leg, Waiting
from ocpi.models import Delivery, Exchange, FinishedDelivery

_LONGEST = 31  # characters above an arrow
_TONES = {"DELIVERED": "good", "PENDING": "busy", "REFUSED": "bad", "DEAD": "bad"}


def context(message: Message, *, current: int = 0) -> dict[str, Any]:
    """Return what `admin/message_picture.html` draws of a message."""
    legs = [_leg(row, message) for row in message.rows]
    waiting = [_waiting(row) for row in message.waiting or ()]
    return {
        "message": message,
        "picture": exchange_picture.draw(
            legs,
            waiting,
            us=settings.OCPI_BUSINESS_NAME,
            our_party=", ".join(str(address) for address in ours.addresses()[:2]),
            current=current,
        ),
        "legs": [_row(number, row, message, current) for number, row in enumerate(message.rows, 1)],
        "deliveries": [*map(_delivery, message.waiting or ()), *map(_delivery, message.finished)],
        "facts": _facts(message, legs),
        "most": exchange_message.MOST_LEGS,
    }


def what(row: Exchange, most: int = 120) -> str:
    """Return what an exchange was about, in a few words."""
    return without_keys(f"{row.module}/{row.object_path}" if row.object_path else (row.module or row.url))[:most]


def outcome(row: Exchange) -> str:
    """Return how an exchange ended as a label: HTTP status and OCPI status code, or the error."""
    return badge(_answer(row), "bad" if failed(row) else "good")


def _answer(row: Exchange) -> str:
    if row.http_status is None:
        return row.error.partition(":")[0] or "no answer"
    return f"{row.http_status} / {row.status_code}" if row.status_code else str(row.http_status)


def _leg(row: Exchange, message: Message) -> Leg:
    outgoing = row.direction == Exchange.Direction.OUT
    about = f"{row.method} {what(row)}"
    return Leg(
        key=row.pk,
        at=row.at,
        who=_name(row),
        party=row.to_party if outgoing else row.from_party,
        outgoing=outgoing,
        what=about if len(about) <= _LONGEST else f"{about[: _LONGEST - 1]}…",
        answer=_answer(row),
        reason=without_keys(message.reasons.get(row.pk, ""))[:90],
        good=not failed(row),
        answered=row.http_status is not None,
        milliseconds=row.milliseconds,
        url=reverse("admin:ocpi_exchange_change", args=[row.pk]),
    )


def _waiting(row: Delivery) -> Waiting:
    about = without_keys(f"{row.module}/{row.path}" if row.path else row.module)
    return Waiting(
        who=row.platform.name,
        party=_party(row),
        what=about if len(about) <= _LONGEST else f"{about[: _LONGEST - 1]}…",
        state=row.state,
        url=reverse("admin:ocpi_delivery_change", args=[row.pk]),
    )


def _row(number: int, row: Exchange, message: Message, current: int) -> dict[str, Any]:
    us, other = settings.OCPI_BUSINESS_NAME, _name(row)
    source, target = (us, other) if row.direction == Exchange.Direction.OUT else (other, us)
    parties = f"{row.from_party or '–'} → {row.to_party or '–'}" if row.from_party or row.to_party else ""
    return {
        "number": number,
        "url": reverse("admin:ocpi_exchange_change", args=[row.pk]),
        "at": row.at,
        "offset_ms": (row.at - message.rows[0].at).total_seconds() * 1000,
        "source": source,
        "target": target,
        "parties": parties,
        "request": without_keys(f"{row.method} {row.url}"),
        "outcome": outcome(row),
        "reason": without_keys(message.reasons.get(row.pk, ""))[:300],
        "milliseconds": row.milliseconds,
        "current": row.pk == current,
    }


def _delivery(row: Delivery | FinishedDelivery) -> dict[str, Any]:
    name = str(row._meta.model_name)
    codes = " / ".join(str(code) for code in (row.http_status, row.status_code) if code)
    return {
        "url": reverse(f"admin:ocpi_{name}_change", args=[row.pk]),
        "platform": row.platform.name,
        "party": _party(row),
        "object": without_keys(f"{row.module} {row.path or row.url}"),
        "state": badge(row.state, _TONES.get(row.state, "odd")),
        "attempts": row.attempts,
        "at": row.finished_at if isinstance(row, FinishedDelivery) else row.due_at,
        "when": "ended" if isinstance(row, FinishedDelivery) else "due",
        "answer": codes,
        "error": without_keys(row.error)[:300],
    }


def _facts(message: Message, legs: Sequence[Leg]) -> list[tuple[str, str]]:
    """Return figures about a message, each with what it counts."""
    sent = [leg for leg in legs if leg.outgoing]
    asked = len({leg.who for leg in sent})
    states = Counter(row.state.lower() for row in (*(message.waiting or ()), *message.finished))
    facts = [
        (str(len(legs) - len(sent)), "came in"),
        (str(len(sent)), "went out"),
        (str(asked), "platform asked" if asked == 1 else "platforms asked"),
        (str(sum(not leg.good for leg in legs)), "failed"),
        *((str(count), name) for name, count in sorted(states.items())),
    ]
    if legs:
        passed = (max(leg.until for leg in legs) - legs[0].at).total_seconds()
        facts.append((f"{passed * 1000:,.0f} ms" if passed < 10 else f"{passed:,.1f} s", "from first to last"))
    return facts


def _party(row: Delivery | FinishedDelivery) -> str:
    return f"{row.to_country_code}*{row.to_party_id}" if row.to_country_code else ""


def _name(row: Exchange) -> str:
    return row.platform.name if row.platform else "a stranger"
