"""The statements behind the objects a hub keeps (hub/shared_objects.py)."""

from __future__ import annotations

FIND = """
SELECT id, document, last_updated, container_id, deleted_at IS NOT NULL, split, country_code, party_id, path
FROM hub_sharedobject
WHERE module = %s AND UPPER(country_code) = %s AND UPPER(party_id) = %s AND UPPER(path) = UPPER(%s) AND kind = %s
    AND receiver = %s
FOR UPDATE
"""
# `last_updated` is always the last member of a kept document, so the database can replace it without parsing.
STAMP = r"""
UPDATE hub_sharedobject SET last_updated = %(updated)s, received_at = now(),
    document = regexp_replace(document, '"last_updated":"[^"]*"\}$', '"last_updated":"' || %(text)s || '"}')
WHERE id = %(container_id)s AND last_updated < %(updated)s
RETURNING split
"""
WRITE = f"""
WITH written AS (
    UPDATE hub_sharedobject SET document = %(document)s, last_updated = %(updated)s, received_at = now()
    WHERE id = %(id)s
)
{STAMP}
"""  # noqa: S608 - constants only
KEEP = """
INSERT INTO hub_sharedobject
    (platform_id, module, country_code, party_id, path, kind, receiver, container_id, last_updated, document)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (module, UPPER(country_code), UPPER(party_id), UPPER(path), kind, receiver) DO UPDATE SET
    platform_id = EXCLUDED.platform_id, container_id = EXCLUDED.container_id, last_updated = EXCLUDED.last_updated,
    document = EXCLUDED.document, deleted_at = NULL, received_at = now()
WHERE hub_sharedobject.deleted_at IS NOT NULL OR hub_sharedobject.last_updated <= EXCLUDED.last_updated
    OR hub_sharedobject.last_updated > now() + interval '5 minutes'
RETURNING id, (xmax = 0)
"""
# All parts of one object at once, and what is no part of it any more goes: PUT replaces the whole tree (LOC-22).
KEEP_PARTS = """
WITH kept AS (
    INSERT INTO hub_sharedobject
        (platform_id, module, country_code, party_id, path, kind, receiver, container_id, last_updated, document)
    SELECT %(platform_id)s, %(module)s, %(country_code)s, %(party_id)s, part.path, %(kind)s, %(receiver)s,
           %(container_id)s, part.moment, part.document
    FROM unnest(%(paths)b::text[], %(moments)b::timestamptz[], %(documents)b::text[])
         AS part(path, moment, document)
    ON CONFLICT (module, UPPER(country_code), UPPER(party_id), UPPER(path), kind, receiver) DO UPDATE SET
        platform_id = EXCLUDED.platform_id, container_id = EXCLUDED.container_id, last_updated = EXCLUDED.last_updated,
        document = EXCLUDED.document, deleted_at = NULL, received_at = now()
    RETURNING id
)
DELETE FROM hub_sharedobject
WHERE container_id = %(container_id)s::bigint AND id NOT IN (SELECT id FROM kept)
"""
