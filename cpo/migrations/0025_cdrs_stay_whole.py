"""CDRs are not deleted all at once, either (REL-46): TRUNCATE asks no trigger of a row."""

from django.db import migrations

WHOLE = """
CREATE FUNCTION cpo_cdr_stays_whole() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'CDRs are never deleted' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER cpo_cdr_stays_whole BEFORE TRUNCATE ON cpo_cdr
    FOR EACH STATEMENT EXECUTE FUNCTION cpo_cdr_stays_whole();
"""


class Migration(migrations.Migration):
    dependencies = [("cpo", "0024_announce_secrets")]

    operations = [
        migrations.RunSQL(WHOLE, "DROP FUNCTION IF EXISTS cpo_cdr_stays_whole() CASCADE;"),
    ]
