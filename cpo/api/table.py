"""Every URL of the operation API with what it does: the URLs are made of this table, and the OpenAPI document."""

from __future__ import annotations

from dataclasses import dataclass, field

from cpo.api import base, charge_point_views, frame_views, operation_views, tag_views, transaction_views
from cpo.api.schemas import MOMENT, TEXT, Schema

PREFIX = "api/ocpp/v1"


@dataclass(frozen=True, slots=True)
class Query:
    name: str
    about: str
    schema: Schema = field(default_factory=lambda: TEXT)


@dataclass(frozen=True, slots=True)
class Operation:
    """What one method at one URL takes and gives."""

    summary: str
    gives: str  # a schema; empty: nothing
    takes: str = ""
    query: tuple[Query, ...] = ()
    statuses: tuple[int, ...] = (200,)  # of success
    refused: tuple[int, ...] = ()  # beyond 401, 403, 404, 422 and 500
    paged: bool = False
    streams: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class Route:
    path: str  # as Django writes it
    view: type[base.View]
    tag: str
    operations: dict[str, Operation]
    live: bool = False


def _one_of(*values: str) -> Schema:
    return {"type": "string", "enum": list(values)}


_PARTY = Query("party", "only of this tenant, e.g. NL*TNM")
_SECONDS = Query("timeout", "seconds to wait, 120 at most", {"type": "number", "minimum": 0, "maximum": 120})
_DIRECTION = Query("direction", "in: from the charge point", _one_of("in", "out"))
_FRAMES = (_DIRECTION, Query("action", "name of the message"), Query("message_id", "of a CALL and its answer"))
_STREAM_NOTE = (
    "Events `frame` with the id of the frame; ends after `timeout` seconds (60, 300 at most). Come back with "
    "`Last-Event-ID`, as browsers do, to miss nothing."
)
_FORCE_NOTE = (
    "`refs` name records of ours: their wire ids are filled in. A charge point's refusal is a success here. The header "
    "`Idempotency-Key` does what `idempotency_key` does. 202: the frame is on the socket, or the operation waits; "
    "200: it has ended."
)


def _page(usual: str, *others: str) -> tuple[Query, ...]:
    names = [usual.removeprefix("-"), *others]
    orders = [f"{sign}{name}" for name in names for sign in ("", "-")]
    return (
        Query("limit", "items at most", {"type": "integer", "minimum": 0, "maximum": base.MOST, "default": base.USUAL}),
        Query("offset", "items left out", {"type": "integer", "minimum": 0, "default": 0}),
        Query("order", "column; a minus in front: downwards", {**_one_of(*orders), "default": usual}),
    )


ROUTES: tuple[Route, ...] = (
    Route("charge-points", charge_point_views.ChargePoints, "charge points", {
        "get": Operation(
            "List charge points", "ChargePoints", paged=True,
            query=(_PARTY, Query("identity", "part of the identity"), Query("online", "", _one_of("true", "false")),
                   *_page("identity", "created_at", "last_seen_at")),
        ),
        "post": Operation(
            "Add a charge point, or a list of them", "ChargePoint BulkResult", takes="NewChargePoint NewChargePoints",
            statuses=(201,), refused=(409,),
            note="Of a list each is added by itself; the answer says what came of which.",
        ),
    }),
    Route("charge-points/<str:cp>", charge_point_views.OneChargePoint, "charge points", {
        "get": Operation("Read a charge point", "ChargePoint"),
        "put": Operation("Change what is named", "ChargePoint", takes="ChangedChargePoint"),
        "delete": Operation("Remove a charge point that has metered nothing", "", statuses=(204,), refused=(409,)),
    }),
    Route("charge-points/<str:cp>/disconnect", charge_point_views.Disconnect, "charge points", {
        "post": Operation("Close its connection, on whichever node", "Disconnected"),
    }),
    Route("charge-points/<str:cp>/operations", operation_views.Operations, "operations", {
        "get": Operation(
            "List what was asked of it", "Operations", paged=True,
            query=(Query("state", "one or more, commas between"), Query("action", "its name"), *_page("-created_at")),
        ),
        "post": Operation("Ask it for something", "Operation", takes="Ask", statuses=(200, 202), refused=(409, 429),
                          note=_FORCE_NOTE),
    }),
    Route("operations/<uuid:operation>", operation_views.OneOperation, "operations", {
        "get": Operation("Read an operation", "Operation", refused=(429,),
                         query=(Query("wait_for", "waits for its end", _one_of("ended")), _SECONDS)),
        "delete": Operation("Take back an operation that was not sent yet", "Operation", refused=(409,)),
    }),
    Route("charge-points/<str:cp>/reports", operation_views.Reports, "operations", {
        "get": Operation(
            "List its reports", "Reports", paged=True,
            query=(Query("state", "WAITING, PARTIAL, COMPLETE or OVERDUE"), Query("action", "of the parts"),
                   Query("request_id", "", {"type": "integer"}), *_page("-created_at")),
        ),
    }),
    Route("reports/<str:ref>", operation_views.OneReport, "operations", {
        "get": Operation("Read a report with its parts", "WholeReport"),
    }),
    Route("charge-points/<str:cp>/transactions", transaction_views.Transactions, "transactions", {
        "get": Operation(
            "List its transactions", "Transactions", paged=True, refused=(429,),
            query=(Query("state", "", _one_of("open", "closed", "all")), Query("id_tag", "its tag"),
                   Query("connector", "", {"type": "integer"}),
                   Query("wait_for", "waits until there is one", _one_of("open", "closed")), _SECONDS,
                   *_page("-started_at", "stopped_at")),
        ),
    }),
    Route("charge-points/<str:cp>/transactions/close-open", transaction_views.CloseOpen, "transactions", {
        "post": Operation("Close those that are open with a stop of our own", "Closed"),
    }),
    Route("transactions/<str:ref>", transaction_views.OneTransaction, "transactions", {
        "get": Operation("Read a transaction", "Transaction"),
    }),
    Route("charge-points/<str:cp>/reservations", transaction_views.Reservations, "reservations", {
        "get": Operation(
            "List its reservations", "Reservations", paged=True,
            query=(Query("state", "in upper case"), Query("id_tag", "its tag"), *_page("-created_at", "expires_at")),
        ),
    }),
    Route("reservations/<str:ref>", transaction_views.OneReservation, "reservations", {
        "get": Operation("Read a reservation", "Reservation"),
    }),
    Route("charging-profile-templates", tag_views.Templates, "charging profile templates", {
        "get": Operation("List templates", "Templates", paged=True,
                         query=(_PARTY, Query("description", "part of it"), *_page("-created_at", "description"))),
        "post": Operation("Add a template", "Template", takes="NewTemplate", statuses=(201,), refused=(409,)),
    }),
    Route("charging-profile-templates/<str:ref>", tag_views.OneTemplate, "charging profile templates", {
        "get": Operation("Read a template", "Template"),
        "put": Operation("Replace a template", "Template", takes="NewTemplate", refused=(409,)),
        "delete": Operation("Remove a template", "", statuses=(204,)),
    }),
    Route("id-tags", tag_views.IdTags, "id tags", {
        "get": Operation("List id tags of our own", "IdTags", paged=True,
                         query=(_PARTY, Query("id_tag", ""), Query("status", "", _one_of("valid", "blocked")),
                                *_page("-created_at", "id_tag"))),
        "post": Operation("Add an id tag", "IdTag", takes="NewIdTag", statuses=(201,), refused=(409,)),
    }),
    Route("id-tags/<str:id_tag>", tag_views.OneIdTag, "id tags", {
        "get": Operation("Read an id tag", "IdTag", query=(_PARTY,)),
        "put": Operation("Replace what holds for an id tag", "IdTag", takes="ChangedIdTag", query=(_PARTY,)),
        "delete": Operation("Remove an id tag", "", statuses=(204,), query=(_PARTY,)),
    }),
    Route("charge-points/<str:cp>/frames", frame_views.Frames, "frames", {
        "get": Operation(
            "List raw frames", "Frames", paged=True,
            query=(Query("since", "from this moment on", MOMENT), Query("until", "before this moment", MOMENT),
                   *_FRAMES, *_page("-at")),
            note="With `Accept: text/event-stream` it is the live stream.",
        ),
    }),
    Route("charge-points/<str:cp>/frames/stream", frame_views.Frames, "frames", {
        "get": Operation("Watch frames as they come", "", streams=True, refused=(429,), note=_STREAM_NOTE,
                         query=(*_FRAMES, Query("timeout", "seconds", {"type": "number", "minimum": 0, "maximum": 300}),
                                Query("after", "id of the last frame that was seen", {"type": "integer"}))),
    }, live=True),
)  # fmt: skip
