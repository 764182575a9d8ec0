"""The list of our Tokens costs the same however long it is; of a CDR nothing changes but our verdict (REL-46)."""

from django.db import migrations

from ocpi import counts, list_sql

_STAYS = """
CREATE OR REPLACE FUNCTION emsp_cdr_immutable() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'a CDR is never deleted' USING ERRCODE = 'restrict_violation';
    END IF;
    IF (NEW.id, NEW.country_code, NEW.party_id, NEW.object_id, NEW.document, NEW.digest, NEW.platform_id,
        NEW.last_updated, NEW.session_id, NEW.credit_reference_id, NEW.token_uid, NEW.start_date_time, NEW.key,
        NEW.created_at)
       IS DISTINCT FROM (OLD.id, OLD.country_code, OLD.party_id, OLD.object_id, OLD.document, OLD.digest,
        OLD.platform_id, OLD.last_updated, OLD.session_id, OLD.credit_reference_id, OLD.token_uid,
        OLD.start_date_time, OLD.key, OLD.created_at) THEN
        RAISE EXCEPTION 'a CDR is never changed' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
"""


class Migration(migrations.Migration):

    dependencies = [("emsp", "0005_showing"), ("ocpi", "0005_buckets")]

    operations = [
        migrations.RunSQL(_STAYS, migrations.RunSQL.noop),
        migrations.RunSQL(counts.reverse_sql("emsp_token"), migrations.RunSQL.noop),
        migrations.RunSQL(
            list_sql.listed("emsp_token", "UPPER(country_code) || '*' || UPPER(party_id)"),
            list_sql.not_listed("emsp_token"),
        ),
    ]
