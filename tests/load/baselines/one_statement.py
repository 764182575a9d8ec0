"""An EVSE's status stored by a bare Django view with one raw statement: the least a durable PATCH costs."""

from __future__ import annotations

import msgspec
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from tests.load import registry

TOKENS = {registry.authorization(registry.CPO_TOKEN)}
_PATCH = """
WITH evse AS (
    UPDATE tables_plainevse SET document = document || %s::jsonb, last_updated = %s WHERE uid = %s RETURNING location_id
)
UPDATE tables_plainlocation l SET last_updated = %s FROM evse WHERE l.id = evse.location_id AND l.location_id = %s
"""


class Patch(msgspec.Struct):
    last_updated: str
    status: str = ""


@csrf_exempt
def patch_evse(request: HttpRequest, location_id: str, uid: str) -> HttpResponse:
    """Store what changed, and stamp the Location."""
    if request.META.get("HTTP_AUTHORIZATION") not in TOKENS:
        return HttpResponse(b'{"status_code":2000}', status=401, content_type="application/json")
    patch = msgspec.json.decode(request.body, type=Patch)
    with connection.cursor() as cursor:
        cursor.execute(_PATCH, [request.body.decode(), patch.last_updated, uid, patch.last_updated, location_id])
        known = cursor.rowcount
    code = 1000 if known else 2003
    return HttpResponse(
        b'{"status_code":%d,"timestamp":"2026-01-01T00:00:00Z"}' % code, content_type="application/json"
    )
