"""What models cannot say: registry announcements and the partitioned exchange table."""

from django.db import migrations

from ocpi import registry_sql


class Migration(migrations.Migration):

    dependencies = [("ocpi", "0001_initial")]

    operations = [
        migrations.RunSQL(registry_sql.NOTIFY, registry_sql.NOTIFY_REVERSE),
        migrations.RunSQL(registry_sql.EXCHANGES, registry_sql.EXCHANGES_REVERSE),
    ]
