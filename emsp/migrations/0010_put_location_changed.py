"""A Location that comes again writes the EVSEs that changed, and leaves the rows of the others alone."""

from importlib import import_module

from django.db import migrations

PUT_LOCATION = """
CREATE OR REPLACE FUNCTION emsp_put_location(
    new_country_code text, new_party_id text, new_object_id text, new_last_updated timestamptz, new_document text,
    new_publish boolean, new_platform_id bigint,
    uids text[], statuses text[], moments timestamptz[], documents text[]
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    location_pk bigint;
    is_new boolean;
    is_odd boolean;
    is_less boolean;
    changed bigint[];
BEGIN
    BEGIN
        -- Locks the Location; each statement below sees what others have committed until then.
        INSERT INTO emsp_location AS l
            (country_code, party_id, object_id, last_updated, document, publish, platform_id)
        VALUES (new_country_code, new_party_id, new_object_id, new_last_updated, new_document, new_publish,
                new_platform_id)
        ON CONFLICT (UPPER(country_code), UPPER(party_id), UPPER(object_id)) DO UPDATE SET
            last_updated = EXCLUDED.last_updated, document = EXCLUDED.document, publish = EXCLUDED.publish,
            platform_id = EXCLUDED.platform_id, gone_at = NULL, received_at = statement_timestamp()
        WHERE (l.country_code, l.party_id, l.object_id) = (new_country_code, new_party_id, new_object_id)
            AND (l.last_updated <= new_last_updated OR l.gone_at IS NOT NULL
                 OR l.last_updated > now() + interval '5 minutes')
        RETURNING l.id, l.xmax = 0 INTO location_pk, is_new;
        IF NOT FOUND THEN
            RETURN 'odd';
        END IF;
        IF is_new THEN
            INSERT INTO emsp_evse (location_id, uid, status, last_updated, document)
            SELECT location_pk, r.uid, r.status, r.moment, r.document
            FROM unnest(uids, statuses, moments, documents) WITH ORDINALITY AS r(uid, status, moment, document, number)
            ORDER BY r.number;
            RETURN 'new';
        END IF;
        -- To find an EVSE unchanged by writing it locks its row, and most are unchanged.
        SELECT bool_or(e.uid <> r.uid OR (e.deleted_at IS NULL AND e.status = 'REMOVED' AND r.status <> 'REMOVED')),
            bool_or(r.number IS NULL AND e.deleted_at IS NULL),
            array_agg(r.number) FILTER (
                WHERE r.number IS NOT NULL AND (e.document IS DISTINCT FROM r.document OR e.deleted_at IS NOT NULL)
            )
        INTO is_odd, is_less, changed
        FROM unnest(uids, statuses, documents) WITH ORDINALITY AS r(uid, status, document, number)
        FULL JOIN (SELECT uid, status, deleted_at, document FROM emsp_evse WHERE location_id = location_pk) AS e
            ON UPPER(e.uid) = UPPER(r.uid);
        IF is_odd THEN
            RAISE EXCEPTION USING ERRCODE = 'OCPI1';
        END IF;
        IF is_less THEN
            UPDATE emsp_evse SET deleted_at = statement_timestamp()
            WHERE location_id = location_pk AND deleted_at IS NULL AND uid <> ALL (uids);
        END IF;
        IF changed IS NOT NULL THEN
            INSERT INTO emsp_evse AS e (location_id, uid, status, last_updated, document)
            SELECT location_pk, r.uid, r.status, r.moment, r.document
            FROM unnest(uids, statuses, moments, documents) WITH ORDINALITY AS r(uid, status, moment, document, number)
            WHERE r.number = ANY (changed) ORDER BY r.number
            ON CONFLICT (location_id, UPPER(uid)) DO UPDATE SET
                status = EXCLUDED.status, last_updated = EXCLUDED.last_updated, document = EXCLUDED.document,
                deleted_at = NULL;
        END IF;
        RETURN 'kept';
    EXCEPTION WHEN SQLSTATE 'OCPI1' THEN  -- found only once the Location is locked, that is, written
        RETURN 'odd';
    END;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("emsp", "0009_cdrs_stay_whole")]

    operations = [
        migrations.RunSQL(PUT_LOCATION, import_module("emsp.migrations.0008_put_location_whole").PUT_LOCATION)
    ]
