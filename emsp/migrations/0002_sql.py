"""What models cannot express: kept counts of the lists we serve, and CDRs that nobody can change (REL-46)."""

from django.db import migrations

from ocpi import counts

IMMUTABLE = """
CREATE FUNCTION emsp_cdr_immutable() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'a CDR is never deleted' USING ERRCODE = 'restrict_violation';
    END IF;
    IF (NEW.country_code, NEW.party_id, NEW.object_id, NEW.document, NEW.digest, NEW.platform_id, NEW.last_updated,
        NEW.session_id, NEW.credit_reference_id, NEW.token_uid, NEW.start_date_time, NEW.key)
       IS DISTINCT FROM (OLD.country_code, OLD.party_id, OLD.object_id, OLD.document, OLD.digest, OLD.platform_id,
        OLD.last_updated, OLD.session_id, OLD.credit_reference_id, OLD.token_uid, OLD.start_date_time, OLD.key) THEN
        RAISE EXCEPTION 'a CDR is never changed' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER emsp_cdr_immutable BEFORE UPDATE OR DELETE ON emsp_cdr
    FOR EACH ROW EXECUTE FUNCTION emsp_cdr_immutable();
"""


class Migration(migrations.Migration):
    dependencies = [("emsp", "0001_initial"), ("ocpi", "0002_sql")]

    operations = [
        migrations.RunSQL(
            counts.migration_sql("emsp_token", "UPPER(country_code) || '*' || UPPER(party_id)"),
            counts.reverse_sql("emsp_token"),
        ),
        migrations.RunSQL(IMMUTABLE, "DROP FUNCTION IF EXISTS emsp_cdr_immutable() CASCADE;"),
    ]
