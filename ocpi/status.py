"""OCPI status codes: one exception class per code, rendered in one place (`ocpi/envelope.py`)."""

from collections.abc import Mapping
from typing import ClassVar

SUCCESS = 1000


class OcpiError(Exception):
    """Something that is answered with an OCPI status code other than 1000."""

    status_code: ClassVar[int] = 3000
    http_status: ClassVar[int] = 500
    default_message: ClassVar[str] = "Server error"

    def __init__(
        self,
        message: str = "",
        *,
        field: str | None = None,
        data: str | bytes | None = None,
        headers: Mapping[str, str] | None = None,
        for_operator: str = "",
    ) -> None:
        """`data` is JSON text for the envelope; `headers` are HTTP headers of the answer, such as Allow.

        `for_operator` is what only our operator is to know: it stands in the exchange and in no answer.
        """
        self.message = message or self.default_message
        self.field = field
        self.data = data
        self.headers = headers
        self.for_operator = for_operator
        super().__init__(self.message)


class GenericClientError(OcpiError):
    status_code = 2000
    http_status = 200
    default_message = "Client error"


class UnknownObject(OcpiError):
    """GET, PATCH or DELETE of an object that is not there, or not the caller's: nobody can tell which (SEC-39)."""

    status_code = 2000
    http_status = 404
    default_message = "There is nothing at this URL"


class UnknownLocationObject(UnknownObject):
    status_code = 2003


class UnknownTokenObject(UnknownObject):
    status_code = 2004


class InvalidParameters(OcpiError):
    """A field or a parameter breaks a rule; the message names both."""

    status_code = 2001
    http_status = 200
    default_message = "Invalid or missing parameters"

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}" if field else rule, field=field or None)
        self.rule = rule
        # What the class was called with, so that a copy or a pickle of the exception says the same.
        self.args = (field, rule)

    def __str__(self) -> str:
        return self.message


class NotCapable(OcpiError):
    """An EVSE is asked for something that it cannot do: an exception to the rule that 2001 comes with HTTP 200."""

    status_code = 2001
    http_status = 404
    default_message = "The EVSE is not capable of this"


class NotEnoughInformation(OcpiError):
    status_code = 2002
    http_status = 200
    default_message = "Not enough information"


class UnknownLocation(OcpiError):
    """A command or a query names a Location, EVSE or Connector we do not know."""

    status_code = 2003
    http_status = 200
    default_message = "Unknown Location"


class UnknownToken(OcpiError):
    """A command or a query names a Token we do not know."""

    status_code = 2004
    http_status = 200
    default_message = "Unknown Token"


class ServerError(OcpiError):
    status_code = 3000
    http_status = 500
    default_message = "Server error"


class ClientApiUnusable(OcpiError):
    status_code = 3001
    http_status = 200
    default_message = "Unable to use the client's API"


class UnsupportedVersion(OcpiError):
    status_code = 3002
    http_status = 200
    default_message = "Unsupported version"


class NoMatchingEndpoints(OcpiError):
    status_code = 3003
    http_status = 200
    default_message = "No matching endpoints or expected endpoints missing"


class HubError(OcpiError):
    status_code = 4000
    http_status = 200
    default_message = "Hub error"


class UnknownReceiver(OcpiError):
    status_code = 4001
    http_status = 200
    default_message = "Unknown receiver"


class ReceiverTimeout(OcpiError):
    status_code = 4002
    http_status = 200
    default_message = "Timeout on forwarded request"


class ReceiverUnreachable(OcpiError):
    status_code = 4003
    http_status = 200
    default_message = "Connection problem: the receiving party is not connected"


class NotJson(OcpiError):
    """A body that is no JSON as we accept it."""

    status_code = 2000
    http_status = 400
    default_message = "The body is not valid JSON"


class AuthenticationFailed(OcpiError):
    status_code = 2000
    http_status = 401
    default_message = "Unknown or missing credentials token"


class MethodNotAllowed(OcpiError):
    status_code = 2000
    http_status = 405
    default_message = "Method not allowed"


class TooManyRequests(OcpiError):
    status_code = 2000
    http_status = 429
    default_message = "Too many requests"


class UnsupportedMediaType(OcpiError):
    status_code = 2000
    http_status = 415
    default_message = "Unsupported media type or content encoding"
