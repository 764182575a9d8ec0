from django.db import migrations, models

STORAGE = (
    "ALTER TABLE ocpi_delivery SET "
    "(autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, fillfactor = 75)"
)
REVERSE = "ALTER TABLE ocpi_delivery RESET (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold, fillfactor)"


class Migration(migrations.Migration):
    dependencies = [("ocpi", "0005_buckets")]

    operations = [
        migrations.AddField("platform", "caught_up_at", models.DateTimeField(blank=True, editable=False, null=True)),
        # Rows come and go all the time: dead ones are removed at 2,000, however many live (REL-19), and what changes while
        # it waits finds room on its page, so that no index is written.
        migrations.RunSQL(STORAGE, REVERSE),
    ]
