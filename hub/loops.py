"""The loop guard: what this process is passing on right now does not come by a second time (HUB-79).

A loop keeps each of its requests waiting for the next one, so each process of the hub holds it at most once: with N web
processes it is found at the latest when it comes by for the N+1st time. No other process has to be asked. Every hub on
the way gives the request a new X-Request-ID (HUB-17): one that comes with the same one was sent twice by its sender.
"""

from __future__ import annotations

import threading

from hub.routing import Asked
from ocpi import status
from ocpi.headers import Ids, Routing

Key = tuple[str, str, str]  # correlation id, what follows the module in the path, `kind`
_passing: dict[Key, list[str]] = {}  # with the X-Request-IDs it came with
_changing = threading.Lock()


class guard:
    """Says that a request is being passed on in this block, which may be one of a coroutine.

    :raises HubError: if the same correlation id, method, path, To and From is being passed on already (4000).
    """

    __slots__ = ("_key", "_request_id")

    def __init__(self, asked: Asked, routing: Routing, ids: Ids) -> None:
        self._request_id = ids.request_id
        tail = "".join([f"/{part}" for part in asked.tail])
        self._key: Key = (ids.correlation_id, tail, kind(asked.method, asked.module, asked.interface, routing))

    def __enter__(self) -> None:
        enter(self._key, self._request_id)

    def __exit__(self, *error: object) -> None:
        leave(self._key, self._request_id)


def kind(method: str, module: str, interface: str, routing: Routing) -> str:
    """Return what of a key is the same for every request of one method to one interface, between the same parties."""
    to, sender = routing.to, routing.sender
    return " ".join((method, module, interface, *(to.key if to else ("*",)), *(sender.key if sender else ("*",))))


def enter(key: Key, request_id: str) -> None:
    """Note that a request begins to be passed on.

    :raises HubError: as `guard`.
    """
    with _changing:
        others = _passing.get(key)
        if others is None:
            _passing[key] = [request_id]
            return
        if any(other != request_id for other in others):
            raise status.HubError("This request is already on its way: it goes round in a loop")
        others.append(request_id)


def leave(key: Key, request_id: str) -> None:
    """Note that it is over."""
    with _changing:
        others = _passing[key]
        others.remove(request_id)
        if not others:
            del _passing[key]
