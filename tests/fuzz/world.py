"""Who is asked and who asks: real instances of every side, and partners that are registered with them over HTTP."""

from __future__ import annotations

import base64
import contextlib
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import requests

from tests.fuzz.generator import Actor
from tests.platforms import Instance, Listener, Received, Reply, run_instance

# What we are, and who asks. A hub's partners ask each other.
SIDES = {
    "cpo": ("NL*TNM:CPO", ("DE*EMS:EMSP", "BE*HUB:HUB")),
    "emsp": ("DE*EMS:EMSP", ("NL*TNM:CPO", "BE*HUB:HUB")),
    "hub": ("NL*HUB:HUB", ("NL*TNM:CPO", "DE*EMS:EMSP")),
}


class _Forgetful(Listener):
    """Answers everything and keeps nothing."""

    def answer(self, request: Received) -> Reply:
        found = super().answer(request)
        self.requests.clear()
        return found


@dataclass(slots=True)
class Target:
    """One running instance and those who ask it."""

    side: str
    instance: Instance
    actors: list[Actor]

    @property
    def document(self) -> Any:
        return requests.get(f"{self.instance.url}/openapi.json", timeout=30).json()

    def tracebacks(self) -> list[str]:
        """Return the tracebacks that its processes have printed."""
        parts = self.instance.logged().split("Traceback (most recent call last)")
        return [part[:3000] for part in parts[1:]]


@contextlib.contextmanager
def running(sides: Sequence[str]) -> Iterator[list[Target]]:
    """Run the instances with their partners until the block ends."""
    with contextlib.ExitStack() as stack:
        targets = []
        for side in sides:
            mine, theirs = SIDES[side]
            settings = {"OCPI_RATE_PER_PLATFORM": "off", "OCPI_RATE_STRANGERS": "0", "LOG_LEVEL": "WARNING"}
            instance = stack.enter_context(run_instance(side, parties=[mine], worker=True, settings=settings))
            actors = []
            for index, role in enumerate(theirs):
                listener = stack.enter_context(_Forgetful([role]))
                to = theirs[1 - index] if side == "hub" else mine
                actors.append(_join(instance, listener, role, to))
            targets.append(Target(side, instance, actors))
        yield targets


def _join(instance: Instance, listener: Listener, role: str, to: str) -> Actor:
    """Register a partner, and return it."""
    token = instance.manage("invite_platform", "--name", role, "--party", role)["token_a"]
    details = _call("GET", _call("GET", instance.versions_url, token)[0]["url"], token)
    url = next(entry["url"] for entry in details["endpoints"] if entry["identifier"] == "credentials")
    token = _call("POST", url, token, listener.credentials())["token"]
    return Actor(token, _address(role), _address(to), response_url=f"{listener.url}/ocpi/2.2.1/results/1")


def _call(method: str, url: str, token: str, body: Any = None) -> Any:
    headers = {
        "Authorization": "Token " + base64.b64encode(token.encode()).decode(),
        "X-Request-ID": str(uuid.uuid4()),
        "X-Correlation-ID": str(uuid.uuid4()),
    }
    answer = requests.request(method, url, json=body, headers=headers, timeout=40).json()
    if answer["status_code"] != 1000:
        raise RuntimeError(f"{method} {url}: {answer}")
    return answer["data"]


def _address(role: str) -> tuple[str, str]:
    country_code, _, rest = role.partition("*")
    return country_code, rest.partition(":")[0]
