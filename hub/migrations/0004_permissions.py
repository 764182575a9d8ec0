"""Who may deal with whom (`hub/permissions.py`), announced with the registry."""

import django.db.models.functions.datetime
from django.db import migrations, models

from ocpi.registry_sql import announce_sql


class Migration(migrations.Migration):

    dependencies = [("hub", "0003_direct_versions")]

    operations = [
        migrations.CreateModel(
            name='Permission',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('effect', models.CharField(choices=[('ALLOW', 'allow'), ('DENY', 'deny (wins over every allow)')], default='ALLOW', max_length=5)),
                ('from_country_code', models.CharField(blank=True, help_text='empty = any country', max_length=2, verbose_name='from: country')),
                ('from_party_id', models.CharField(blank=True, help_text='empty = every party of it', max_length=3, verbose_name='from: party')),
                ('from_role', models.CharField(blank=True, choices=[('CPO', 'CPO'), ('EMSP', 'EMSP'), ('NAP', 'NAP'), ('NSP', 'NSP'), ('OTHER', 'OTHER'), ('SCSP', 'SCSP')], help_text='empty = any role', max_length=5, verbose_name='from: role')),
                ('to_country_code', models.CharField(blank=True, help_text='empty = any country', max_length=2, verbose_name='to: country')),
                ('to_party_id', models.CharField(blank=True, help_text='empty = every party of it', max_length=3, verbose_name='to: party')),
                ('to_role', models.CharField(blank=True, choices=[('CPO', 'CPO'), ('EMSP', 'EMSP'), ('NAP', 'NAP'), ('NSP', 'NSP'), ('OTHER', 'OTHER'), ('SCSP', 'SCSP')], help_text='empty = any role', max_length=5, verbose_name='to: role')),
                ('mutual', models.BooleanField(default=True, help_text='also for requests that go the other way, from the second to the first', verbose_name='both ways')),
                ('module', models.CharField(blank=True, choices=[('locations', 'locations'), ('sessions', 'sessions'), ('cdrs', 'cdrs'), ('tariffs', 'tariffs'), ('tokens', 'tokens'), ('commands', 'commands'), ('chargingprofiles', 'chargingprofiles')], help_text='empty = every module', max_length=50)),
                ('direction', models.CharField(choices=[('BOTH', 'pushes and pulls'), ('PUSH', 'pushes: PUT, PATCH, POST, DELETE'), ('PULL', 'pulls: GET')], default='BOTH', max_length=4)),
                ('broadcast', models.BooleanField(default=False, help_text='the second also gets broadcasts of the first that its role does not get, such as Sessions for an SCSP; names the module (HUB-36, HUB-40)', verbose_name='broadcasts too')),
                ('valid_from', models.DateTimeField(blank=True, help_text='empty = always has been', null=True)),
                ('valid_until', models.DateTimeField(blank=True, help_text='from this moment on it says nothing', null=True)),
                ('note', models.CharField(blank=True, help_text='why, such as the number of a contract', max_length=300)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('valid_from', None), ('valid_until', None), ('valid_until__gt', models.F('valid_from')), _connector='OR'), name='permission_ends_after_it_begins'), models.CheckConstraint(condition=models.Q(('broadcast', False), models.Q(('effect', 'ALLOW'), models.Q(('module', ''), _negated=True)), _connector='OR'), name='permission_to_broadcast')],
            },
        ),
        migrations.RunSQL(announce_sql("hub_permission"), "DROP TRIGGER IF EXISTS announce_rows ON hub_permission;"),
    ]
