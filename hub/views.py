"""RouteView: every functional module, both interfaces, one view. It knows headers and paths, never a document."""

from __future__ import annotations

import time
from typing import Any

from django.http import HttpRequest, HttpResponse

from hub import (
    callbacks,
    fanout,
    forwarding,
    open_routing,
    returning,
    roles,
    shared_lists,
)
from hub.routing import Asked, Broadcast, Direct, GetAll, NeedsLookup, check_content, decide
from ocpi import authentication, defects, door, envelope, exchanges, health, message_defects, ours, snapshot, status
from ocpi.headers import Address, Received, Routing, read_ids, read_routing, read_sender
from ocpi.views import MAX_BODY, MAX_LOCATION_BODY, OcpiView, read_body

_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})


class RouteView(OcpiView):
    """One interface of one module at the hub. `tail` is what follows the endpoint's URL."""

    passes_on = True

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Route one request. Written out, and not on top of DRF: this is the path whose cost counts."""
        started = time.perf_counter()
        get = Received(request.META).get
        ids = read_ids(get)
        routing, caller, error = Routing(), None, ""
        try:
            registry = snapshot.current()
            routing = Routing(sender=read_sender(get))  # so that a refusal says whom it is for (HUB-09)
            caller = door.recognize(get, registry, peer=request.META.get("REMOTE_ADDR", ""))
            health.heard_from(caller.platform.id)
            with defects.reading(caller.platform.id, f"{request.method} {request.path}"):
                defects.noted(caller.deviations)
                defects.noted(message_defects.of_request(get, ids, request.path, functional=True))
                try:
                    try:
                        routing = read_routing(get)
                    finally:
                        door.limit(caller)
                    answer = self._route(request, tuple(kwargs.values()), routing, caller, registry, ids)
                except status.InvalidParameters as invalid:
                    defects.noted([message_defects.of_refusal(invalid)])
                    raise
        except Exception as exc:  # the one exception handler; what we did not expect is 4000 at a hub
            answer, error = envelope.error(exc, unexpected=status.HubError), envelope.for_operator(exc)
        for name, value in ids.as_headers().items():
            answer.headers[name] = value
        for name, value in routing.answered_by(_hub()).as_headers().items():
            answer.headers.setdefault(name, value)
        if caller is None and answer.status_code == status.TooManyRequests.http_status:
            return answer  # a flood of strangers is counted, not kept
        exchanges.record_in(
            request=request,
            answer=answer,
            ids=ids,
            routing=routing,
            platform_id=caller.platform.id if caller else None,
            module=self.module or "",
            elapsed=time.perf_counter() - started,
            error=error,
        )
        return answer

    def _route(
        self,
        request: HttpRequest,
        tail: tuple[str, ...],
        routing: Routing,
        caller: authentication.Caller,
        registry: snapshot.Snapshot,
        ids: Any,
    ) -> HttpResponse:
        method = request.method or ""
        if method not in _METHODS:
            there_are = roles.METHODS[(str(self.module), str(self.interface))]
            raise status.MethodNotAllowed(f"{method} is not available here", headers={"Allow": ", ".join(there_are)})
        limit = MAX_LOCATION_BODY if self.module == "locations" else MAX_BODY
        # A POST may come without a body: the LocationReferences of an authorize are optional (TOK-02).
        has_body = method in ("PUT", "PATCH") or (method == "POST" and bool(request.body))
        body = read_body(request, limit=limit) if has_body else b""
        asked = Asked(str(self.module), str(self.interface), method, tail, routing, caller.platform)
        query = request.META.get("QUERY_STRING", "")
        route = decide(asked, registry, _hub())
        if isinstance(route, NeedsLookup):
            route = open_routing.resolve(asked, route, registry, query=query, body=body)
        match route:
            case Direct():
                check_content(asked, route, registry, body)
                return _passed_on(forwarding.forward(asked, route, query=query, body=body, ids=ids))
            case Broadcast():
                created = fanout.receive(
                    asked, route, query=query, body=body, snapshot=registry, hub=_hub(),
                    correlation_id=ids.correlation_id,
                )  # fmt: skip
                return envelope.response(http_status=201 if created else 200)
            case GetAll():
                return shared_lists.page(request, asked, route, registry)


class CallbackView(OcpiView):
    """A hub URL that stands for a partner's: results of commands come back here, and CDRs and pages are read here."""

    passes_on = True

    def refusing_party(self) -> Address | None:
        """Return the hub (HUB-68); a partner's answer says whose it is."""
        return _hub()

    def answering_party(self) -> Address | None:
        """Return the hub: the To headers name the partner whose URL this stands for."""
        return _hub()

    def get(self, request: Any, key: str) -> HttpResponse:
        return self._bring_back("GET", key, b"")

    def post(self, request: Any, key: str) -> HttpResponse:
        return self._bring_back("POST", key, self.body())

    def _bring_back(self, method: str, key: str, body: bytes) -> HttpResponse:
        callback = callbacks.find(key, caller_id=self.caller.platform.id)
        owner, onward = returning.way_of(callback, method, self.caller.platform, self.routing, snapshot.current())
        passed = forwarding.bring_back(callback, owner=owner, method=method, body=body, routing=onward, ids=self.ids)
        return _passed_on(passed)


def _passed_on(passed: forwarding.Passed) -> HttpResponse:
    headers = {name: value for name, value in passed.headers.items() if value}
    return HttpResponse(passed.body, status=passed.http_status, content_type="application/json", headers=headers)


def _hub() -> Address:
    return ours.addresses()[0]
