"""Every change of a permission is in the audit trail, whoever makes it in whatever way (SEC-56)."""

from django.db import migrations

AUDIT = """
CREATE FUNCTION hub_audit_permission() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    old_row jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) - 'created_at' END;
    new_row jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) - 'created_at' END;
    changes jsonb;
BEGIN
    SELECT jsonb_object_agg(name, jsonb_build_array(old_row -> name, new_row -> name))
      INTO changes FROM jsonb_object_keys(coalesce(new_row, old_row)) AS name
     WHERE old_row -> name IS DISTINCT FROM new_row -> name;
    IF changes IS NULL THEN
        RETURN NULL;
    END IF;
    INSERT INTO ocpi_auditentry (action, actor, about, details, previous, hash)
    VALUES ('permission' || CASE TG_OP WHEN 'INSERT' THEN '.added' WHEN 'DELETE' THEN '.removed' ELSE '.changed' END,
            coalesce(nullif(current_setting('ocpi.actor', true), ''), 'the system'),
            'permission ' || coalesce(new_row ->> 'id', old_row ->> 'id'), changes::text, '', '');
    RETURN NULL;
END $$;
CREATE TRIGGER audit_rows AFTER INSERT OR UPDATE OR DELETE ON hub_permission FOR EACH ROW
    EXECUTE FUNCTION hub_audit_permission();
"""


class Migration(migrations.Migration):
    dependencies = [("hub", "0008_callback_results"), ("ocpi", "0012_cdr_reviews")]

    operations = [migrations.RunSQL(AUDIT, "DROP FUNCTION IF EXISTS hub_audit_permission() CASCADE;")]
