"""Sending again what an exchange is about: as the current object where there is a delivery, otherwise the very request.

What came in is never carried out in its sender's name: we do not have its token, and it did not ask. What it led to
can be sent again. A command, or a charging profile, is only repeated by somebody who says why: a charge
point may do it twice. A body that is masked, cut or gone cannot be sent at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from django.conf import settings

from ocpi import client, delivery_actions, exchange_curl, exchanges, snapshot
from ocpi.exchange_objects import is_result
from ocpi.headers import CORRELATION_ID, REQUEST_ID, Routing, new_id, read_routing
from ocpi.models import Delivery, Exchange, FinishedDelivery

_EXECUTED = frozenset(("commands", "chargingprofiles"))
_NEVER = {"credentials": "credentials are only exchanged by registering or renewing"}
_MOST_DELIVERIES = 1_000


class CannotReplay(Exception):
    """It makes no sense to send this again, or cannot be done; says why."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be done."""

    does: str  # a sentence
    warning: str = ""
    executes: bool = False  # somebody has to say why
    waiting: Sequence[int] = ()
    finished: Sequence[int] = ()
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def is_request(self) -> bool:
        return not self.waiting and not self.finished


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of it."""

    words: str
    request_id: str = ""  # of the request that was sent at once; a delivery goes out on its own


def plan(row: Exchange) -> Plan:
    """Return how an exchange is sent again.

    :raises CannotReplay: if it is not.
    """
    if row.module in _NEVER:
        raise CannotReplay(_NEVER[row.module])
    if is_result(row.module, row.method, row.url, row.request_body.encode()):
        raise CannotReplay("a result is given once; a delivery that has not been confirmed is sent by itself")
    waiting, finished = _deliveries(row)
    if waiting or finished:
        return Plan(
            does=f"{len(waiting) + len(finished)} deliveries go out again, each as its object is now.",
            warning="A receiver that has it already gets it once more; for a CDR that is no second CDR.",
            waiting=waiting,
            finished=finished,
        )
    if row.direction == Exchange.Direction.IN:
        raise CannotReplay(
            "what came in is not carried out again in its sender's name; of what went out because of it, "
            "no delivery is left: look at the picture for the requests, which can be sent again one by one"
        )
    return _request(row)


def replay(row: Exchange, planned: Plan) -> Replayed:
    """Do what was planned.

    :raises CannotReplay: if the platform can no longer be asked.
    """
    if not planned.is_request:
        sent = delivery_actions.send_again(planned.waiting) + delivery_actions.send_finished_again(planned.finished)
        return Replayed(f"{sent} deliveries are on their way.")
    platform = snapshot.current().platforms.get(row.platform_id or 0)
    if platform is None or platform.state != "REGISTERED":
        raise CannotReplay("the platform is not registered any more")
    request_id = new_id()
    headers = {**planned.headers, REQUEST_ID: request_id}
    result: client.Answer | client.ClientError
    try:
        result = client.send(
            platform.target(),
            row.method,
            row.url,
            body=row.request_body.encode() or None,
            headers=headers,
            timeout=settings.OCPI_REQUEST_TIMEOUT,
        )
    except client.ClientError as error:
        result = error
    exchanges.record_out(result, platform_id=row.platform_id, module=row.module, routing=_routing(row))
    exchanges.flush()
    if isinstance(result, client.ClientError):
        return Replayed(f"It was sent, and failed: {type(result).__name__}: {result}.", request_id)
    return Replayed(f"It was sent, and answered HTTP {result.http_status}, {result.status_code}.", request_id)


def _request(row: Exchange) -> Plan:
    if row.platform_id is None:
        raise CannotReplay("nobody knows which platform it went to")
    if incomplete := exchange_curl.why_incomplete(row):
        raise CannotReplay(f"its body cannot be sent: {incomplete}")
    headers = _routing(row).as_headers() | {CORRELATION_ID: row.correlation_id or new_id()}
    does = f"The same {row.method} goes to {row.platform} at once, with a new X-Request-ID."
    if row.module in _EXECUTED and row.method != "GET":
        warning = "It may be carried out a second time, at a charge point. Its result goes to the URL it names."
        return Plan(does, warning, executes=True, headers=headers)
    if row.method in ("PUT", "PATCH", "DELETE"):
        warning = "It is what was sent then, not what is known now: the receiver may have had something newer since."
        return Plan(does, warning, headers=headers)
    if row.method == "POST" and row.module not in ("cdrs", "tokens"):
        raise CannotReplay(f"a POST to {row.module or 'this URL'} may do the same twice")
    return Plan(does, headers=headers)


def _routing(row: Exchange) -> Routing:
    known = {name.lower(): value for name, value in exchange_curl.headers(row.request_headers)}
    return read_routing(lambda name: known.get(name.lower()))


def _deliveries(row: Exchange) -> tuple[list[int], list[int]]:
    """Return the deliveries that an exchange was a try of, or that came of what it brought: (waiting, finished)."""
    if not row.correlation_id or row.method == "GET":
        return [], []
    found: list[list[int]] = []
    for model in (Delivery, FinishedDelivery):
        rows = model._default_manager.filter(correlation_id=row.correlation_id, module=row.module)
        rows = rows.exclude(kind="RESULT")
        if row.direction == Exchange.Direction.OUT:
            rows = rows.filter(platform_id=row.platform_id or 0, path=row.object_path)
            if row.to_party:
                country_code, _, party_id = row.to_party.partition("*")
                rows = rows.filter(to_country_code__iexact=country_code, to_party_id__iexact=party_id)
        found.append(list(rows.order_by("id").values_list("pk", flat=True)[:_MOST_DELIVERIES]))
    return found[0], found[1]
