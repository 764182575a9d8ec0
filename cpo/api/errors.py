"""What the operation API says when it refuses: a code for programs, a sentence for people, and the field."""

from __future__ import annotations

from typing import Any


class Refusal(Exception):
    """A request that is not done; subclasses fix HTTP status and code."""

    http_status = 400
    code = "BAD_REQUEST"

    def __init__(self, message: str, *, field: str | None = None, rule: str | None = None, **more: Any) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.rule = rule
        self.more = more

    def body(self) -> dict[str, Any]:
        told = {"error": self.code, "message": self.message, "field": self.field, "rule": self.rule}
        return {name: value for name, value in {**told, **self.more}.items() if value is not None}


class NotJson(Refusal):
    http_status, code = 400, "INVALID_JSON"


class Unauthenticated(Refusal):
    http_status, code = 401, "UNAUTHENTICATED"


class Forbidden(Refusal):
    http_status, code = 403, "FORBIDDEN"


class NotFound(Refusal):
    http_status, code = 404, "NOT_FOUND"


class MethodNotAllowed(Refusal):
    http_status, code = 405, "METHOD_NOT_ALLOWED"


class Offline(Refusal):
    """The charge point has no connection, and the operation does not wait for one (OCPP-80)."""

    http_status, code = 409, "OFFLINE"


class ProtocolMismatch(Refusal):
    http_status, code = 409, "PROTOCOL_MISMATCH"


class NotSent(Refusal):
    """The operation was taken back or ran out of time before it was sent."""

    http_status, code = 409, "NOT_SENT"


class Conflict(Refusal):
    http_status, code = 409, "CONFLICT"


class Invalid(Refusal):
    """A body or query that breaks its schema, or a payload that breaks its action's."""

    http_status, code = 422, "INVALID"


class UnknownAction(Refusal):
    http_status, code = 422, "UNKNOWN_ACTION"


class UnknownRef(Refusal):
    """A ref that names no record of this charge point."""

    http_status, code = 422, "UNKNOWN_REF"


class UnknownPlace(Refusal):
    """A connector, EVSE, reservation or profile we do not know; `force` sends it all the same (OCPP-82)."""

    http_status, code = 422, "UNKNOWN_ID"


class QueueFull(Refusal):
    http_status, code = 429, "QUEUE_FULL"


class Unavailable(Refusal):
    """The database cannot do it now."""

    http_status, code = 503, "UNAVAILABLE"


class TooManyWaiting(Refusal):
    """All places for requests that wait are taken."""

    http_status, code = 429, "TOO_MANY_WAITING"
