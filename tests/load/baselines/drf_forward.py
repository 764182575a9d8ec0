"""A request passed on by a bare DRF view with `requests`: token map, route map, nothing else."""

from __future__ import annotations

import os
import threading
from typing import Any

import requests
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from tests.load import registry

TOKENS = {registry.authorization(registry.CPO_TOKEN): "cpo"}
ROUTES = {registry.EMSP: os.environ.get("UPSTREAM", "")}
_local = threading.local()


class Forward(APIView):
    """Pass a PUT on."""

    def put(self, request: Request, rest: str) -> Response:
        if request.headers.get("Authorization") not in TOKENS:
            return Response({"status_code": 2000}, status=401)
        to = (request.headers.get("OCPI-to-country-code", ""), request.headers.get("OCPI-to-party-id", ""))
        if to not in ROUTES:
            return Response({"status_code": 4001})
        session: Any = getattr(_local, "session", None)
        if session is None:
            session = _local.session = requests.Session()
        answer = session.put(
            f"{ROUTES[to]}/ocpi/sender/{rest}",
            json=request.data,
            headers={
                name: value for name, value in request.headers.items() if name.lower().startswith(("ocpi-", "x-"))
            },
            timeout=25,
        )
        return Response(answer.json(), status=answer.status_code)
