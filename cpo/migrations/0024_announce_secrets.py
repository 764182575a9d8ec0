"""Changes of API tokens and of charge points' passwords are announced, so that they are masked at once (SEC-50)."""

from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ("cpo", "0023_profile_moments"),
    ]

    operations = [
        migrations.RunSQL(
            """
            CREATE TRIGGER announce_tokens AFTER INSERT OR DELETE OR TRUNCATE OR UPDATE OF digest, revoked_at
                ON cpo_apitoken FOR EACH STATEMENT EXECUTE FUNCTION ocpi_registry_changed();
            """,
            "DROP TRIGGER IF EXISTS announce_tokens ON cpo_apitoken;",
        ),
        migrations.RunSQL(
            """
            CREATE FUNCTION ocpp_tell_password() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                PERFORM pg_notify('ocpp_password', '');
                RETURN NULL;
            END $$;
            CREATE TRIGGER ocpp_tell_password
                AFTER INSERT OR DELETE OR TRUNCATE OR UPDATE OF password_digest, next_password_digest
                ON cpo_chargepoint FOR EACH STATEMENT EXECUTE FUNCTION ocpp_tell_password();
            """,
            "DROP FUNCTION IF EXISTS ocpp_tell_password() CASCADE;",
        ),
    ]
