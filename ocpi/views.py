"""OcpiView: what is the same for every OCPI request, settled before any module's code.

Order: ids are read (they go on every answer, errors included), the token is checked, routing headers are read and held
against the caller, then the method runs. A view translates: path and body in, one call to an operation, answer out.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, ClassVar

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request
from rest_framework.views import APIView

from ocpi import (
    authentication,
    defects,
    door,
    envelope,
    exchanges,
    health,
    json_text,
    message_defects,
    ours,
    pull_rows,
    snapshot,
    status,
)
from ocpi.enums import InterfaceRole, ModuleID, Role
from ocpi.headers import Address, Getter, Ids, Received, Routing, read_ids, read_routing, read_sender
from ocpi.outbox_pulled import Reader

ANYBODY: tuple[Role, ...] = ()
METHODS = ("get", "post", "put", "patch", "delete")
MAX_BODY = 1 << 20
MAX_LOCATION_BODY = 4 << 20


class OcpiView(APIView):
    """One OCPI URL. Subclasses define get, post, put, patch, delete as the module has them; the rest is 405."""

    module: ClassVar[ModuleID | None] = None
    interface: ClassVar[InterfaceRole | None] = None
    role: ClassVar[Role | None] = None  # which of our roles answers, where it is not the usual one of the interface
    functional: ClassVar[bool] = True  # configuration modules carry no routing headers (HUB-01)
    purposes: ClassVar[frozenset[str]] = authentication.CURRENT
    max_body: ClassVar[int] = MAX_BODY
    passes_on: ClassVar[bool] = False  # what is asked and answered belongs to others: a hub's views
    # Who may do this; every functional view says it (SEC-32). Roles that own what {country_code}/{party_id} names:
    owners: ClassVar[tuple[Role, ...]] = ()
    # … and roles of the party that asks, ANYBODY if that is decided by what it asks for.
    askers: ClassVar[tuple[Role, ...] | None] = None
    unknown: ClassVar[type[status.UnknownObject]] = status.UnknownObject  # how what is not there is answered

    http_method_names = list(METHODS)
    authentication_classes = ()
    permission_classes = ()

    ids: Ids
    routing: Routing
    caller: authentication.Caller
    owner: Address  # of what the path names, one the caller acts for

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Run one request and put the ids and routing headers on whatever comes out (TRN-058, HUB-09)."""
        started = time.perf_counter()
        self.ids = read_ids(Received(request.META).get)
        self.routing = Routing()
        self._answering = self.refusing_party()
        error = ""
        try:
            answer = self._handle(request, *args, **kwargs)
        except Exception as exc:  # the one exception handler: whatever is raised becomes an envelope
            answer, error = envelope.error(exc), envelope.for_operator(exc)
        for name, value in self.ids.as_headers().items():
            answer.headers[name] = value
        for name, value in self.routing.answered_by(self._answering).as_headers().items():
            answer.headers.setdefault(name, value)
        caller = getattr(self, "caller", None)
        if caller is None and answer.status_code == status.TooManyRequests.http_status:
            return answer  # a flood of strangers is counted, not kept
        exchanges.record_in(
            request=request,
            answer=answer,
            ids=self.ids,
            routing=self.routing,
            platform_id=caller.platform.id if caller else None,
            module=self.module or "",
            elapsed=time.perf_counter() - started,
            error=error,
        )
        return answer

    def _handle(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        get = Received(request.META).get
        self._malformed = self._read_routing(get) if self.functional else None
        peer = request.META.get("REMOTE_ADDR", "")
        self.caller = door.recognize(get, snapshot.current(), peer=peer, purposes=self.purposes)
        door.limit(self.caller)
        with defects.reading(self.caller.platform.id, f"{request.method} {request.path}"):
            defects.noted(self.caller.deviations)
            defects.noted(message_defects.of_request(get, self.ids, request.path, functional=self.functional))
            try:
                return self._answer(request, get, *args, **kwargs)
            except status.InvalidParameters as error:
                defects.noted([message_defects.of_refusal(error)])
                raise

    def _answer(self, request: HttpRequest, get: Getter, *args: Any, **kwargs: Any) -> HttpResponse:
        if self.caller.purpose in authentication.CURRENT:
            health.heard_from(self.caller.platform.id)
        handler = self._handler(request)
        if self._malformed is not None:
            raise self._malformed
        if self.functional:
            self._answering = self.answering_party()
            door.check_asker(self.caller, self.routing.sender, self.askers or ())
        if "country_code" in kwargs:
            self.owner = self.owned_by(Address(kwargs.pop("country_code"), kwargs.pop("party_id")))
        self.request = Request(request)
        answer = handler(self.request, *args, **kwargs)
        if not isinstance(answer, HttpResponse):
            raise TypeError(f"{type(self).__name__} gave {type(answer).__name__}, not an HttpResponse")
        return answer

    def _read_routing(self, get: Getter) -> status.InvalidParameters | None:
        """Read the routing headers before anything is refused, so that every answer has them (HUB-09)."""
        try:
            self.routing = read_routing(get)
        except status.InvalidParameters as error:
            self.routing = Routing(sender=read_sender(get))
            return error
        return None

    def _handler(self, request: HttpRequest) -> Callable[..., HttpResponseBase]:
        name = (request.method or "").lower()
        handler = getattr(self, name, None) if name in METHODS else None
        if handler is None:
            allowed = [method.upper() for method in METHODS if hasattr(self, method)]
            raise status.MethodNotAllowed(
                f"{request.method} is not available here", headers={"Allow": ", ".join(allowed)}
            )
        return handler  # type: ignore[no-any-return]

    def refusing_party(self) -> Address | None:
        """Return who refuses what comes to no party of ours; None leaves it to the addresses (HUB-08)."""
        return None

    def answering_party(self) -> Address | None:
        """Return which of our parties answers: the one addressed, else the only one of the role (HUB-07).

        :raises UnknownObject: if the addressed party is not ours.
        :raises InvalidParameters: if nobody is addressed and we have several.
        """
        if self.module is None or self.interface is None:
            return self.routing.to
        candidates = ours.addresses(self.role or ours.role_for(self.module, self.interface))
        if self.routing.to is None:
            if len(candidates) > 1:
                raise status.InvalidParameters("OCPI-to-party-id", "is required: this platform has several parties")
            return candidates[0] if candidates else None
        for candidate in candidates:
            if candidate.key == self.routing.to.key:
                return candidate
        raise status.InvalidParameters("OCPI-to-party-id", f"{self.routing.to} is not a party of this platform")

    @property
    def receiver(self) -> Address:
        """Return our party this request is for."""
        if self._answering is None:
            raise status.InvalidParameters("OCPI-to-party-id", "names no party of this platform")
        return self._answering

    @property
    def reader(self) -> Reader:
        """Return who reads a list of ours."""
        return Reader.of(self.caller.platform, self.routing.sender)

    def sender_party(self, *roles: str) -> Address:
        """Return the caller's party this request comes from: the From, else its only party (HUB-06).

        :raises InvalidParameters: if there is no From and the caller has several parties, or none in these roles.
        """
        if self.routing.sender is not None:
            return self.routing.sender
        found = {
            party.address.key: party.address
            for party in self.caller.platform.parties
            if party.active and not party.through_hub and (not roles or party.role in roles)
        }
        if len(found) != 1:
            raise status.InvalidParameters(
                "OCPI-from-party-id", "is required: the calling platform has several parties"
            )
        return next(iter(found.values()))

    def may_own(self, address: Address) -> bool:
        """Say whether the caller may speak of what an address owns; behind a hub, each of its own (TRN-046, SEC-35)."""
        behind = authentication.behind(self.caller.platform, self.routing.sender)
        if behind is not None and behind.key != address.key:
            return False
        return authentication.acts_for(self.caller.platform, address, *self.owners)

    def owned_by(self, address: Address) -> Address:
        """Return the owner of what is asked for, if the caller may act for it.

        :raises UnknownObject: otherwise; the answer is the same as for an object that does not exist (SEC-39).
        """
        if not self.may_own(address):
            platform = self.caller.platform
            if platform.is_hub and not platform.has_party(address):
                defects.noted(["PIT-78 for a party that its ClientInfo does not name"])
                pull_rows.ask_in_doubt(platform.id, ModuleID.hubclientinfo)
            raise self.unknown
        return address

    def body(self) -> bytes:
        """Return the request body: well-formed JSON, read strictly (TRN-016, TRN-018, TRN-019, SEC-46).

        :raises UnsupportedMediaType: if it is declared to be something else, or is compressed.
        :raises NotJson: if it is not JSON or too large.
        """
        return read_body(self.request._request, limit=self.max_body)

    def url(self, path: str = "") -> str:
        """Return an absolute URL of ours; the host comes from a setting (VER-23)."""
        return f"{settings.OCPI_BASE_URL}{path or self.request.path}"


def read_body(request: HttpRequest, *, limit: int) -> bytes:
    """Return the body of a request, read strictly.

    :raises UnsupportedMediaType: if it is declared to be something else, or is compressed.
    :raises NotJson: if it is not JSON or too large.
    """
    check_encoding(Received(request.META).get)
    return json_text.read(json_text.without_mark(request.body), limit=limit)


def check_encoding(get: Getter) -> None:
    """Refuse a body that is declared to be anything but plain JSON.

    :raises UnsupportedMediaType: if it is declared to be something else, or is compressed.
    """
    content_type = (get("Content-Type") or "").partition(";")[0].strip().lower()
    if not content_type:
        defects.noted(["TRN-016 Content-Type missing"])
    elif content_type != "application/json":
        raise status.UnsupportedMediaType("The body must be application/json")
    if (get("Content-Encoding") or "identity").lower() != "identity":
        raise status.UnsupportedMediaType("The body must not be compressed")


class UnknownPath(OcpiView):
    """Everything below /ocpi/ that is no endpoint: 401 without a token, 404 with one."""

    functional = False  # no module, no scope: it only says that there is nothing

    def _handle(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        self._read_routing(Received(request.META).get)  # whatever module was meant
        if self.routing.to or self.routing.sender:
            self._answering = next(iter(ours.addresses(Role.HUB)), None)  # who was meant has not answered (HUB-08)
        return super()._handle(request, *args, **kwargs)

    def _nothing(self, _request: Request, **_kwargs: str) -> HttpResponse:
        raise status.UnknownObject

    get = post = put = patch = delete = _nothing
