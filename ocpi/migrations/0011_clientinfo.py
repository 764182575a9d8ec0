"""Hubs that are connected to us: whom they may speak for, and whether their clients are offered to ours."""

from django.db import migrations, models

from ocpi import registry_sql


class Migration(migrations.Migration):

    dependencies = [("ocpi", "0010_limits")]

    operations = [
        migrations.AddField(
            model_name='platform',
            name='offers_clients',
            field=models.BooleanField(default=False, help_text='the parties behind this hub are offered to our own clients (HUB-80)'),
        ),
        migrations.AddField(
            model_name='platform',
            name='probed_at',
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name='platform',
            name='speaks_for_all',
            field=models.BooleanField(default=False, help_text='this hub has no HubClientInfo: it may act for everybody who is not connected otherwise (PIT-78)'),
        ),
        migrations.RunSQL(registry_sql.NOTIFY_HUBS, registry_sql.NOTIFY_HUBS_REVERSE),
    ]
