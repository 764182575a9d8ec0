"""CDRs are not deleted all at once, either (REL-46): TRUNCATE asks no trigger of a row."""

from django.db import migrations

WHOLE = """
CREATE FUNCTION emsp_cdr_stays_whole() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'CDRs are never deleted' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER emsp_cdr_stays_whole BEFORE TRUNCATE ON emsp_cdr
    FOR EACH STATEMENT EXECUTE FUNCTION emsp_cdr_stays_whole();
"""


class Migration(migrations.Migration):
    dependencies = [("emsp", "0008_put_location_whole")]

    operations = [
        migrations.RunSQL(WHOLE, "DROP FUNCTION IF EXISTS emsp_cdr_stays_whole() CASCADE;"),
    ]
