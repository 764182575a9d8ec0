"""What all views of the operation API share: who calls, the body, and how an answer or a refusal is written."""

from __future__ import annotations

import logging
import re
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any, ClassVar
from uuid import UUID

import fastjsonschema
import msgspec
from django.http import HttpResponse, HttpResponseBase
from django.http.request import RawPostDataException, UnreadablePostError
from django.utils.dateparse import parse_datetime
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.views import APIView

from cpo.api import principals, schemas
from cpo.api.errors import Invalid, MethodNotAllowed, NotFound, NotJson, Refusal, Unauthenticated, Unavailable
from cpo.api.principals import AdminSession, Bearer, Principal
from cpo.models import ChargePoint
from ocpi import database_trouble

log = logging.getLogger(__name__)

MOST, USUAL = 500, 50  # items of a list
_DEEPEST = 64  # levels of a body
_NUL = "\x00"  # PostgreSQL's texts have no place for it
_LARGEST = 2 << 20  # bytes of a body: a local list may be long
_numbers = msgspec.json.Decoder(float_hook=Decimal)
_encoder = msgspec.json.Encoder(decimal_format="number", enc_hook=str)


class View(APIView):
    """One URL of the operation API; `scopes` says which right each method needs."""

    authentication_classes = [Bearer, AdminSession]
    permission_classes = []
    scopes: ClassVar[dict[str, str]] = {}

    @property
    def caller(self) -> Principal:
        return principals.of(self.request)

    def initial(self, request: Request, *arguments: Any, **names: Any) -> None:
        method = str(request.method).lower()
        if not hasattr(self, method):
            raise MethodNotAllowed(f"{request.method} does nothing here")
        principals.of(request).need(self.scopes.get(method, principals.READ if method == "get" else principals.MANAGE))
        if any(_NUL in str(part) for part in names.values()):
            raise NotFound("there is nothing at this URL")

    def handle_exception(self, error: Exception) -> HttpResponse:  # type: ignore[override]  # never rendered by type
        if isinstance(error, Refusal):
            return refused(error)
        if isinstance(error, exceptions.MethodNotAllowed):
            return refused(MethodNotAllowed(f"{self.request.method} does nothing here"))
        if database_trouble.passes(error):
            log.error("operation API: the database cannot do it now: %s", database_trouble.words(error))
            told = Unavailable("temporarily unavailable, please try again")
            return answer(told.body(), http_status=told.http_status, headers=database_trouble.retry_after(error))
        # An edge: nothing of ours is shown to a stranger.
        log.exception("operation API: %s %s", self.request.method, self.request.path)
        return answer({"error": "INTERNAL", "message": "this went wrong on our side"}, http_status=500)

    def finalize_response(  # type: ignore[override]  # as above
        self, request: Request, response: HttpResponseBase, *arguments: Any, **names: Any
    ) -> HttpResponseBase:
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    def perform_content_negotiation(self, request: Request, force: bool = False) -> tuple[Any, str]:
        return None, "application/json"

    def body(self, schema: str) -> Any:
        """Return the body, checked; its decimals are as they were written, members that are null are left out.

        :raises NotJson: if it is no JSON.
        :raises Invalid: if it breaks its schema.
        """
        found = read_json(self._raw())
        if _deeper(found, _DEEPEST):
            raise Invalid(f"the body is nested deeper than {_DEEPEST} levels", field="body", rule="depth")
        if isinstance(found, dict):
            found = {name: value for name, value in found.items() if value is not None}
        check(schema, found)
        _check_texts(found)
        return found

    def _raw(self) -> bytes:
        try:
            raw = self.request._request.body
        except (UnreadablePostError, RawPostDataException) as error:
            raise NotJson("the body cannot be read") from error
        if len(raw) > _LARGEST:
            raise Invalid(f"the body is longer than {_LARGEST} bytes")
        return raw

    def charge_point(self, identity: str) -> ChargePoint:
        """Return a charge point that the caller may see.

        :raises NotFound: for all others, as if they were not there.
        """
        row = ChargePoint.objects.filter(identity__iexact=identity).first()
        if row is None or not self.caller.sees(row.country_code, row.party_id):
            raise NotFound(f"there is no charge point {identity}")
        return row

    def query(self, *names: str) -> dict[str, str]:
        """Return these parameters of the query.

        :raises Invalid: if there are others.
        """
        given = {name: str(value) for name, value in self.request.query_params.items()}
        for name in given:
            if name not in names:
                raise Invalid(f"{name}: is none of {', '.join(names) or 'no parameters'}", field=name, rule="unknown")
        _check_texts(given)
        return given


def answer(data: Any, *, http_status: int = 200, headers: dict[str, str] | None = None) -> HttpResponse:
    """Write an answer; decimals stay the numbers they are, moments are RFC 3339 in UTC."""
    text = b"" if http_status == 204 else _encoder.encode(plain(data))
    return HttpResponse(text, status=http_status, content_type="application/json", headers=headers)


def refused(refusal: Refusal) -> HttpResponse:
    headers = {"WWW-Authenticate": 'Bearer realm="ocpp"'} if isinstance(refusal, Unauthenticated) else {}
    if refusal.http_status == 429:
        headers["Retry-After"] = "5"
    return answer(refusal.body(), http_status=refusal.http_status, headers=headers)


def plain(value: Any) -> Any:
    """Return what JSON can hold of a value."""
    if isinstance(value, dict):
        return {name: plain(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [plain(member) for member in value]
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return str(value) if isinstance(value, UUID) else value


def number(value: Decimal | None) -> int | Decimal | None:
    """Return a decimal of the database without the zeros behind its point."""
    if value is None:
        return None
    return int(value) if value == value.to_integral_value() else value.normalize()


def read_json(raw: bytes) -> Any:
    try:
        return _numbers.decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise NotJson(f"the body is no JSON: {error}"[:200]) from error


def _deeper(value: Any, most: int) -> bool:
    """Say whether a document has more levels than these."""
    level = [value]
    for _ in range(most):
        level = [
            member
            for each in level
            for member in (each.values() if isinstance(each, dict) else each if isinstance(each, list) else ())
        ]
        if not level:
            return False
    return True


def _check_texts(value: Any, path: tuple[str, ...] = ()) -> None:
    """Refuse a NUL anywhere but in a payload, which goes to the charge point as it is.

    :raises Invalid: naming the field.
    """
    if isinstance(value, str) and _NUL in value:
        field = ".".join(path) or "body"
        raise Invalid(f"{field}: must not hold the character NUL", field=field, rule="characters")
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, member in members:
        if path or name != "payload":
            _check_texts(member, (*path, str(name)))


@cache
def _compiled(schema: str) -> Any:
    whole = {"$ref": f"#/components/schemas/{schema}", "components": {"schemas": schemas.SCHEMAS}}
    return fastjsonschema.compile(whole, use_default=False, use_formats=False, detailed_exceptions=True)


def check(schema: str, value: Any) -> None:
    """Hold a value against a schema of the API.

    :raises Invalid: naming the field and the rule.
    """
    try:
        _compiled(schema)(_floats(value))
    except fastjsonschema.JsonSchemaValueException as error:
        field = ".".join(str(part) for part in error.path[1:]) or "body"
        told = error.message.replace("data.", "", 1) if error.message.startswith("data.") else error.message
        if error.rule == "required" and (names := missing(error.message)):
            field = ".".join((*(str(part) for part in error.path[1:]), names[0]))
            told = f"{field}: must be there"
        if error.rule == "additionalProperties":
            known = set((error.definition or {}).get("properties", {}))
            extra = sorted(set(error.value) - known) if isinstance(error.value, dict) else []
            field = ".".join(filter(None, (*(str(part) for part in error.path[1:]), *extra[:1])))
            told = f"{field}: unknown field"
        raise Invalid(told[:300], field=field, rule=str(error.rule)) from error


def missing(message: str) -> list[str]:
    """Return the members that a check says are missing."""
    _, _, told = message.partition("must contain [")
    return re.findall(r"'(\w+)'", told)


def _floats(value: Any) -> Any:
    # The compiled checks know numbers, not Decimals.
    if isinstance(value, dict):
        return {name: _floats(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_floats(member) for member in value]
    return float(value) if isinstance(value, Decimal) else value


def moment(text: str, field: str) -> datetime:
    """Read a moment; without a zone it is UTC.

    :raises Invalid: if it is none.
    """
    try:
        found = parse_datetime(text.replace(" ", "+") if " " in text and "T" in text else text)
        if found is not None:
            # Before the first year or after the last one of UTC there is nothing that could be stored.
            return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        pass
    raise Invalid(f"{field}: must be a moment such as 2026-01-31T12:00:00Z", field=field, rule="date-time")


def whole(text: str, field: str, *, least: int = 0, most: int) -> int:
    """Read a number of a query.

    :raises Invalid: if it is none, or out of its range.
    """
    if not text.isascii() or not text.isdigit() or len(text) > 12 or not least <= int(text) <= most:
        raise Invalid(f"{field}: must be a whole number from {least} to {most}", field=field, rule="range")
    return int(text)


def chosen(text: str, field: str, values: tuple[str, ...]) -> str:
    """Read a word of a query.

    :raises Invalid: if it is none of these.
    """
    if text not in values:
        raise Invalid(f"{field}: must be one of {', '.join(values)}", field=field, rule="enum")
    return text
