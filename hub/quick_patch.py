"""A broadcast PATCH in two statements: the object is read, then written, stamped and marked for all at once.

This is what a hub does most: the status of an EVSE. The write holds only if the row is still the one that was read (by
its place and transaction), so nothing is locked in between and no transaction stays open; who was overtaken goes the
longer way, which locks first (`hub/shared_objects.py`). One statement is one transaction: change and marks are one
(REL-01).
"""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction

from hub import direct_versions, shared_objects, spelling
from hub.shared_objects import Push
from ocpi import documents, keeping, outbox, prepared
from ocpi.outbox import Recipient
from ocpi.v2_2_1.types import format_datetime

_READ = """
SELECT o.id, o.document, o.last_updated, o.container_id, o.xmin::text || o.ctid::text,
       o.deleted_at IS NOT NULL OR o.split OR coalesce(c.split, false), o.country_code, o.party_id, o.path
FROM hub_sharedobject o LEFT JOIN hub_sharedobject c ON c.id = o.container_id
WHERE o.module = %s AND UPPER(o.country_code) = %s AND UPPER(o.party_id) = %s AND UPPER(o.path) = UPPER(%s)
    AND o.kind = %s AND o.receiver = %s
"""
# A Location is locked before its EVSE, as everywhere. `last_updated` is always the last member of a kept document, so
# the database can replace it without parsing.
_WRITE = rf"""
WITH held AS MATERIALIZED (
    SELECT id FROM hub_sharedobject WHERE id = %(container_id)s::bigint FOR NO KEY UPDATE
), written AS (
    UPDATE hub_sharedobject SET document = %(document)s, last_updated = %(updated)s, received_at = now()
    WHERE id = %(source_id)s AND xmin::text || ctid::text = %(version)s::text
        AND (%(container_id)s::bigint IS NULL OR EXISTS (SELECT FROM held))
    RETURNING id
), stamped AS (
    UPDATE hub_sharedobject SET last_updated = %(updated)s, received_at = now(),
        document = regexp_replace(document, '"last_updated":"[^"]*"\}}$', '"last_updated":"' || %(text)s || '"}}')
    WHERE id = %(container_id)s::bigint AND last_updated < %(updated)s AND EXISTS (SELECT FROM written)
    RETURNING split
), marked AS (
    {outbox.MARKS_OF_WRITTEN}
)
SELECT EXISTS (SELECT FROM written), EXISTS (SELECT FROM stamped WHERE split),
       (SELECT string_agg(platform_id::text, ',') FROM marked WHERE state = 'PENDING')
"""  # noqa: S608 - constants only


def apply(push: Push, recipients: Sequence[Recipient], *, correlation_id: str) -> bool:
    """Keep a PATCH and mark it for its receivers; say whether that is done, otherwise nothing has happened.

    A PATCH that changes nothing, its time stamp included, has been here before: there is nothing to tell anybody.

    :raises InvalidParameters: if the push is older than what is kept (TRN-091).
    """
    if push.method != "PATCH" or len(push.path) > shared_objects.ROW_LEVELS:
        return False
    rows = prepared.fetch_all(_READ, [push.module, *push.owner.key, "/".join(push.path), push.kind, push.receiver])
    if not rows:
        return False
    row_id, document, last_updated, container_id, version, is_special, *spelled = rows[0]
    change = spelling.change_of(push)
    patch = documents.members(change)
    if is_special or shared_objects.names_parts(push, patch):
        return False
    updated = shared_objects.moment(patch)
    keeping.refuse_older(updated, last_updated)
    merged = documents.last_updated_last(documents.merge(document, change))
    if merged == document:
        return True
    marks = outbox.state_values(
        recipients,
        module=push.module,
        source="hub.SharedObject",
        source_id=row_id,
        path=spelling.path_as_kept(push.path, *spelled),
        order_key=shared_objects.order_key_of(push),
        fields=tuple(patch),
        query=f"type={push.kind}" if push.kind else "",
        correlation_id=correlation_id,
    )
    [(is_written, has_own_version, woken)] = prepared.fetch_all(
        _WRITE,
        {
            **marks,
            "document": merged,
            "updated": updated,
            "version": version,
            "container_id": container_id,
            "text": format_datetime(updated),
        },
    )
    if not is_written:
        return False
    if has_own_version:  # somebody has just been given a version of its own
        with transaction.atomic():
            direct_versions.replaced(push, added=False)
    slot = marks["slot"]
    outbox.wake_marked([(int(platform_id), slot, "PENDING") for platform_id in woken.split(",")] if woken else [])
    return True
