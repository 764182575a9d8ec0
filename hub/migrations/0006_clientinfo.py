"""What is published of a hub's clients, and what each platform was told (`hub/clientinfo.py`)."""

import django.db.models.deletion
import django.db.models.functions.datetime
import django.db.models.functions.text
from django.db import migrations, models

from ocpi import list_sql

_SCOPE = "CASE WHEN NOT hidden THEN platform_id::text END"
# Whoever registers anew is told anew (HCI-11).
_FORGET = """
CREATE FUNCTION hub_forget_told() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM hub_toldclientinfo WHERE platform_id = NEW.id;
    RETURN NULL;
END $$;
CREATE TRIGGER forget_told AFTER UPDATE ON ocpi_platform FOR EACH ROW
    WHEN (OLD.state = 'REGISTERED' AND NEW.state <> 'REGISTERED') EXECUTE FUNCTION hub_forget_told();
"""


class Migration(migrations.Migration):

    dependencies = [("hub", "0005_known_objects"), ("ocpi", "0011_clientinfo")]

    operations = [
        migrations.CreateModel(
            name='ClientInfo',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('country_code', models.CharField(max_length=2)),
                ('party_id', models.CharField(max_length=3)),
                ('role', models.CharField(max_length=5)),
                ('status', models.CharField(choices=[('CONNECTED', 'Connected'), ('OFFLINE', 'Offline'), ('PLANNED', 'Planned'), ('SUSPENDED', 'Suspended')], max_length=10)),
                ('last_updated', models.DateTimeField()),
                ('through_hub', models.BooleanField(default=False, help_text='known by the ClientInfo of that platform, a hub')),
                ('was_connected', models.BooleanField(default=False, help_text='off: it was never more than PLANNED')),
                ('waiting', models.CharField(blank=True, help_text='the status it has by now, published when its minute is over (HCI-23)', max_length=10)),
                ('platform', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='ocpi.platform')),
            ],
            options={
                'verbose_name': 'client info',
            },
        ),
        migrations.CreateModel(
            name='ClientInfoChange',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('status', models.CharField(choices=[('CONNECTED', 'Connected'), ('OFFLINE', 'Offline'), ('PLANNED', 'Planned'), ('SUSPENDED', 'Suspended')], max_length=10)),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), db_index=True)),
                ('reason', models.CharField(blank=True, max_length=200)),
                ('info', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='changes', to='hub.clientinfo')),
            ],
            options={
                'verbose_name': 'client info change',
            },
        ),
        migrations.CreateModel(
            name='ToldClientInfo',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('hidden', models.BooleanField(default=False, help_text='not its business any more: in none of its lists')),
                ('status', models.CharField(choices=[('CONNECTED', 'Connected'), ('OFFLINE', 'Offline'), ('PLANNED', 'Planned'), ('SUSPENDED', 'Suspended')], max_length=10)),
                ('last_updated', models.DateTimeField()),
                ('document', models.TextField()),
                ('pushed', models.BooleanField(default=False, help_text='a delivery of this was written; off: it takes no pushes')),
                ('info', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='told', to='hub.clientinfo')),
                ('platform', models.ForeignKey(help_text='who is told', on_delete=django.db.models.deletion.CASCADE, related_name='+', to='ocpi.platform')),
            ],
            options={
                'verbose_name': 'told client info',
            },
        ),
        migrations.AddConstraint(
            model_name='clientinfo',
            constraint=models.UniqueConstraint(django.db.models.functions.text.Upper('country_code'), django.db.models.functions.text.Upper('party_id'), models.F('role'), name='client_info_once'),
        ),
        migrations.AddConstraint(
            model_name='toldclientinfo',
            constraint=models.UniqueConstraint(fields=('info', 'platform'), name='client_info_told_once'),
        ),
        migrations.RunSQL(
            [*list_sql.listed("hub_toldclientinfo", _SCOPE), _FORGET],
            ["DROP FUNCTION hub_forget_told() CASCADE;", *list_sql.not_listed("hub_toldclientinfo")],
        ),
    ]
